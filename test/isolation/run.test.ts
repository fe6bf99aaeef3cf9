import assert from 'node:assert/strict';
import { createDatabase } from '../support/database';
import { startPlainServer } from '../support/plain-server';
import { assertGreen, run, together } from '../support/run';
import { full } from '../support/tiers';
import { MANAGED, USERS, eachWithUsers, usersOf } from '../support/users';

/** The app's instance, on a pool that makes its clients itself. */
const ON_SHARED_POOL = {
  'db.js': `
    const { Client } = require('pg');
    const { KnexPool } = require('knex/lib/pool');
    const create = async () => { const client = new Client(process.env.DATABASE_URL); await client.connect(); return client; };
    const connectionPool = new KnexPool({ create, destroy: (client) => client.end(), min: 0, max: 5 });
    module.exports = require('knex').knex({ client: 'pg', connectionPool });`,
};

describe('a run', () => {
  const shared = together(USERS, { config: MANAGED });

  for (const config of [MANAGED, undefined]) {
    describe(config ? 'with a config' : 'without a config', () => {
      const shared = together(USERS, config ? { config } : {});

      it(
        'rolls back what a test writes',
        shared(
          `
              it('writes', async () => { await db('users').insert({ name: 'cy' }); assert.equal(await names(), 'ann,bob,cy'); });
              it('does not see it', async () => assert.equal(await names(), 'ann,bob'));`,
          async (outcome, database) => {
            assertGreen(outcome);
            assert.equal(outcome.ran.length, 2);
            assert.equal(await usersOf(database), 'ann,bob');
          },
        ),
      );

      it(
        'shows what before hooks write to everything inside, and to nothing else',
        shared(
          `
              describe('outer', () => {
                before(() => db('users').insert({ name: 'outer' }));
                beforeEach(() => db('users').insert({ name: 'each' }));
                it('sees outer', async () => { assert.equal(await names(), 'ann,bob,each,outer'); await db('users').del(); });
                it('still sees outer', async () => assert.equal(await names(), 'ann,bob,each,outer'));
                describe('inner', () => {
                  before(() => db('users').insert({ name: 'inner' }));
                  it('sees both', async () => assert.equal(await names(), 'ann,bob,each,inner,outer'));
                });
                describe('sibling', () => {
                  it('does not see inner', async () => assert.equal(await names(), 'ann,bob,each,outer'));
                });
                after(async () => assert.equal(await names(), 'ann,bob,outer'));
              });
              describe('next', () => { it('sees nothing', async () => assert.equal(await names(), 'ann,bob')); });`,
          async (outcome, database) => {
            assertGreen(outcome);
            assert.equal(await usersOf(database), 'ann,bob');
          },
        ),
      );
    });
  }

  it(
    'restores nested checkpoints, whichever hook fails',
    shared(
      `
          describe('outer @truncate', () => {
            before(() => db('users').insert({ name: 'outer' }));
            it('one', async () => { assert.equal(await names(), 'ann,bob,outer'); await db('users').del(); });
            describe('inner', () => {
              before(() => db('users').insert({ name: 'inner' }));
              it('two', async () => { assert.equal(await names(), 'ann,bob,inner,outer'); await db('users').del(); });
              it('three', async () => assert.equal(await names(), 'ann,bob,inner,outer'));
              after(() => { throw new Error('after hook'); });
            });
            describe('sibling', () => { it('four', async () => assert.equal(await names(), 'ann,bob,outer')); });
          });
          describe('failing @truncate', () => {
            before(async () => { await db('users').insert({ name: 'half' }); throw new Error('before hook'); });
            it('never', () => {});
          });
          describe('next @truncate', () => { it('five', async () => assert.equal(await names(), 'ann,bob')); });`,
      async (outcome, database) => {
        assert.deepEqual(
          outcome.passed,
          ['one', 'inner two', 'inner three', 'sibling four']
            .map((t) => `outer @truncate ${t}`)
            .concat('next @truncate five'),
          outcome.output,
        );
        assert.equal(Object.keys(outcome.failed).length, 2);
        assert.notEqual(outcome.code, 0);
        assert.equal(await usersOf(database), 'ann,bob');
      },
    ),
  );

  it(
    'fails a @nodb test that uses the database, even if its code swallows the error',
    shared(
      `
          describe('pure @nodb', () => {
            it('adds', () => assert.equal(1 + 1, 2));
            it('asks', async () => { await db('users').first(); });
            it('asks in silence', async () => { await db('users').first().catch(() => {}); });
            it('transacts', async () => { await db.transaction(async (trx) => trx('users').first()); });
          });
          it('goes on', async () => assert.equal(await names(), 'ann,bob'));`,
      (outcome) => {
        assert.deepEqual(outcome.passed, ['goes on', 'pure @nodb adds'], outcome.output);
        assert.equal(Object.keys(outcome.failed).length, 3, outcome.output);
        for (const message of Object.values(outcome.failed)) assert.match(message, /REWIND_NODB: .*pure @nodb .*@nodb/);
      },
    ),
  );
});

