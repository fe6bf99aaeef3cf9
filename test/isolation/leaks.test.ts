// Rows that reach the database from outside of the sandbox: noticed, repaired, and charged to the test that left them.
import assert from 'node:assert/strict';
import type { TestDatabase } from '../support/database';
import { type Outcome, type RunOptions, assertGreen, run, together } from '../support/run';
import { MANAGED, USERS, eachWithUsers, usersOf } from '../support/users';

/** Ways past the sandbox: a connection of one's own, and another process. */
const OUTSIDE = `
const { Client, Pool } = require('pg');
const { execFileSync } = require('node:child_process');
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const opened = async () => { const c = new Client(process.env.DATABASE_URL); await c.connect(); return c; };
const outside = async (sql) => { const c = await opened(); await c.query(sql); await c.end(); };
const byProcess = (sql) => execFileSync(process.execPath, ['-e',
  "const c = new (require('pg').Client)(process.env.DATABASE_URL); c.connect().then(() => c.query(process.argv[1])).then(() => c.end())", sql]);
const STRANGER = "insert into users (name) values ('stranger')";
`;

/** Gives the run a snapshot. */
const COMMITTING = `
it('commits @truncate', async () => { assert.equal(await names(), 'ann,bob'); await db('users').insert({ name: 'cy' }); });`;

/** What the run says of leaks, short: who, which tables, what became of it. All tests pass that do nothing wrong. */
async function leaksOf(outcome: Outcome, database: TestDatabase): Promise<string[]> {
  assert.notEqual(outcome.code, 0, outcome.output);
  assert.equal(await usersOf(database), 'ann,bob');
  const text = Object.values(outcome.failed).join('\n');
  const found = text.matchAll(/REWIND_LEAK: While (.+) ran, .* from outside of the sandbox: (.*\)\.) (.*)/g);
  return [...found].map(([, who, what, then]) => `${who} ${what} ${then}`);
}

