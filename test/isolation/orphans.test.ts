// Databases of ours that a killed run has left: found by the next one, whatever they are called, and nobody else's.
import assert from 'node:assert/strict';
import { Client } from 'pg';
import { type TestDatabase, createDatabase, serverUrl, urlOf } from '../support/database';
import { type Project, project } from '../support/project';
import { MANAGED } from '../support/users';

/** So long that what we put after it has to cut it off. */
const LONG = `rw_test_${'of_a_shop_with_a_very_long_name_indeed'.padEnd(42, 'x')}`;

describe('a database that a killed run has left', function () {
  this.timeout(120_000);
  let database: TestDatabase;
  let maintenance: Client;
  let p: Project;
  beforeEach(async () => {
    database = await createDatabase('create table users (id serial primary key, name text)', { name: LONG });
    maintenance = new Client({ connectionString: serverUrl() });
    await maintenance.connect();
    const spec = `const db = require('./db');
      it('drops a table @schema', async () => {
        await db.raw('drop table users');
        // Only while nobody makes a clone: that one would be left to the server.
        if (process.env.DIE) setTimeout(() => process.kill(process.pid, 'SIGKILL'), 300);
        if (process.env.DIE) await new Promise(() => {});
      });`;
    p = project({
      files: {
        'db.js': `module.exports = require('knex').knex({ client: 'pg', connection: process.env.DATABASE_URL });`,
        'rewind.config.js': `module.exports = ${MANAGED}`,
        'a.spec.js': spec,
        'b.spec.js': spec,
      },
    });
  });
  afterEach(async () => {
    p.remove();
    for (const name of await others()) await maintenance.query(`drop database if exists "${name}" with (force)`);
    await maintenance.end();
    await database.drop();
  });
  const others = async (): Promise<string[]> => {
    const sql = 'select datname as name from pg_database where starts_with(datname, $1) and datname <> $2 order by 1';
    const { rows } = await maintenance.query<{ name: string }>(sql, [LONG.slice(0, 30), LONG]);
    return rows.map(({ name }) => name);
  };
  const mocha = (...args: string[]): ReturnType<Project['mocha']> =>
    p.mocha(['--require', 'mocha-rewind/register', ...args], { DATABASE_URL: database.url });

  it('is dropped though its name was cut off, and though it was a clone of a worker’s @full', async () => {
    const env = { DATABASE_URL: database.url, DIE: '1' };
    await p.start(['--require', 'mocha-rewind/register', 'a.spec.js'], env).finished;
    const ofOne = await others();
    assert.ok(ofOne.length >= 2, `${ofOne.join()}`);
    const { child, finished } = p.start(
      ['--require', 'mocha-rewind/register', '--parallel', '--jobs', '2', 'a.spec.js', 'b.spec.js'],
      env,
    );
    // The main process would start another worker for each one that dies.
    while ((await others()).length < ofOne.length + 4) await new Promise((done) => setTimeout(done, 50));
    child.kill('SIGKILL');
    await finished;
    const parallel = await mocha('--parallel', '--jobs', '2', 'a.spec.js', 'b.spec.js');
    assert.equal(parallel.code, 0, parallel.output);
    const serial = await mocha('a.spec.js');
    assert.equal(serial.code, 0, serial.output);
    // A worker's process may have outlived its main process, and a server its client, for a moment.
    for (let i = 0; i < 3 && (await others()).length > 0; i++) await mocha('a.spec.js');
    assert.deepEqual(await others(), []);
  });

  it('is dropped where it got no comment any more, unless a run holds it, or it is somebody else’s', async () => {
    const start = LONG.slice(0, 30);
    const [unmarked, held, foreign, hers] = ['0a1b2c3d_0', '1a1b2c3d_7', '2a1b2c3d_0', 'mine_0'].map(
      (suffix) => `${start}_rewind_${suffix}`,
    );
    for (const name of [unmarked, held, foreign, hers]) await maintenance.query(`create database ${name}`);
    await maintenance.query(`comment on database ${foreign} is 'do not touch'`);
    const lease = new Client({ connectionString: urlOf('postgres') });
    await lease.connect();
    await lease.query(`set application_name = 'mocha-rewind lease 1a1b2c3d'`);
    try {
      const finished = await mocha('a.spec.js');
      assert.equal(finished.code, 0, finished.output);
      assert.deepEqual(await others(), [held, foreign, hers]);
    } finally {
      await lease.end();
    }
  });
});
