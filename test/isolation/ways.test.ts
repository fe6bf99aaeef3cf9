// The ways people run Mocha, and what they do to it.
import assert from 'node:assert/strict';
import { Client } from 'pg';
import { createDatabase } from '../support/database';
import { project } from '../support/project';
import { assertGreen, run, SPEC, together } from '../support/run';
import { full } from '../support/tiers';
import { MANAGED, USERS, eachWithUsers, usersOf } from '../support/users';

describe('a run, however it is started and whatever it meets,', () => {
  const shared = together(USERS, { config: MANAGED });

  it(
    'isolates each attempt of a test that is retried',
    shared(
      `
          for (const tag of ['', ' @truncate']) {
            let attempts = 0;
            it('fails twice' + tag, async function () {
              this.retries(2);
              attempts++;
              assert.equal(await names(), 'ann,bob');
              await db('users').insert({ name: 'cy' });
              assert.equal(attempts, 3);
            });
          }`,
      async (outcome, database) => {
        assertGreen(outcome);
        assert.equal(await usersOf(database), 'ann,bob');
      },
    ),
  );

  it(
    'lets no test stand in the way of a connection that is not managed once it is over',
    shared(
      `
          const { Client } = require('pg');
          it('locks', async () => { await db('users').del(); });
          it('lets another one write', async () => {
            const stranger = new Client(process.env.DATABASE_URL);
            await stranger.connect();
            await stranger.query('begin; lock table users; rollback');
            await stranger.end();
          });`,
      (outcome) => {
        assertGreen(outcome);
      },
    ),
  );

  it(
    'turns away a late query of a test, and tells of it by its name',
    shared(
      `
          for (const tag of ['', ' @truncate']) {
            let next, tried;
            const later = new Promise((r) => (next = r));
            const over = new Promise((r) => (tried = r));
            it('gives up' + tag, async function () { this.timeout(30); await later; await db('users').insert({ name: 'late' }).finally(tried); });
            it('is not disturbed' + tag, async () => { next(); await over; assert.equal(await names(), 'ann,bob'); });
          }`,
      async (outcome, database) => {
        assert.deepEqual(outcome.passed, ['is not disturbed', 'is not disturbed @truncate'], outcome.output);
        assert.match(outcome.output, /came too late: .*"gives up" after that test had ended/);
        assert.match(outcome.output, /came too late: .*"gives up @truncate" after that test had ended/);
        assert.equal(await usersOf(database), 'ann,bob');
      },
    ),
  );

  it(
    'fails a test that leaves a transaction open, and no other',
    shared(
      `
          it('forgets it', async () => { const trx = await db.transaction(); await trx('users').insert({ name: 'cy' }); });
          it('starts clean', async () => { assert.equal(await names(), 'ann,bob'); await db('users').insert({ name: 'cy' }); });
          it('forgets it @truncate', async () => { const trx = await db.transaction(); await trx('users').insert({ name: 'cy' }); });
          it('starts clean @truncate', async () => { assert.equal(await names(), 'ann,bob'); await db('users').insert({ name: 'cy' }); });`,
      async (outcome, database) => {
        assert.deepEqual(Object.keys(outcome.failed).sort(), ['forgets it', 'forgets it @truncate'], outcome.output);
        for (const message of Object.values(outcome.failed)) assert.match(message, /REWIND_LEFT_OPEN: /);
        assert.ok(outcome.passed.includes('starts clean') && outcome.passed.includes('starts clean @truncate'));
        assert.equal(await usersOf(database), 'ann,bob');
      },
    ),
  );

  it(
    'lets a body that timed out not begin again while its test is restored',
    shared(
      `
          const sleep = (ms) => new Promise((r) => setTimeout(r, ms));
          it('holds a lock, and goes on when that is ended @truncate', async function () {
            this.timeout(200);
            for (;;) {
              await db.transaction(async (trx) => { await trx('users').insert({ name: 'late' }); await sleep(5000); }).catch((e) => { if (/LATE/.test(e.message)) throw e; });
              await db('users').insert({ name: 'later' }).catch((e) => { if (/LATE/.test(e.message)) throw e; });
            }
          });
          it('sees nothing of it @truncate', async () => { await sleep(300); assert.equal(await names(), 'ann,bob'); });
          it('sees nothing of it later @truncate', async () => assert.equal(await names(), 'ann,bob'));`,
      async (outcome, database) => {
        assert.deepEqual(
          outcome.passed,
          ['sees nothing of it @truncate', 'sees nothing of it later @truncate'],
          outcome.output,
        );
        assert.doesNotMatch(Object.values(outcome.failed).join(), /REWIND_LEAK/);
        assert.equal(await usersOf(database), 'ann,bob');
      },
    ),
  );
});

