// What can be wrong with the databases of --parallel workers.
import assert from 'node:assert/strict';
import { Client } from 'pg';
import { type TestDatabase, createDatabase, urlOf } from '../support/database';
import { startPlainServer } from '../support/plain-server';
import { assertGreen, run } from '../support/run';

const SPECS = {
  'a.spec.js': `it('asks', async () => assert.equal((await db('users')).length, 1));`,
  'b.spec.js': `it('asks, too @truncate', async () => { assert.equal((await db('users')).length, 1); await db('users').del(); });`,
};
const PARALLEL = ['--parallel', '--jobs', '2'];

/** Holds a worker, before its plugins are asked for anything, until its database is there. */
const WAIT_FOR_DATABASE = {
  'wait.js': `if (process.env.MOCHA_WORKER_ID !== undefined)
    require('node:child_process').execFileSync(process.execPath, ['wait-for-database.js'], { timeout: 20_000, stdio: 'inherit' });`,
  'wait-for-database.js': `
    const name = new URL(process.env.DATABASE_URL).pathname.slice(1);
    const client = new (require('pg').Client)({ connectionString: process.env.REWIND_BASE_URL.replace(/\\/rw_test_\\w+/, '/postgres') });
    const isThere = () => client.query('select from pg_database where datname = $1', [name]);
    (async () => {
      await client.connect();
      while ((await isThere()).rows.length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
      await client.end();
    })();`,
};

