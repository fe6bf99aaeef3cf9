// Connections that a committing test keeps: it is told, and those that come after it find the pool whole.
import assert from 'node:assert/strict';
import { run } from '../support/run';
import { eachWithUsers } from '../support/users';

const FILES = {
  'db.js': `module.exports = require('knex').knex({ client: 'pg', connection: process.env.DATABASE_URL, pool: { min: 0, max: 2 } });`,
  'pool.js': `module.exports = new (require('pg').Pool)({ connectionString: process.env.DATABASE_URL, max: 1 });`,
};

describe('a connection that a committing test keeps', () => {
  const given = eachWithUsers();

  it('is charged to it, closed, and missed by none of those that follow', async () => {
    const { failed, passed, output, code } = await run(
      {
        'a.spec.js': `
          const pool = require('./pool');
          const never = new Promise(() => {});
          const clean = (n) => it('finds the same data ' + n + ' @truncate', async () => {
            assert.equal(await names(), 'ann,bob');
            assert.equal((await pool.query('select 1 as one')).rows[0].one, 1);
            await Promise.all([db('users').insert({ name: 'zed' }), db.raw('select pg_sleep(0.01)')]);
          }).timeout(5000);
          let kept;
          before(async () => { kept = await db.client.acquireConnection(); });
          after(() => db.client.releaseConnection(kept));
          it('only reads, in a transaction that never ends @truncate', async () => { const trx = await db.transaction(); await trx('users').first(); });
          clean(1);
          it('writes, and times out @truncate', () => db.transaction(async (trx) => { await trx('users').insert({ name: 'cy' }); await never; })).timeout(500);
          clean(2);
          it('waits for itself, and would write after its end @truncate', () => db.transaction(async () => { await db('users').insert({ name: 'dee' }); })).timeout(500);
          clean(3);
          let client;
          it('keeps a client of pg @truncate', async () => { client = await pool.connect(); await client.query('select 1'); });
          it('gives it back late @truncate', async () => { client.release(); assert.equal((await pool.query('select 1 as one')).rows[0].one, 1); });
          it('the suite has its own connection still @truncate', async () => {
            assert.equal((await db.raw('select 1 as one').connection(kept)).rows[0].one, 1);
          });`,
      },
      { database: given.database, config: `{ knex: require('./db'), pools: require('./pool') }`, files: FILES },
    );
    assert.notEqual(code, 0);
    for (const title of [
      'only reads, in a transaction that never ends',
      'writes, and times out',
      'waits for itself, and would write after its end',
    ]) {
      assert.match(
        failed[`${title} @truncate`] ?? '',
        /REWIND_LEFT_OPEN: ".*" left a transaction open in .* on the connection that was taken at a\.spec\.js:\d+:\d+, begun with "BEGIN;"\. Its connection was closed/,
        `${title}\n${output}`,
      );
    }
    assert.match(
      output,
      /came too late: "(insert into "users" \("name"\) values \(\$1\)|a query)" was sent by "waits for itself/,
    );
    assert.equal(passed.length, 6, output);
    assert.equal(await given.usersNow(), 'ann,bob');
  });

  it('does not run later what it has waited for: its session is cancelled with it', async () => {
    const { failed, passed, output } = await run(
      {
        'a.spec.js': `
          const { Client } = require('pg');
          const stranger = new Client({ connectionString: process.env.DATABASE_URL });
          before(() => stranger.connect());
          after(() => stranger.end());
          it('waits for a lock, and times out @truncate', async () => {
            await stranger.query('begin; select from notes limit 1');
            await db.raw('drop table notes');
          }).timeout(500);
          it('finds the table when the lock is gone @truncate', async () => {
            await stranger.query('commit');
            await db.raw('select pg_sleep(0.1)');
            assert.equal((await db('notes').select()).length, 0);
            assert.equal((await db.raw("select count(*)::int as n from pg_stat_activity where query = 'drop table notes'")).rows[0].n, 0);
          });`,
      },
      { database: given.database, config: `{ knex: require('./db') }`, files: FILES },
    );
    assert.deepEqual(Object.keys(failed), ['waits for a lock, and times out @truncate'], output);
    assert.deepEqual(passed.length, 1);
  });
});