describe('a leak', () => {
  const shared = together(`${USERS}; alter table users add age int`, { config: MANAGED });
  const leaks = (spec: string, check: Parameters<typeof shared>[1]): Mocha.AsyncFunc =>
    shared(OUTSIDE + spec + COMMITTING, check);

  it(
    'of another process is charged to its rollback test, repaired, and not seen by the next',
    leaks(
      `
      describe('suite', () => {
        it('asks', async () => { await db('users').insert({ name: 'cy' }); });
        it('lets another process write', async () => { await db('users').first(); byProcess(STRANGER); });
        it('does not see it', async () => assert.equal(await names(), 'ann,bob'));
      });`,
      async (outcome, database) => {
        assert.deepEqual(await leaksOf(outcome, database), [
          '"suite lets another process write" public.users (1 rows new or changed, 0 gone or changed). They have been restored.',
        ]);
        assert.equal(outcome.passed.length, 4, outcome.output);
      },
    ),
  );

  it(
    'that is committed late, in the body of another committing test, is charged to who began it',
    leaks(
      `
      let begun;
      const forget = async () => { begun = await opened(); await begun.query('begin; select from notes'); };
      const commit = async () => { await begun.query(STRANGER + '; commit'); await begun.end(); };
      const clean = async () => assert.equal(await names(), 'ann,bob');
      describe('suite @truncate', () => {
        it('forgets one', async () => { await db('users').del(); await forget(); });
        it('is clean', clean);
        it('meets it', commit);
        it('is clean, too', async () => { await clean(); const c = await opened(); await c.query('begin;' + STRANGER + '; commit'); await c.end(); });
        it('forgets another', forget);
        it('meets the other', commit);
        it('begins and ends one', async () => { await clean(); await forget(); await commit(); });
        it('is clean in the end', clean);
      });`,
      async (outcome, database) => {
        assert.notEqual(outcome.code, 0, outcome.output);
        const text = Object.values(outcome.failed).join('\n');
        assert.deepEqual(
          [...text.matchAll(/REWIND_LEFT_OPEN: (.*) left a transaction open that wrote while (.*) ran/g)].map(
            ([, by, met]) => `${by} ${met}`,
          ),
          [
            '"suite @truncate forgets one" "suite @truncate meets it"',
            '"suite @truncate forgets another" "suite @truncate meets the other"',
          ],
          outcome.output,
        );
        assert.equal(outcome.passed.length, 9, outcome.output);
        assert.equal(await usersOf(database), 'ann,bob');
      },
    ),
  );

  it(
    'of a pool that is not managed names it, and says what to do',
    leaks(
      `
      const pool = new Pool({ connectionString: process.env.DATABASE_URL });
      after(() => pool.end());
      it('forgets a pool', () => pool.query(STRANGER));
      it('does not see it', async () => assert.equal(await names(), 'ann,bob'));`,
      async (outcome, database) => {
        assert.equal((await leaksOf(outcome, database)).length, 1, outcome.output);
        assert.match(
          Object.values(outcome.failed).join(),
          /"forgets a pool".*\n.*Name it in the config \(`knex`, `pools`\), or tag .* @truncate/,
        );
      },
    ),
  );

  it(
    'that comes after a committing test was restored is found before the next one',
    leaks(
      `
      describe('one @truncate', () => {
        after(() => byProcess(STRANGER)); // as late as that can be arranged
        it('commits', async () => { await db('users').insert({ name: 'cy' }); });
      });
      describe('two @truncate', () => {
        it('does not see it', async () => { assert.equal(await names(), 'ann,bob'); const [{ id }] = await db('users').insert({ name: 'di' }, ['id']); assert.equal(id, 3); });
      });`,
      async (outcome, database) => {
        assert.deepEqual(await leaksOf(outcome, database), [
          '"one @truncate commits" or hooks of suite "one @truncate" public.users (1 rows new or changed, 0 gone or changed). They have been restored.',
        ]);
        assert.equal(outcome.passed.length, 3, outcome.output);
      },
    ),
  );

  it(
    'that is committed two tests after it was written is charged to the test that wrote it',
    leaks(
      `
      let late;
      it('begins', async () => { await db('users').first(); late = await opened(); await late.query('begin'); await late.query(STRANGER); });
      it('runs meanwhile', async () => { assert.equal(await names(), 'ann,bob'); });
      it('lets it commit', async () => { await db('users').first(); await late.query('commit'); await late.end(); });
      it('does not see it', async () => assert.equal(await names(), 'ann,bob'));`,
      async (outcome, database) => {
        assert.deepEqual(await leaksOf(outcome, database), [
          '"begins" public.users (1 rows new or changed, 0 gone or changed). They have been restored.',
        ]);
      },
    ),
  );

  it(
    'is none where it is rolled back, or cleaned up by the test that made it',
    leaks(
      `
      let late;
      it('begins', async () => { late = await opened(); await late.query('begin'); await late.query(STRANGER); });
      it('rolls it back', async () => { await db('users').first(); await late.query('rollback'); await late.end(); });
      it('writes nothing', () => outside('update users set name = name where false'));
      it('cleans up', async () => { await db('users').first(); await outside(STRANGER); await outside("delete from users where name = 'stranger'"); });
      it('sees the baseline', async () => assert.equal(await names(), 'ann,bob'));`,
      (outcome) => {
        assertGreen(outcome);
      },
    ),
  );

  it(
    'is repaired under the rows of a suite whose transaction is open',
    leaks(
      `
      describe('suite', () => {
        before(async () => { await db('users').insert({ name: 'suite' }); await db('notes').insert({ body: 'x' }); });
        it('leaks', async () => { await db('users').first(); await outside(STRANGER); });
        it('does not see it', async () => assert.equal(await names(), 'ann,bob,suite'));
      });`,
      async (outcome, database) => {
        assert.deepEqual(await leaksOf(outcome, database), [
          '"suite leaks" public.users (1 rows new or changed, 0 gone or changed). They have been restored.',
        ]);
        assert.equal(outcome.passed.length, 2, outcome.output);
      },
    ),
  );

  it(
    'that a suite has locked is told at once, and repaired when that ends',
    leaks(
      `
      const ages = (of) => async () => assert.deepEqual(await db('users').orderBy('id').pluck('age'), of);
      describe('suite', () => {
        before(() => db('notes').insert({ body: 'x', user_id: 2 })); // no age is locked by that, but the row
        it('leaks', async () => { await db('users').first(); await outside('update users set age = 9 where id = 2'); });
        it('sees it', ages([null, 9]));
        it('sees it still', ages([null, 9]));
      });
      describe('next suite', () => { it('does not see it', ages([null, null])); });`,
      async (outcome, database) => {
        assert.deepEqual(await leaksOf(outcome, database), [
          '"suite leaks" public.users (1 rows new or changed, 1 gone or changed). They can be restored only when the suite around has ended, whose own rows are in the way: its tests see them.',
        ]);
        assert.equal(outcome.passed.length, 4, outcome.output);
      },
    ),
  );

  it(
    'is none while the suite lasts whose hooks wrote it, and none after it if they clean up',
    leaks(
      `
      it('is before', async () => { await db('users').first(); });
      describe('clean', () => {
        before(() => byProcess(STRANGER));
        after(() => byProcess("delete from users where name = 'stranger'"));
        it('sees it', async () => assert.equal(await names(), 'ann,bob,stranger'));
        it('sees it again', async () => assert.equal(await names(), 'ann,bob,stranger'));
      });
      describe('next', () => { it('sees the baseline', async () => assert.equal(await names(), 'ann,bob')); });`,
      (outcome) => {
        assertGreen(outcome);
      },
    ),
  );

  it(
    'of hooks that do not clean up is charged to their suite, that of a test in it to the test',
    leaks(
      `
      describe('dirty', () => {
        before(() => outside(STRANGER + "; delete from users where name = 'bob'"));
        it('sees it', async () => assert.equal(await names(), 'ann,stranger'));
        it('leaks notes', async () => { await db('users').first(); await outside("insert into notes (body) values ('x')"); });
        it('sees no notes', async () => assert.equal((await db('notes')).length, 0));
      });
      describe('next', () => { it('sees the baseline', async () => assert.equal(await names(), 'ann,bob')); });`,
      async (outcome, database) => {
        assert.deepEqual((await leaksOf(outcome, database)).sort(), [
          '"dirty leaks notes" public.notes (1 rows new or changed, 0 gone or changed). They have been restored.',
          'hooks of suite "dirty" public.users (1 rows new or changed, 1 gone or changed). They have been restored.',
        ]);
        assert.equal(outcome.passed.length, 4, outcome.output);
      },
    ),
  );

  it(
    'is no transaction that an unmanaged test has left open: it is ended, and told beside',
    leaks(
      `
      describe('legacy @unmanaged', () => {
        it('begins', async () => {
          const late = await opened();
          late.on('error', () => {});
          await late.query('begin;' + STRANGER + "; update users set name = 'x' where id = 1");
        });
        it('writes', async () => { await db('users').insert({ name: 'y' }); await sleep(5); });
        it('writes more', async () => { await db('notes').insert({ body: 'y' }); });
      });`,
      async (outcome, database) => {
        assertGreen(outcome);
        assert.match(outcome.stderr, /\(knex\): "legacy @unmanaged begins" left a transaction open/);
        assert.equal(await usersOf(database), 'ann,bob');
      },
    ),
  );
});