describe('a run', () => {
  const given = eachWithUsers();
  const { usersNow } = given;

  for (const config of [MANAGED, undefined]) {
    describe(config ? 'with a config' : 'without a config', () => {
      it(`runs truncating tests last, lets them really commit, and restores what they changed${full(!config)}`, async () => {
        const outcome = await run(
          {
            'a.spec.js': `
              const { Client } = require('pg');
              const elsewhere = async (sql) => { const c = new Client(process.env.DATABASE_URL); await c.connect(); try { return (await c.query(sql)).rows; } finally { await c.end(); } };
              describe('mixed', () => {
                before(() => db('users').insert({ name: 'fixture' }));
                it('commits @truncate', async () => {
                  const [{ id }] = await db('users').insert({ name: 'cy' }).returning('id');
                  assert.equal(id, 4);
                  assert.equal((await elsewhere('select name from users order by name')).map((r) => r.name).join(), 'ann,bob,cy,fixture');
                });
                it('destroys the fixtures @truncate', async () => { await db.raw('truncate users cascade'); assert.equal(await names(), ''); });
                it('rolls back', async () => { assert.equal(await names(), 'ann,bob,fixture'); await db('users').del(); });
                it('has them back @truncate', async () => {
                  assert.equal(await names(), 'ann,bob,fixture');
                  await elsewhere("insert into users (name) values ('stranger')");
                });
                it('is not reached by the stranger @truncate', async () => assert.equal(await names(), 'ann,bob,fixture'));
              });`,
            'b.spec.js': `it('rolls back too', async () => assert.equal(await names(), 'ann,bob'));
              it('sees the baseline @truncate', async () => assert.equal(await names(), 'ann,bob'));`,
          },
          { database: given.database, ...(config && { config }) },
        );
        assertGreen(outcome);
        assert.deepEqual(outcome.ran, [
          'rolls back too',
          'mixed rolls back',
          'sees the baseline @truncate',
          'mixed commits @truncate',
          'mixed destroys the fixtures @truncate',
          'mixed has them back @truncate',
          'mixed is not reached by the stranger @truncate',
        ]);
        assert.equal(await usersNow(), 'ann,bob');
        const [next] = await given.database.query<{ nextval: string }>(`select nextval('users_id_seq')`);
        assert.equal(next?.nextval, '3', 'the sequence is where the seed left it');
      });
    });
  }

  it('commits what root-level hooks wrote when the truncating tests begin, and removes it at the end', async () => {
    const outcome = await run(
      {
        'a.spec.js': `
          before(() => db('users').insert({ name: 'root' }));
          it('sees it', async () => assert.equal(await names(), 'ann,bob,root'));
          it('sees it too @truncate', async () => { assert.equal(await names(), 'ann,bob,root'); await db('users').del(); });
          it('sees it again @truncate', async () => assert.equal(await names(), 'ann,bob,root'));`,
      },
      { database: given.database, config: MANAGED },
    );
    assertGreen(outcome);
    assert.equal(await usersNow(), 'ann,bob');
  });

  it('does the same when only truncating tests run', async () => {
    const outcome = await run(
      {
        'a.spec.js': `
          before(() => db('users').insert({ name: 'root' }));
          it('sees it @truncate', async () => { assert.equal(await names(), 'ann,bob,root'); await db('users').del(); });
          it('sees it again @truncate', async () => assert.equal(await names(), 'ann,bob,root'));`,
      },
      { database: given.database },
    );
    assertGreen(outcome);
    assert.equal(await usersNow(), 'ann,bob');
  });

  it('keeps what dirty tests write, runs them after the truncating ones, and unmanaged ones last', async () => {
    const outcome = await run(
      {
        'a.spec.js': `
          it('unmanaged @unmanaged', async () => { assert.equal(await names(), 'ann,bob,dirt'); await db('users').insert({ name: 'un' }); });
          it('dirty @dirty', async () => { assert.equal(await names(), 'ann,bob'); await db('users').insert({ name: 'dirt' }); });
          it('truncating @truncate', async () => { await db('users').del(); });
          it('rollback', async () => { await db('users').del(); });`,
      },
      { database: given.database, config: MANAGED },
    );
    assertGreen(outcome);
    assert.deepEqual(outcome.ran, ['rollback', 'truncating @truncate', 'dirty @dirty', 'unmanaged @unmanaged']);
    assert.equal(await usersNow(), 'ann,bob,dirt,un');
  });

  it('lets hooks outside of what is tagged @nodb use the database, and undoes what they write', async () => {
    const outcome = await run(
      {
        'a.spec.js': `
          let before = 0;
          let after = 0;
          beforeEach(async () => { await db('users').insert({ name: 'each' }); before++; });
          afterEach(async () => { assert.equal(await names(), 'ann,bob,each'); after++; });
          describe('mixed', () => {
            beforeEach(() => db('users').first());
            it('adds @nodb', () => assert.equal(before, 1));
            it('asks @nodb', async () => { await db('users').first(); });
            it('may ask', async () => assert.equal(await names(), 'ann,bob,each'));
          });
          describe('pure @nodb', () => {
            afterEach(() => db('users').first());
            it('has a hook that asks', () => {});
            it('never', () => {});
          });
          describe('the last', () => { it('has seen all hooks', () => assert.equal(after, 4)); });`,
      },
      { database: given.database, config: MANAGED },
    );
    assert.deepEqual(
      outcome.passed,
      ['mixed adds @nodb', 'mixed may ask', 'pure @nodb has a hook that asks', 'the last has seen all hooks'],
      outcome.output,
    );
    assert.deepEqual(Object.keys(outcome.failed), [
      'mixed asks @nodb',
      'pure @nodb "after each" hook for "has a hook that asks"',
      'pure @nodb has a hook that asks',
    ]);
    for (const message of Object.values(outcome.failed)) assert.match(message, /REWIND_NODB/);
    assert.equal(await usersNow(), 'ann,bob');
  });

  it('refuses a committing test inside a suite whose hooks wrote under rollback, and no other test', async () => {
    const outcome = await run(
      {
        'a.spec.js': `
          const { Test } = require('mocha');
          describe('suite', () => {
            before(async function () {
              await db('users').insert({ name: 'fixture' });
              this.test.parent.addTest(new Test('added @truncate', async () => { await db('users').del(); }));
            });
            it('first', async () => assert.equal(await names(), 'ann,bob,fixture'));
          });
          describe('next', () => { it('second', async () => assert.equal(await names(), 'ann,bob')); });`,
      },
      { database: given.database, config: MANAGED },
    );
    assert.deepEqual(outcome.passed, ['suite first', 'next second'], outcome.output);
    const refusal = outcome.failed['suite added @truncate'] ?? '';
    assert.match(refusal, /REWIND_MODE_MIX: .*suite "suite"/);
    assert.doesNotMatch(refusal, /REWIND_LEFT_OPEN/, 'the connection that is out is ours');
    assert.equal(await usersNow(), 'ann,bob');
  });

  it('refuses a database that is not one for tests, before anything is written', async () => {
    const server = await startPlainServer();
    try {
      const shop = await createDatabase(USERS, { server: server.url, name: 'shop' });
      const seeded = `{ knex: require('./db'), seed: (k) => k('users').insert({ name: 'seeded' }) }`;
      for (const [config, files] of [
        [seeded, {}],
        [undefined, {}],
        [seeded, ON_SHARED_POOL],
        [undefined, ON_SHARED_POOL],
      ] as const) {
        const outcome = await run(
          { 'a.spec.js': `it('asks', async () => { await db('users').insert({ name: 'x' }); });` },
          // the database that settings would lead to that say nothing
          { database: shop, files, env: { PGDATABASE: 'shop_test' }, ...(config && { config }) },
        );
        assert.notEqual(outcome.code, 0);
        assert.match(Object.values(outcome.failed).join(), /REWIND_UNSAFE_DATABASE: Database "shop" .*allowDatabase/s);
        assert.deepEqual(await shop.query('select name from users'), [{ name: 'ann' }, { name: 'bob' }]);
      }
      const allowed = await run(
        { 'a.spec.js': `it('asks', async () => assert.equal(await names(), 'ann,bob'));` },
        { database: shop, config: `{ knex: require('./db'), allowDatabase: (info) => info.name === 'shop' }` },
      );
      assertGreen(allowed);
    } finally {
      await server.stop();
    }
  });

  it('migrates and seeds before the first test, committed', async () => {
    const outcome = await run(
      {
        'a.spec.js': `
          it('finds the seed', async () => { assert.equal(await names(), 'seeded'); await db('users').del(); });
          it('finds it again @truncate', async () => { assert.equal(await names(), 'seeded'); await db('users').del(); });`,
      },
      {
        database: given.database,
        config: `{ knex: require('./db'), migrate: (k) => k.raw('create table if not exists later (id int)'), seed: async (k) => { await k('users').del(); await k('users').insert({ name: 'seeded' }); await k('later').insert({ id: 1 }); } }`,
      },
    );
    assertGreen(outcome);
    assert.equal(await usersNow(), 'seeded');
  });

  it('stops with the message of a seed that fails', async () => {
    const outcome = await run(
      { 'a.spec.js': `it('never', () => {});` },
      { database: given.database, config: `{ knex: require('./db'), seed: (k) => k('nowhere').insert({ a: 1 }) }` },
    );
    assert.notEqual(outcome.code, 0);
    assert.deepEqual(outcome.passed, []);
    assert.match(
      Object.values(outcome.failed).join(),
      /REWIND_SETUP: `seed` failed: .*relation "nowhere" does not exist/,
    );
  });

  it('says what to do where tables are missing because nothing makes them', async () => {
    await given.database.query('drop table notes, users');
    const { failed, output } = await run(
      {
        'a.spec.js': `
          it('rolls back', () => db('users').del());
          it('makes one, and wants another', async () => {
            await db.schema.createTable('things', (t) => t.increments());
            await db('users').del();
          });
          describe('S', () => { before(() => db('users').del()); it('never', () => {}); });
          it('commits @truncate', () => db('users').del());
          it('wants another, too @truncate', async () => {
            await db.schema.createTable('things', (t) => t.increments());
            await db('users').del();
          });`,
      },
      { database: given.database },
    );
    const hint =
      /relation "users" does not exist[^]*mocha-rewind: database "\w+" \(knex\) has no tables, and .* `migrate`/;
    const hinted = Object.keys(failed).filter((title) => hint.test(failed[title] ?? ''));
    assert.deepEqual(hinted.sort(), ['S "before all" hook for "never"', 'commits @truncate', 'rolls back'], output);
    assert.equal(Object.keys(failed).length, 5);
  });

  it('says that migrating is what a seed lacks, where it finds no table', async () => {
    const failing = async (migrate: string): Promise<string> => {
      const config = `{ knex: require('./db'), ${migrate} seed: (k) => k('nowhere').insert({ a: 1 }) }`;
      const { failed } = await run({ 'a.spec.js': `it('never', () => {});` }, { database: given.database, config });
      return Object.values(failed).join();
    };
    assert.match(await failing(''), /REWIND_SETUP.*\n.*`migrate` is not set/);
    assert.doesNotMatch(await failing('migrate: () => {},'), /`migrate` is not set/);
  });
});
