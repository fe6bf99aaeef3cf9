// A pooler between the tests and the server.
import assert from 'node:assert/strict';
import { Client } from 'pg';
import { type Pooler, poolerTo } from '../support/pooler';
import { project } from '../support/project';
import { run } from '../support/run';
import { MANAGED, eachWithUsers } from '../support/users';
import { full } from '../support/tiers';

const ROLLED_BACK = `
it('inserts', async () => { await db('users').insert({ name: 'cy' }); assert.equal(await names(), 'ann,bob,cy'); });
it('is clean', async () => assert.equal(await names(), 'ann,bob'));`;
const COMMITTING = `
it('commits @truncate', async () => { await db('users').insert({ name: 'cy' }); });
it('is clean afterwards @truncate', async () => assert.equal(await names(), 'ann,bob'));`;

describe('behind a pooler', () => {
  const given = eachWithUsers();
  const { usersNow } = given;
  let pooler: Pooler;
  afterEach(() => pooler.close());

  for (const mode of ['transaction', 'transaction, in turn'] as const) {
    const [found, config] =
      mode === 'transaction' ? ['named in the config', MANAGED] : ['found at its first query', undefined];
    it(`that hands out sessions by the transaction nothing runs: ${mode}, a database ${found}${full(mode !== 'transaction')}`, async () => {
      pooler = await poolerTo(given.database, mode);
      const { code, passed, output } = await run(
        { 'a.spec.js': ROLLED_BACK + COMMITTING },
        { database: { ...given.database, url: pooler.url }, ...(config && { config }) },
      );
      assert.notEqual(code, 0, output);
      assert.deepEqual(passed, [], output);
      assert.match(output, /REWIND_POOLER: .*database .*"rw_test_.* \(knex\).*\(transaction mode\)/);
      assert.match(output, /port 5432 in place of 6543/);
      assert.equal(await usersNow(), 'ann,bob');
    });
  }

  it('that hands out sessions by the transaction no worker starts, and no command @full', async () => {
    pooler = await poolerTo(given.database, 'transaction');
    const database = { ...given.database, url: pooler.url };
    const parallel = await run({ 'a.spec.js': ROLLED_BACK }, { database, args: ['--parallel', '--jobs', '2'] });
    assert.notEqual(parallel.code, 0, parallel.output);
    assert.match(parallel.output, /REWIND_POOLER/);
    const p = project({ files: {} });
    try {
      const { code, output } = await p.cli(['status'], { DATABASE_URL: pooler.url });
      assert.equal(code, 1, output);
      assert.match(output, /REWIND_POOLER/);
    } finally {
      p.remove();
    }
  });

  it('that keeps sessions for as long as one is connected all is as without it, and nothing stays in them @full', async () => {
    pooler = await poolerTo(given.database, 'session');
    const database = { ...given.database, url: pooler.url };
    const { passed, failed, output } = await run(
      {
        'a.spec.js': `${ROLLED_BACK}${COMMITTING}
          it('does not wait', async () => {
            const client = new (require('pg').Client)(process.env.DATABASE_URL);
            await client.connect();
            db.raw('select pg_sleep(100)').catch(() => {});
            const running = "select from pg_stat_activity where state = 'active' and query = 'select pg_sleep(100)'";
            while ((await client.query(running)).rowCount === 0);
            await client.end();
          });
          it('is on time', async () => assert.equal(await names(), 'ann,bob'));
          it('leaves a transaction open @truncate', async () => {
            const client = new (require('pg').Client)(process.env.DATABASE_URL);
            client.on('error', () => {});
            await client.connect();
            await client.query('begin; delete from users');
          });
          it('finds all as it was @truncate', async () => assert.equal(await names(), 'ann,bob'));`,
      },
      { database, config: MANAGED },
    );
    assert.deepEqual(
      passed,
      [
        'inserts',
        'is clean',
        'does not wait',
        'is on time',
        'commits @truncate',
        'is clean afterwards @truncate',
        'finds all as it was @truncate',
      ],
      output,
    );
    assert.equal(await usersNow(), 'ann,bob');
    assert.match(output, /did not await all that .*"does not wait"/);
    assert.match(
      failed['leaves a transaction open @truncate'] ?? '',
      /REWIND_LEFT_OPEN: .* left a transaction open .* pid \d+ \(idle in transaction\), last statement: begin; delete from users/,
    );
    const next = await Promise.all(Array.from({ length: 4 }, () => connected(pooler.url)));
    for (const client of next) {
      const { rows } = await client.query(LEFT_IN_SESSION);
      assert.deepEqual(rows, [{ settings: null, locks: '0' }]);
      await client.end();
    }
  });
});

const LEFT_IN_SESSION = `
  select (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) as locks,
    (select string_agg(name || '=' || setting, ' ') from pg_settings
      where source = 'session' and setting <> boot_val and name <> 'client_encoding') as settings`;

async function connected(url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  return client;
}
