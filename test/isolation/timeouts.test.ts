// A test or hook that times out says what it was waiting for.
import assert from 'node:assert/strict';
import { run, together } from '../support/run';
import { MANAGED, USERS, eachWithUsers } from '../support/users';
import { full } from '../support/tiers';

const STRANGER = `const { Client } = require('pg');
  const stranger = new Client({ connectionString: process.env.DATABASE_URL, application_name: 'stranger' });
  stranger.on('error', () => {});
  before(() => stranger.connect());
  after(() => stranger.end());
`;

describe('a time-out', () => {
  const shared = together(USERS, { config: MANAGED });
  const times = (spec: string, check: Parameters<typeof shared>[1]): Mocha.AsyncFunc =>
    shared(`before(() => db.raw('select 1'));\n${spec}`, check);

  it(
    'has Mocha’s own words where nobody waits for the database',
    times(
      `
      it('waits for nothing', (done) => { setTimeout(() => {}, 0); }).timeout(700);
      it('has asked before', async () => { await db('users').first(); await new Promise(() => {}); }).timeout(700);
      it('goes on', async () => assert.equal(await names(), 'ann,bob'));`,
      (outcome) => {
        for (const title of ['waits for nothing', 'has asked before']) {
          assert.match(outcome.failed[title] ?? '', /^Timeout of 700ms exceeded\..*a\.spec\.js\)$/);
        }
        assert.deepEqual(outcome.passed, ['goes on']);
        assert.equal(outcome.code, 2);
      },
    ),
  );

  it(
    'names the app’s connections that a committing test has locked one another with',
    times(
      `
      it('locks itself out @truncate', async () => {
        const trx = await db.transaction();
        await trx('users').where({ name: 'ann' }).update({ name: 'dee' });
        await db('users').where({ name: 'ann' }).del();
      }).timeout(700);
      it('goes on @truncate', async () => assert.equal(await names(), 'ann,bob'));`,
      (outcome) => {
        assert.match(
          outcome.failed['locks itself out @truncate'] ?? '',
          /connection (\d+) \(the app's, managed\) .* waits with "delete from .*" for a lock of connection (?!\1)\d+ \(the app's, managed\), idle in transaction, "update /,
        );
        assert.deepEqual(outcome.passed, ['goes on @truncate'], outcome.output);
      },
    ),
  );

  it(
    'names who waits for the test’s own locks',
    times(
      `${STRANGER}
      it('waits for a stranger', async () => {
        await db('users').where({ name: 'ann' }).update({ name: 'dee' });
        await stranger.query("delete from users where name = 'ann'");
      }).timeout(700);
      it('goes on', async () => assert.equal(await names(), 'ann,bob'));`,
      (outcome) => {
        assert.match(
          outcome.failed['waits for a stranger'] ?? '',
          /connection \d+ \(not managed: "stranger"\) .* waits with "delete from users .*" for a lock of connection \d+ \(the app's, managed\)/,
        );
      },
    ),
  );

  it(
    'names a statement that takes its time',
    times(
      `
      for (const tag of ['', ' @truncate']) it('is slow' + tag, async () => { await db.raw('select pg_sleep(2)'); }).timeout(700);`,
      (outcome) => {
        for (const title of ['is slow', 'is slow @truncate']) {
          assert.match(
            outcome.failed[title] ?? '',
            /connection \d+ \(the app's, managed\) .* is still running "select pg_sleep\(2\)"/,
          );
        }
      },
    ),
  );

  it(
    'names the transaction that a rolled-back test’s statement waits for',
    times(
      `
      it('waits', async () => {
        const trx = await db.transaction();
        await trx('users').del();
        await db('users').first();
      }).timeout(700);`,
      (outcome) => {
        assert.match(
          outcome.failed['waits'] ?? '',
          /- "select .*" waits for another connection's transaction to end, begun at a\.spec\.js:\d+:\d+: a rolled-back test has one real connection\./,
        );
      },
    ),
  );
});

describe('a time-out', () => {
  const given = eachWithUsers();
  const runs = (spec: string, args: readonly string[] = []): ReturnType<typeof run> =>
    run(
      { 'a.spec.js': `before(() => db.raw('select 1'));\n${spec}` },
      { database: given.database, config: MANAGED, args },
    );

  for (const args of [[], ['--parallel', '--jobs', '2']]) {
    it(`names the stranger whose lock a rolled-back test waits for${args.length > 0 ? ', in a worker too' : ''}${full(args.length > 0)}`, async () => {
      const outcome = await runs(
        `${STRANGER}
        describe('locked', () => {
          before(() => stranger.query('begin; lock table users'));
          after(() => stranger.query('rollback'));
          it('waits', async () => { await db('users').insert({ name: 'cy' }); }).timeout(700);
        });
        describe('later', () => { it('goes on', async () => assert.equal(await names(), 'ann,bob')); });`,
        args,
      );
      const message = outcome.failed['locked waits'] ?? '';
      assert.match(message, /^Timeout of 700ms exceeded/);
      assert.match(
        message,
        /- connection \d+ \(the app's, managed\) of database "rw_test_.*" \(knex\) waits with "insert into .*" for a lock of connection \d+ \(not managed: "stranger"\), idle in transaction, "begin; lock table users"\./,
      );
      assert.deepEqual(outcome.passed, ['later goes on'], outcome.output);
    });
  }

  for (const tag of ['', ' @truncate']) {
    it(`names the place that has taken the last connection of the pool${tag && ', in a committing test'}${full(tag !== '')}`, async () => {
      const outcome = await run(
        {
          'a.spec.js': `
            before(() => db.raw('select 1'));
            it('waits${tag}', async () => {
              await db.transaction(async (trx) => { await trx('users').first(); await db('users').first(); });
            }).timeout(700);`,
        },
        {
          database: given.database,
          config: MANAGED,
          files: {
            'db.js': `module.exports = require('knex').knex({ client: 'pg', connection: process.env.DATABASE_URL, pool: { min: 0, max: 1 }, acquireConnectionTimeout: 1000 });`,
          },
        },
      );
      assert.match(
        outcome.failed[`waits${tag}`] ?? '',
        /- A query waits for a connection to database ".*" \(knex\): the only one of its pool is checked out, at a\.spec\.js:\d+:\d+\./,
      );
    });

    it(`names the place that has not given back a pg client${tag && ', in a committing test'}${full(tag === '')}`, async () => {
      const outcome = await run(
        {
          'a.spec.js': `
            const pool = require('./pool');
            const taken = [];
            before(() => pool.query('select 1'));
            afterEach(() => taken.forEach((client) => client.release()));
            it('waits${tag}', async () => { taken.push(await pool.connect(), await pool.connect()); await Promise.all([pool.query('select 1'), pool.query('select 2')]); }).timeout(700);`,
        },
        {
          database: given.database,
          config: `{ knex: require('./db'), pools: require('./pool') }`,
          files: {
            'pool.js': `module.exports = new (require('pg').Pool)({ connectionString: process.env.DATABASE_URL, max: 2, connectionTimeoutMillis: 1000 });`,
          },
        },
      );
      assert.match(
        outcome.failed[`waits${tag}`] ?? '',
        /- 2 queries wait for a connection to database ".*" \(pg\.Pool\): all 2 of its pool are checked out, at a\.spec\.js:\d+:\d+, at a\.spec\.js:\d+:\d+\./,
      );
    });
  }

  it('of a hook is explained just the same @full', async () => {
    const outcome = await runs(`${STRANGER}
      describe('S', () => {
        before(() => stranger.query('begin; lock table users'));
        before(async function () { this.timeout(700); await db('users').insert({ name: 'cy' }); });
        after(() => stranger.query('rollback'));
        it('never', () => {});
      });
      describe('T', () => {
        beforeEach(() => stranger.query('begin; lock table users'));
        beforeEach(async function () { this.timeout(700); await db('users').insert({ name: 'cy' }); });
        afterEach(() => stranger.query('rollback'));
        it('never either', () => {});
      });
      describe('U', () => { it('goes on', async () => assert.equal(await names(), 'ann,bob')); });`);
    // Whether the insert of the second one is over when its test departs depends on who is quicker.
    const messages = Object.values(outcome.failed).filter((message) => message.startsWith('Timeout of '));
    assert.equal(messages.length, 2, outcome.output);
    for (const message of messages) assert.match(message, /waits with "insert .* \(not managed: "stranger"\)/);
    assert.deepEqual(outcome.passed, ['U goes on']);
  });

  it('is no less one where the server can’t be asked @full', async () => {
    const outcome = await run(
      {
        'a.spec.js': `it('waits', async () => { await db('users').first(); db.away = true; await db.raw('select pg_sleep(2)'); }).timeout(700);`,
      },
      {
        database: given.database,
        config: MANAGED,
        files: {
          'db.js': `const db = (module.exports = require('knex').knex({ client: 'pg', connection: () => db.away ? { host: '127.0.0.1', port: 1 } : { connectionString: process.env.DATABASE_URL } }));`,
        },
      },
    );
    assert.match(
      outcome.failed['waits'] ?? '',
      /^Timeout of 700ms exceeded[^]*could not be asked who waits for whom: /,
    );
    assert.equal(outcome.code, 1, outcome.output);
  });
});