describe('a leak', () => {
  const given = eachWithUsers();
  const { usersNow } = given;

  async function runs(spec: string, options: Partial<RunOptions> = {}): Promise<Outcome> {
    const database = given.database;
    return run({ 'a.spec.js': OUTSIDE + spec + COMMITTING }, { database, config: MANAGED, ...options });
  }

  it('of what no trigger sees is charged to its test, or to those among whom it must be', async () => {
    const owner = `rw_owner_${given.database.name.slice(-10)}`;
    await given.database.query(
      `create role ${owner} login; create materialized view seen as select name from users; select lo_from_bytea(99001, '\\x01');
       do $$ begin execute format('alter database %I owner to ${owner}', current_database()); end $$;
       alter schema public owner to ${owner}; alter table users owner to ${owner}; alter table notes owner to ${owner};
       alter materialized view seen owner to ${owner}; alter large object 99001 owner to ${owner}`,
    );
    const url = new URL(given.database.url);
    url.username = owner;
    try {
      const outcome = await runs(
        `
        const query = (sql) => async () => { await db('users').first(); await outside(sql); };
        it('unlinks', query('select lo_unlink(99001)'));
        it('finds it', async () => assert.equal((await db.raw('select lo_get(99001) as x')).rows[0].x.toString('hex'), '01'));
        it('refreshes', query("insert into users (name) values ('x'); refresh materialized view seen; delete from users where name = 'x'"));
        it('finds what was there', async () => assert.equal((await db('seen')).length, 2));
        it('alters', query('alter table users add column x int')).timeout(1000); // its own lock is in the way, until it ends
        it('is innocent', () => db('users').first());
        it('begins the next phase @truncate', () => db('users').first());`,
        { env: { DATABASE_URL: url.href } },
      );
      // Whether the test before the change had a look of its own depends on how long it took.
      const text = Object.values(outcome.failed).join('\n').replace('"finds what was there" or ', '');
      assert.deepEqual(
        [...text.matchAll(/REWIND_LEAK: While (.+) ran, (?:rows were.*sandbox: (\S+ \S+ \S+)|the schema)/g)].map(
          ([, who, what]) => `${who}: ${what ?? 'the schema'}`,
        ),
        [
          '"refreshes": materialized view public.seen',
          '"unlinks": large object 99001',
          '"alters" or "is innocent": the schema',
        ],
        outcome.output,
      );
    } finally {
      await given.database.query(
        `reassign owned by ${owner} to current_user; drop owned by ${owner}; drop role ${owner}`,
      );
    }
  });

  it('fails its test itself, once there was one; updates and deletes count', async () => {
    const outcome = await runs(`
      it('leaks', () => outside(STRANGER));
      it('updates', () => outside("update users set name = 'bo' where name = 'bob'"));
      it('deletes', () => outside('delete from users'));
      it('sees nothing of all that', async () => assert.equal(await names(), 'ann,bob'));`);
    assert.deepEqual((await leaksOf(outcome, given.database)).sort(), [
      '"deletes" public.users (0 rows new or changed, 2 gone or changed). They have been restored.',
      '"leaks" public.users (1 rows new or changed, 0 gone or changed). They have been restored.',
      '"updates" public.users (1 rows new or changed, 1 gone or changed). They have been restored.',
    ]);
    assert.deepEqual(Object.keys(outcome.failed).slice(0, 2), ['updates', 'deletes']);
  });

  it('is no write of a sandbox, whatever it does to its session', async () => {
    const outcome = await runs(
      `
      before(() => db('users').insert({ name: 'root' }));
      describe('outer', () => {
        before(() => db('users').insert({ name: 'outer' }));
        for (const sql of ['reset all', "set rewind.sandbox = 'off'", 'truncate users cascade', 'drop table notes', 'select 1']) {
          it(sql, async () => { await db.transaction(async (t) => { await t.raw(sql); await t('users').del(); await t('users').insert({ name: 'x' }); }); });
        }
        it('commits in its own way', () => db.transaction((t) => t('users').update({ name: t.raw("name || '!'") })));
        it('sees what hooks wrote', async () => assert.equal(await names(), 'ann,bob,outer,root'));
      });
      after(() => db('users').where({ name: 'root' }).del());`.replace(/$/, ''),
      {},
    );
    assert.deepEqual(outcome.failed, { 'commits @truncate': outcome.failed['commits @truncate'] }, outcome.output);
    assert.doesNotMatch(outcome.output, /REWIND_LEAK/);
  });

  it('that can’t be repaired says why, and is restored at the end', async () => {
    const outcome = await runs(`
      it('leaks', async () => {
        await db('notes').first();
        await outside("alter table users add constraint late check (name <> 'ann') not valid; delete from users where name = 'ann'");
      });
      it('is next', () => db('notes').first());`);
    assert.match(
      (await leaksOf(outcome, given.database)).join('\n'),
      /^"leaks" public\.users \(0 rows new or changed, 1 gone or changed\)\. They could not be restored yet: .* check constraint "late"/,
    );
  });

  it('is none of the rows of unmanaged suites, which build on each other', async () => {
    const outcome = await runs(`
      describe('legacy @unmanaged', () => {
        before(() => outside(STRANGER));
        it('writes', async () => { await db('users').insert({ name: 'x' }); await sleep(5); });
        describe('inner', () => { it('finds all of it', async () => { await sleep(5); assert.equal(await names(), 'ann,bob,stranger,x'); }); });
      });`);
    assertGreen(outcome);
    assert.equal(await usersNow(), 'ann,bob');
  });

  it('of the schema is charged to its test, and stays; of hooks it is said', async () => {
    const outcome = await runs(`
      describe('suite', () => {
        before(() => outside('create table made_by_hooks (id int)'));
        it('sees it', async () => assert.deepEqual(await db('made_by_hooks'), []));
        it('undoes what it did', async () => { await db('users').first(); await outside('create table x (id int)'); await outside('drop table x'); });
        it('alters', async () => { await db('users').first(); await outside('alter table notes add column age int'); });
        it('alters in the sandbox', async () => { await db.raw('alter table notes add column mine int'); await db('notes').select('mine', 'age'); });
        it('alters again', () => outside('create table made_by_a_test (id int)'));
      });`);
    assert.notEqual(outcome.code, 0);
    const told = Object.values(outcome.failed).join('\n');
    assert.match(
      told,
      /REWIND_LEAK: While "suite alters" ran, the schema of .* table public\.notes was altered \(now: column age integer\)\. No/,
    );
    assert.match(
      outcome.failed['suite alters again'] ?? '',
      /REWIND_LEAK: While "suite alters again" ran.* table public\.made_by_a_test was created/,
    );
    assert.equal(told.match(/REWIND_/g)?.length, 2, told);
    assert.match(
      outcome.stderr,
      /hooks changed the schema from outside, and it stays: table public\.made_by_hooks was created/,
    );
    assert.equal(outcome.passed.length, 5, outcome.output);
  });

  it('in the last test of a run is found, too', async () => {
    const outcome = await run(
      {
        'a.spec.js': `${OUTSIDE}
        it('commits @truncate', async () => { await db('users').first(); });
        describe('last @truncate', () => { after(() => outside(STRANGER)); it('commits', () => db('users').first()); });`,
      },
      { database: given.database, config: MANAGED },
    );
    assert.equal((await leaksOf(outcome, given.database)).length, 1, outcome.output);
  });
});