describe('a run, however it is started and whatever it meets,', () => {
  const given = eachWithUsers();
  const { usersNow } = given;

  it('ends by itself though nobody destroys the pools', async () => {
    const outcome = await run(
      {
        'a.spec.js': `
          const pool = new (require('pg').Pool)({ connectionString: process.env.DATABASE_URL, idleTimeoutMillis: 0 });
          it('rolls back', () => db('users').del());
          it('commits @truncate', async () => { await Promise.all([db('users').first(), db('users').first(), db('users').del()]); });`,
      },
      {
        database: given.database,
        files: {
          'db.js': `module.exports = require('knex').knex({ client: 'pg', connection: process.env.DATABASE_URL, pool: { min: 2, max: 5 } });`,
        },
      },
    );
    assertGreen(outcome);
  });

  it('may get its plugin from a set-up file that calls rewind()', async () => {
    const p = project({
      files: {
        'db.js': `module.exports = require('knex').knex({ client: 'pg', connection: process.env.DATABASE_URL });`,
        'setup.js': `module.exports = require('mocha-rewind').rewind({ knex: require('./db'), default: 'truncate' });`,
        'a.spec.js': `${SPEC}
          it('commits', async () => { await db('users').del(); assert.equal((await db.raw('select txid_current_if_assigned() as x')).rows[0].x, null); });
          it('finds everything back', async () => assert.equal(await names(), 'ann,bob'));`,
      },
    });
    try {
      const finished = await p.mocha(['--require', './setup.js', 'a.spec.js'], { DATABASE_URL: given.database.url });
      assert.equal(finished.code, 0, finished.output);
      assert.match(finished.stderr, /rewind: 2 committed/);
    } finally {
      p.remove();
    }
  });

  it('shares one test transaction among instances of one database, and has one for each database', async () => {
    const other = await createDatabase('create table logs (line text)');
    try {
      const outcome = await run(
        {
          'a.spec.js': `
            const all = require('./all');
            it('writes', async () => {
              await all.first('users').insert({ name: 'cy' });
              assert.equal(await names(all.second), 'ann,bob,cy');
              assert.equal((await all.pool.query('select * from users')).rows.length, 3);
              await all.other('logs').insert({ line: 'x' });
              assert.equal((await all.other('logs')).length, 1);
            });
            it('starts clean', async () => { assert.equal(await names(all.second), 'ann,bob'); assert.equal((await all.other('logs')).length, 0); });
            it('commits to both @truncate', async () => { await all.first('users').del(); await all.other('logs').insert({ line: 'y' }); });
            it('has both back @truncate', async () => { assert.equal(await names(), 'ann,bob'); assert.equal((await all.other('logs')).length, 0); });`,
        },
        {
          database: given.database,
          env: { OTHER_URL: other.url },
          files: {
            'all.js': `const knex = require('knex');
              const make = (connection) => knex({ client: 'pg', connection, pool: { min: 0, max: 3 } });
              exports.first = require('./db');
              exports.second = make({ connectionString: process.env.DATABASE_URL });
              exports.other = make(process.env.OTHER_URL);
              exports.pool = new (require('pg').Pool)({ connectionString: process.env.DATABASE_URL });`,
          },
          config: `{ knex: (({ first, second, other }) => ({ first, second, other }))(require('./all')), pools: require('./all').pool }`,
        },
      );
      assertGreen(outcome);
      assert.equal(await usersNow(), 'ann,bob');
      assert.deepEqual(await other.query('select * from logs'), []);
    } finally {
      await other.drop();
    }
  });

  it('has one transaction and one snapshot for two roles on one database, each with its own rights', async () => {
    const role = `${given.database.name}_role`;
    await given.database.query(
      `create role ${role} login; grant all on users to ${role}; grant all on sequence users_id_seq to ${role}`,
    );
    try {
      const outcome = await run(
        {
          'a.spec.js': `
            const other = require('./other');
            it('rolls back', async () => {
              await db('users').insert({ name: 'bea' });
              await other('users').where({ name: 'ann' }).del();
              assert.equal(await names(), 'bea,bob');
              assert.equal(await names(other), 'bea,bob');
              await assert.rejects(other.raw('drop table users'), { code: '42501' });
              const { rows } = await other.raw('select session_user::text as name');
              assert.match(rows[0].name, /_role$/);
            });
            it('commits @truncate', async () => { await other('users').where({ name: 'ann' }).del(); await db('users').insert({ name: 'cy' }); });
            it('has it back @truncate', async () => { assert.equal(await names(), 'ann,bob'); assert.equal(await names(other), 'ann,bob'); });`,
        },
        {
          database: given.database,
          env: { OTHER_URL: given.database.url.replace('postgres@', `${role}@`) },
          config: `{ knex: { other: require('./other'), main: require('./db') } }`,
          files: {
            'other.js': `module.exports = require('knex').knex({ client: 'pg', connection: process.env.OTHER_URL });`,
          },
        },
      );
      assertGreen(outcome);
      assert.equal(await usersNow(), 'ann,bob');
    } finally {
      await given.database.query(`drop owned by ${role}; drop role ${role}`);
    }
  });

  it('leaves instances alone that the config excludes', async () => {
    const outcome = await run(
      {
        'a.spec.js': `after(() => db.destroy()); it('writes', async () => { await db('users').insert({ name: 'cy' }); });`,
      },
      {
        database: given.database,
        config: `{ exclude: ({ database }) => database === '${given.database.name}' }`,
      },
    );
    assertGreen(outcome);
    assert.equal(await usersNow(), 'ann,bob,cy');
  });

  it('manages the instances that the config names, and no others', async () => {
    const outcome = await run(
      {
        'a.spec.js': `
          const other = require('knex').knex({ client: 'pg', connection: process.env.DATABASE_URL });
          after(() => other.destroy());
          it('writes', async () => { await db('users').insert({ name: 'in' }); await other('users').insert({ name: 'out' }); });`,
      },
      { database: given.database, config: MANAGED },
    );
    assertGreen(outcome);
    assert.equal(await usersNow(), 'ann,bob,out');
  });

  it('takes no row for leaked that only looks new, because of an older transaction', async () => {
    const old = new Client({ connectionString: given.database.url });
    await old.connect();
    await old.query('begin; select txid_current()');
    try {
      const outcome = await run(
        {
          'a.spec.js': `
            describe('one', () => { it('rolls back', async () => { await db('users').del(); }); });
            describe('two', () => { it('rolls back', async () => { await db('users').del(); }); });
            it('commits @truncate', async () => { await db('users').del(); });`,
        },
        {
          database: given.database,
          config: `{ knex: require('./db'), seed: async (k) => { await k('users').del(); await k('users').insert([{ name: 'x' }, { name: 'y' }]); } }`,
        },
      );
      assertGreen(outcome);
      assert.equal(await usersNow(), 'x,y');
    } finally {
      await old.query('rollback');
      await old.end();
    }
  });

  it('keeps describes whole, and lets rejections be, if the config says so', async () => {
    const specs = {
      'a.spec.js': `
        describe('mixed', () => {
          it('first @truncate', () => {});
          it('second', () => { void Promise.reject(new Error('nobody cares')); });
        });
        describe('other', () => { it('third', () => {}); });`,
    };
    const whole = await run(specs, { database: given.database, config: `{ split: false, rejections: 'ignore' }` });
    assertGreen(whole);
    assert.deepEqual(whole.ran, ['other third', 'mixed first @truncate', 'mixed second']);
  });

  it('shows the SQL of failed tests on request, and of no other', async () => {
    const specs = {
      'a.spec.js': `
        it('fails', async () => { await db('users').where({ name: 'ann' }).first(); assert.fail('on purpose'); });
        it('passes', async () => { await db('users').where({ name: 'bob' }).first(); });`,
    };
    const outcome = await run(specs, { database: given.database, env: { REWIND_SQL: 'failed' } });
    assert.match(outcome.stderr, /SQL of "fails":\n {4}1\. select .*"users".* -- \["ann",1\]/);
    assert.doesNotMatch(outcome.stderr, /bob/);
    assert.doesNotMatch((await run(specs, { database: given.database })).stderr, /SQL of/);
  });

  it('counts queries in tests of either kind', async () => {
    const outcome = await run(
      {
        'a.spec.js': `
          const { countQueries, expectQueries } = require('mocha-rewind');
          const pool = require('./pool');
          for (const tag of ['', ' @truncate']) {
            it('counts' + tag, async () => {
              const seen = await countQueries(async () => {
                await db.transaction(async (trx) => { await trx('users').insert({ name: 'cy' }); });
                for await (const row of db('users').stream()) void row;
                await pool.query('select $1::int', [7]);
              });
              assert.deepEqual(seen.map((q) => q.sql.split(' ')[0]), ['insert', 'select', 'select']);
              assert.deepEqual(seen[2].values, [7]);
              await assert.rejects(expectQueries(1, async () => { await db('users'); await db('users'); }), { code: 'REWIND_QUERY_COUNT' });
              assert.equal((await countQueries(() => {})).length, 0);
            });
          }`,
      },
      {
        database: given.database,
        config: `{ knex: require('./db'), pools: require('./pool') }`,
        files: {
          'pool.js': `module.exports = new (require('pg').Pool)({ connectionString: process.env.DATABASE_URL });`,
        },
      },
    );
    assertGreen(outcome);
  });

  for (const config of [MANAGED, undefined]) {
    it(`starts on the baseline after a run that was killed in a committing test${config ? '' : ', without a config too'}${full(!config)}`, async () => {
      const specs = {
        'a.spec.js': `
        it('is killed @truncate', async () => {
          assert.equal(await names(), 'ann,bob');
          await db('users').where({ name: 'ann' }).del();
          await db('users').insert({ name: 'cy' });
          if (process.env.KILL) process.kill(process.pid, 'SIGKILL');
        });`,
        'b.spec.js': `it('rolls back', async () => assert.equal(await names(), 'ann,bob'));`,
      };
      const killed = await run(specs, {
        database: given.database,
        env: { KILL: '1' },
        ...(config && { config }),
      }).catch((error: Error) => error);
      assert.ok(killed instanceof Error, 'the run was killed');
      assert.equal(await usersNow(), 'bob,cy');
      const next = await run(specs, { database: given.database, ...(config && { config }) });
      assertGreen(next);
      assert.match(next.stderr, /killed.*baseline/);
      assert.equal(await usersNow(), 'ann,bob');
    });
  }

  it('gives each worker of --parallel its own database, and drops them all', async () => {
    const spec = (name: string): string => `
      const { Client } = require('pg');
      const pause = () => new Promise((r) => setTimeout(r, 50));
      describe('${name}', () => {
        it('commits @truncate', async () => {
          await db('users').del(); await pause();
          assert.equal(await names(), '');
          await db('users').insert({ name: '${name}' }); await pause();
          const c = new Client(process.env.DATABASE_URL); await c.connect();
          assert.deepEqual((await c.query('select name from users')).rows, [{ name: '${name}' }]);
          await c.end();
        });
        it('rolls back', async () => { assert.equal(await names(), 'ann,bob,seeded'); await db('users').del(); });
      });
      it('is left alone @unmanaged', async () => { await db('users').insert({ name: '${name}' }); });`;
    const files = Object.fromEntries(['a', 'b', 'c', 'd', 'e'].map((n) => [`${n}.spec.js`, spec(n)]));
    const outcome = await run(files, {
      database: given.database,
      args: ['--parallel', '--jobs', '2'],
      config: `{ knex: require('./db'), seed: (k) => k('users').insert({ name: 'seeded' }).onConflict().ignore() }`,
    });
    assertGreen(outcome);
    assert.equal(outcome.passed.length, 15);
    assert.match(outcome.stderr, /rewind: 5 rolled back · 5 committed, undone .* · 5 left alone/);
    assert.equal(await usersNow(), 'ann,bob', 'nobody has used the database itself');
    const left = await given.database.query(
      `select datname from pg_database where datname like '${given.database.name}_%'`,
    );
    assert.deepEqual(left, []);
  });
});