describe('the database of a worker', () => {
  let database: TestDatabase;
  beforeEach(async () => {
    database = await createDatabase(`create table users (name text); insert into users values ('ann')`);
  });
  afterEach(() => database.drop());
  const databasesLike = async (pattern: string): Promise<string[]> =>
    (await database.query<{ datname: string }>('select datname from pg_database where datname like $1', [pattern])).map(
      (row) => row.datname,
    );

  it('is made by the main process while its worker starts', async () => {
    const outcome = await run(SPECS, {
      database,
      args: [...PARALLEL, '--require', './wait.js'],
      files: WAIT_FOR_DATABASE,
    });
    assertGreen(outcome);
    assert.equal(outcome.passed.length, 2);
    assert.deepEqual(await databasesLike(`${database.name}\\_%`), []);
  });

  it('is dropped by the next run if a run was killed, and nobody else’s is', async () => {
    const [dead, foreign] = [`${database.name}_rewind_dead_0`, `${database.name}_rewind_mine`];
    await database.query(`create database ${dead}`);
    await database.query(`comment on database ${dead} is 'mocha-rewind worker of ${database.name}'`);
    await database.query(`create database ${foreign}`);
    try {
      assertGreen(await run(SPECS, { database, args: PARALLEL }));
      assert.deepEqual(await databasesLike(`${database.name}\\_%`), [foreign]);
    } finally {
      await database.query(`drop database ${foreign}`);
    }
  });

  it('leaves those of another run alone that is going on @full', async () => {
    const other = `${database.name}_rewind_alive_0`;
    await database.query(`create database ${other}`);
    await database.query(`comment on database ${other} is 'mocha-rewind worker of ${database.name}'`);
    const lease = new Client({ connectionString: database.url.replace(database.name, other) });
    await lease.connect();
    try {
      assertGreen(await run(SPECS, { database, args: PARALLEL }));
      assert.deepEqual(await databasesLike(`${database.name}\\_%`), [other]);
    } finally {
      await lease.end();
      await database.query(`drop database ${other}`);
    }
  });

  it('can’t be made while somebody is connected to the original: the message says who @full', async function () {
    this.timeout(90_000);
    const guest = new Client({ connectionString: database.url, application_name: 'a guest' });
    await guest.connect();
    try {
      const outcome = await run(SPECS, { database, args: PARALLEL });
      assert.notEqual(outcome.code, 0);
      assert.match(outcome.output, /REWIND_CONNECTION: .*could not be cloned.*\(.*, a guest\)/);
      assert.deepEqual(outcome.passed, []);
    } finally {
      await guest.end();
    }
  });

  it('is there for a set-up file that calls rewind(), too @full', async () => {
    const files = { 'setup.js': `module.exports = require('mocha-rewind').rewind(() => ({ knex: require('./db') }));` };
    const outcome = await run(SPECS, { database, args: PARALLEL, files, plugin: './setup.js' });
    assertGreen(outcome);
    assert.equal(outcome.passed.length, 2);
    assert.deepEqual(await databasesLike(`${database.name}\\_%`), []);
  });

  it('needs a DATABASE_URL to be cloned from', async () => {
    const outcome = await run(SPECS, { database, args: PARALLEL, env: { DATABASE_URL: '', OTHER: database.url } });
    assert.notEqual(outcome.code, 0);
    assert.match(outcome.output, /REWIND_CONFIG: With --parallel each worker needs a database of its own/);
    assert.deepEqual(outcome.passed, []);
  });

  it('is not the only one that has to be its own: a second one that all workers share is refused', async () => {
    const spec = `const audit = require('knex').knex({ client: 'pg', connection: process.env.AUDIT.replace('ID', process.env.MOCHA_WORKER_ID) });
      it('asks both', async () => { await db('users'); await audit.raw('select 1'); });`;
    const specs = { 'a.spec.js': spec, 'b.spec.js': spec };
    // Letters only: a number could be that of a worker.
    const name = `rw_test_audit_${database.name.slice(8).replace(/\d/g, 'x')}`;
    const shared = `${name}_01_10`; // numbers of no worker, though they begin with those of both
    const audits = await Promise.all([shared, `${name}0`, `${name}1`].map((one) => createDatabase('', { name: one })));
    try {
      const refused = await run(specs, { database, args: PARALLEL, env: { AUDIT: urlOf(shared) } });
      assert.deepEqual(refused.passed, []);
      assert.match(
        Object.values(refused.failed).join(),
        new RegExp(`REWIND_CONFIG: .*"${shared}", as all.*MOCHA_WORKER_ID`, 's'),
      );
      assertGreen(await run(specs, { database, args: PARALLEL, env: { AUDIT: urlOf(`${name}ID`) } }));
      assertGreen(await run(specs, { database, env: { AUDIT: urlOf(shared) } }));
      const exclude = `{ exclude: ({ database }) => database === '${shared}' }`;
      assertGreen(await run(specs, { database, args: PARALLEL, env: { AUDIT: urlOf(shared) }, config: exclude }));
    } finally {
      await Promise.all(audits.map((audit) => audit.drop()));
    }
  });

  it('is not the one that all are cloned from, though that one has workers’ numbers in its name @full', async () => {
    const numbered = await createDatabase('create table users (name text)', { name: `${database.name}_0_1` });
    const files = {
      'db.js': `module.exports = require('knex').knex({ client: 'pg', connection: process.env.APP_DATABASE });`,
    };
    try {
      const env = { APP_DATABASE: numbered.url };
      const outcome = await run(SPECS, { database: numbered, args: PARALLEL, env, files });
      assert.deepEqual(outcome.passed, []);
      assert.match(Object.values(outcome.failed).join(), /REWIND_CONFIG: .*as all other workers do/s);
    } finally {
      await numbered.drop();
    }
  });

  it('needs a name for tests, whatever the config would allow @full', async () => {
    const plain = await startPlainServer();
    const shop = await createDatabase('create table users (name text)', { server: plain.url, name: 'shop' });
    try {
      const outcome = await run(SPECS, { database: shop, args: PARALLEL, config: '{ allowDatabase: () => true }' });
      assert.notEqual(outcome.code, 0);
      const message = Object.values(outcome.failed).join();
      assert.match(message, /REWIND_UNSAFE_DATABASE: Database "shop" .*With --parallel the name has to do/s);
      assert.doesNotMatch(message, /say so in the config/);
    } finally {
      await shop.drop();
      await plain.stop();
    }
  });

  it('is replaced when its worker dies, and the run does not pass @full', async () => {
    const outcome = await run(
      {
        ...SPECS,
        'c.spec.js': `it('dies @truncate', async () => { await db('users').del(); process.kill(process.pid, 'SIGKILL'); });`,
      },
      { database, args: PARALLEL },
    );
    assert.notEqual(outcome.code, 0);
    assert.deepEqual(await databasesLike(`${database.name}\\_%`), []);
    assert.deepEqual(await database.query('select name from users'), [{ name: 'ann' }]);
  });
});