describe('looking for leaks', () => {
  const given = eachWithUsers();
  const ALONE = `${OUTSIDE}
    it('leaks', async () => { await db('users').first(); await outside(STRANGER); });
    it('may see it', async () => { await db('users').first(); });`;
  const runs = (spec: string, options: Partial<RunOptions> = {}): Promise<Outcome> =>
    run({ 'a.spec.js': spec }, { database: given.database, config: MANAGED, ...options });

  it('needs a snapshot: rollback tests alone take none, unless they are told to', async () => {
    assertGreen(await runs(ALONE));
    assert.equal(await given.usersNow(), 'ann,bob,stranger');
    await given.database.query(`delete from users where name = 'stranger'`);
    for (const asked of [{ config: `{ knex: require('./db'), leaks: 'always' }` }, { env: { REWIND_LEAKS: '1' } }]) {
      const outcome = await runs(ALONE, asked);
      assert.match(Object.values(outcome.failed).join(), /REWIND_LEAK: While "leaks" ran/, outcome.output);
      assert.equal(await given.usersNow(), 'ann,bob');
    }
  });

  it('uses the snapshot that an earlier run has kept, run after run, as long as it holds', async () => {
    assertGreen(await runs(`it('commits @truncate', async () => { await db('users').del(); });`));
    assertGreen(await runs(`it('rolls back', async () => { await db('users').del(); });`));
    for (let time = 0; time < 2; time++) {
      const outcome = await runs(ALONE);
      assert.match(Object.values(outcome.failed).join(), /REWIND_LEAK: While "leaks" ran/, outcome.output);
      assert.equal(await given.usersNow(), 'ann,bob');
    }
    await given.database.query(`insert into users (name) values ('baseline')`);
    assertGreen(await runs(`it('rolls back', async () => assert.equal(await names(), 'ann,baseline,bob'));`));
    assert.equal(await given.usersNow(), 'ann,baseline,bob');
  });

  it('can be switched off', async () => {
    const outcome = await runs(`${ALONE}${COMMITTING.replace(`'ann,bob'`, `'ann,bob,stranger'`)}`, {
      config: `{ knex: require('./db'), leaks: 'never' }`,
    });
    assert.doesNotMatch(outcome.output, /REWIND_LEAK/);
    assert.equal(await given.usersNow(), 'ann,bob');
  });

  it('costs a rollback test one message nobody waits for, and a test without a query none', async () => {
    const outcome = await runs(
      `const net = require('node:net');
      let messages = 0;
      const write = net.Socket.prototype.write;
      net.Socket.prototype.write = function (...args) { if (this !== process.stdout && this !== process.stderr) messages++; return write.apply(this, args); };
const countOf = (body) => describe('', () => {
        let before, last, slow = 0;
        it('warms up', () => db('users').first());
        for (let i = 0; i <= 20; i++) it('test ' + i, async () => {
          before ??= messages;
          if (performance.now() - last > 0.5) slow++;
          last = performance.now();
          await body();
        });
        it('counts', () => console.log('MESSAGES ' + (messages - before) + ' SLOW ' + slow));
      });
      countOf(() => {});
      countOf(() => db('users').insert({ name: 'x' }));
      ${COMMITTING}`,
    );
    assertGreen(outcome);
    const [without, queries] = [...outcome.output.matchAll(/MESSAGES (\d+) SLOW (\d+)/g)].map(([, n, slow]) => ({
      messages: Number(n),
      slow: Number(slow),
    }));
    assert.ok(without && queries);
    // 21 statements, 21 readings, and as many rollbacks where the next statement was slow to come
    assert.ok(queries.messages >= 21 && queries.messages <= 63, `${queries.messages} messages`);
    // a test of more than a millisecond may have written somewhere, and has begun in one interval and ended in the next
    assert.ok(without.messages <= 2 * without.slow, `${without.messages} messages, ${without.slow} slow`);
  });
});
