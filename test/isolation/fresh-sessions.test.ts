// What a committing test leaves in the sessions that it has used, and what stays: what others have taken before it.
import assert from 'node:assert/strict';
import { run } from '../support/run';
import { eachWithUsers, MANAGED } from '../support/users';

describe('a session that a committing test has used', () => {
  const given = eachWithUsers();

  it('is as new for the next one: settings, temporary tables, names, locks, LISTEN; and keeps what its pool has set', async () => {
    const { failed, passed, code, output } = await run(
      {
        'a.spec.js': `
          const one = async (sql) => (await db.raw(sql)).rows[0];
          const leavesAll = (n) => it('leaves all that a session can hold ' + n + ' @truncate', async () => {
            assert.deepEqual(await one("select current_setting('app.made') as made, current_setting('search_path') as path"), { made: 'yes', path: 'public' });
            assert.deepEqual(await one("select count(*)::int as n from pg_prepared_statements where name = 'kept'"), { n: 0 });
            assert.deepEqual(await one("select count(*)::int as n from pg_locks where locktype = 'advisory' and objid = 7"), { n: 0 });
            assert.deepEqual(await one('select count(*)::int as n from pg_listening_channels()'), { n: 0 });
            assert.deepEqual(await one('select current_user = session_user as itself'), { itself: true });
            assert.deepEqual(await one('select count(*)::int as n from pg_cursors'), { n: 0 });
            assert.equal(await names(), 'ann,bob');
            await db.raw("set search_path = pg_catalog; set app.made = 'no'; create temporary table imported (id int)");
            await db.raw('prepare kept as select 1');
            await db.raw('select pg_advisory_lock(7)');
            await db.raw('listen news');
            await db.raw('declare kept cursor with hold for select 1');
            await db.raw('set role pg_monitor');
          });
          for (const n of [1, 2, 3]) leavesAll(n);
          it('has it in a named statement still @truncate', async () => {
            const client = await db.client.acquireConnection();
            for (let i = 0; i < 2; i++) assert.equal((await client.query({ name: 'known', text: 'select 1 as one' })).rows[0].one, 1);
            await db.client.releaseConnection(client);
          });
          it('parses it again @truncate', async () => {
            const client = await db.client.acquireConnection();
            assert.equal((await client.query({ name: 'known', text: 'select 1 as one' })).rows[0].one, 1);
            await db.client.releaseConnection(client);
          });
          describe('of a suite that holds one', () => {
            let held;
            before(async () => { held = await db.client.acquireConnection(); await held.query('set search_path = pg_catalog'); });
            after(() => db.client.releaseConnection(held));
            for (const n of [1, 2]) it('lets it keep its own ' + n + ' @truncate', async () => {
              assert.equal((await held.query('show search_path')).rows[0].search_path, 'pg_catalog');
            });
          });`,
      },
      {
        database: given.database,
        config: MANAGED,
        files: {
          'db.js': `module.exports = require('knex').knex({ client: 'pg', connection: process.env.DATABASE_URL, searchPath: ['public'],
            pool: { min: 0, max: 2, afterCreate: (client, done) => client.query("set app.made = 'yes'", done) } });`,
        },
      },
    );
    assert.deepEqual(failed, {}, output);
    assert.deepEqual([passed.length, code], [7, 0]);
  });
});
