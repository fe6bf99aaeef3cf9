import assert from 'node:assert/strict';
import { type TestDatabase, createDatabase } from '../support/database';
import { startPlainServer } from '../support/plain-server';
import { full } from '../support/tiers';
import { type Finished, type Project, type ProjectOptions, project } from '../support/project';

const SCHEMA = `
  create table users (id serial primary key, name text unique not null);
  create table notes (id serial primary key, body text);
  insert into users (name) values ('ann'), ('bob');
`;
const APP: ProjectOptions['files'] = {
  'db.js': `module.exports = require('knex').knex({ client: 'pg', connection: process.env.DATABASE_URL, pool: { min: 0, max: 2 } });`,
  'commits.spec.js': `const db = require('./db');
    it('commits @truncate', () => db('users').insert({ name: 'cy' }));`,
  'dies.spec.js': `const db = require('./db');
    it('dies @truncate', async () => {
      await db('users').insert({ name: 'dee' });
      await db('notes').del();
      process.kill(process.pid, 'SIGKILL');
      await new Promise(() => {});
    });`,
};

describe('mocha-rewind', () => {
  let database: TestDatabase;
  let app: Project;
  beforeEach(async () => {
    database = await createDatabase(SCHEMA);
    app = project({ files: APP });
  });
  afterEach(async () => {
    app.remove();
    await database.drop();
  });

  const cli = (...args: string[]): Promise<Finished> => app.cli(args, { DATABASE_URL: database.url });
  const users = async (): Promise<string> =>
    (await database.query<{ name: string }>('select name from users order by name')).map((u) => u.name).join();
  const schemas = async (): Promise<unknown[]> => database.query("select 1 from pg_namespace where nspname = 'rewind'");
  async function afterRun(): Promise<void> {
    const run = await app.mocha(['-r', 'mocha-rewind/register', 'commits.spec.js'], { DATABASE_URL: database.url });
    assert.equal(run.code, 0, run.output);
  }
  async function afterKilledRun(): Promise<void> {
    const { finished } = app.start(['-r', 'mocha-rewind/register', 'dies.spec.js'], { DATABASE_URL: database.url });
    assert.equal((await finished).signal, 'SIGKILL');
    assert.equal(await users(), 'ann,bob,dee');
  }

  describe('in a database without anything of ours', () => {
    it('says so, and changes nothing', async () => {
      const status = await cli('status');
      assert.equal(status.code, 0, status.output);
      assert.match(
        status.stdout,
        new RegExp(
          `^database "${database.name}": nothing of ours is in it\\.\n {2}2 tables, [\\d.]+ MB, PostgreSQL \\d+, role "`,
        ),
      );
      const remove = await cli('remove');
      assert.deepEqual([remove.code, remove.stdout], [0, `database "${database.name}": nothing of ours was there.\n`]);
      assert.equal((await schemas()).length, 0);
    });

    for (const command of ['restore', 'verify']) {
      it(`can't ${command}: there is no baseline${full(command === 'verify')}`, async () => {
        const { code, stderr } = await cli(command);
        assert.equal(code, 1);
        assert.match(stderr, /there is no baseline in it; a run with @truncate tests makes one\./);
      });
    }
  });

  describe('after a run', () => {
    beforeEach(afterRun);

    it('says what is kept, and that it is equal; then names what has changed, shows the SQL that would mend it, and mends it', async () => {
      const status = await cli('status');
      assert.equal(status.code, 0, status.output);
      assert.match(status.stdout, /: a baseline is kept for the next run, made 20\d\d-/);
      assert.match(status.stdout, /^ {2}copies of 2 tables, \d+ kB$/m);
      assert.doesNotMatch(status.stdout, /may have changed/);
      const verify = await cli('verify');
      assert.deepEqual(
        [verify.code, verify.stdout],
        [0, `database "${database.name}": equals its baseline, row by row.\n`],
      );
      const restore = await cli('restore');
      assert.deepEqual([restore.code, restore.stdout], [0, `database "${database.name}": nothing had changed.\n`]);

      await database.query(`insert into users (name) values ('zoe'), ('yan'); delete from users where name = 'ann'`);
      assert.match(
        (await cli('status')).stdout,
        /^ {2}may have changed since: public\.users, sequence public\.users_id_seq$/m,
      );

      const differs = await cli('verify');
      assert.equal(differs.code, 1);
      assert.match(differs.stdout, /differs from its baseline\.\n {2}public\.users: 2 rows too many, 1 missing$/m);

      const dry = await cli('restore', '--dry-run');
      assert.equal(dry.code, 0, dry.output);
      assert.match(dry.stdout, /users/);
      assert.equal(await users(), 'bob,yan,zoe');

      const mended = await cli('restore');
      assert.equal(mended.code, 0, mended.output);
      assert.match(mended.stdout, /: its baseline is back\.\n {2}public\.users: 2 rows removed, 1 put back$/m);
      assert.equal(await users(), 'ann,bob');
      assert.equal((await cli('verify')).code, 0);
    });

    it('takes every trace of ours away, and nothing else', async () => {
      const before = await traces(database);
      assert.ok(before.length > 0);
      const { code, output } = await cli('remove');
      assert.equal(code, 0, output);
      assert.deepEqual(await traces(database), []);
      assert.equal(await users(), 'ann,bob');
      await afterRun();
    });
  });

  describe('after a run that was killed', () => {
    beforeEach(afterKilledRun);

    it('says so, tells what differs, and brings the baseline back', async () => {
      assert.match(
        (await cli('status')).stdout,
        /: a run is on, or was killed: the next run, or mocha-rewind restore, brings its baseline back\.$/m,
      );
      const verify = await cli('verify');
      assert.equal(verify.code, 1);
      assert.match(verify.stdout, /^ {2}public\.users: 1 row too many, 0 missing$/m);
      const restore = await cli('restore');
      assert.equal(restore.code, 0, restore.output);
      assert.match(restore.stdout, /: a run was killed here; its baseline is back \(public\.notes, public\.users, /);
      assert.equal(await users(), 'ann,bob');
      assert.equal((await cli('verify')).code, 0);
      assert.equal((await cli('remove')).code, 0);
    });

    it('does not remove the baseline that is still needed, unless forced to', async () => {
      const refused = await cli('remove');
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, /what it wrote is still there\. Nothing was removed\.\n.*mocha-rewind restore/);
      assert.equal((await schemas()).length, 1);
      assert.equal((await cli('remove', '--force')).code, 0);
      assert.equal((await schemas()).length, 0);
      assert.equal(await users(), 'ann,bob,dee');
    });
  });

  describe('finds its databases', () => {
    it('in the config, each once, whichever instance or pool leads to it', async () => {
      const other = await createDatabase('create table things (id int)');
      try {
        app.write({
          'rewind.config.js': `
            const { knex } = require('knex');
            const { Pool } = require('pg');
            const to = (connection) => knex({ client: 'pg', connection });
            module.exports = {
              knex: { one: to('${database.url}'), same: to('${database.url}'), other: to('${other.url}') },
              pools: [new Pool({ connectionString: '${other.url}' })],
            };`,
        });
        const { code, stdout } = await app.cli(['status'], { DATABASE_URL: '' });
        assert.equal(code, 0);
        assert.deepEqual(
          stdout.match(/^database ".*?"/gm),
          [database.name, other.name].map((name) => `database "${name}"`),
        );
      } finally {
        await other.drop();
      }
    });

    it('in a config in TypeScript, compiled as Mocha would @full', async () => {
      app.write({
        '.mocharc.json': { require: ['ts-node/register/transpile-only', './test/hooks.js', 'mocha-rewind/register'] },
        'test/hooks.js': `beforeEach(() => {}); // only there in a test run`,
        'tsconfig.json': { compilerOptions: { module: 'node16', target: 'es2022', rootDir: '.' } },
        'src/db.ts': `import { knex, type Knex } from 'knex';
          export const db: Knex = knex({ client: 'pg', connection: process.env.APP_DATABASE as string });`,
        'rewind.config.ts': `import { defineConfig } from 'mocha-rewind';
          import { db } from './src/db';
          export default defineConfig({ knex: db });`,
      });
      const { code, output } = await app.cli(['status'], { APP_DATABASE: database.url, DATABASE_URL: '' });
      assert.equal(code, 0, output);
      assert.match(output, new RegExp(`^database "${database.name}"`));
    });

    it('through what --require sets up', async () => {
      app.write({ 'test/env.js': `process.env.DATABASE_URL = '${database.url}';` });
      const { code, output } = await app.cli(['status', '--require', './test/env.js'], { DATABASE_URL: '' });
      assert.equal(code, 0, output);
      assert.match(output, new RegExp(`^database "${database.name}"`));
      const missing = await app.cli(['status', '-r', './test/no.js'], { DATABASE_URL: database.url });
      assert.equal(missing.code, 1);
      assert.match(missing.stderr, /^REWIND_CONFIG: \.\/test\/no\.js could not be loaded/);
    });

    it('by PG* variables, and says which settings there are where there is none', async () => {
      const url = new URL(database.url);
      const env = {
        DATABASE_URL: '',
        PGHOST: url.searchParams.get('host') ?? url.hostname,
        PGPORT: url.port,
        PGUSER: decodeURIComponent(url.username),
        PGPASSWORD: decodeURIComponent(url.password),
        PGDATABASE: database.name,
      };
      const found = await app.cli(['status'], env);
      assert.equal(found.code, 0, found.output);
      assert.match(found.stdout, new RegExp(`^database "${database.name}"`));
      const none = await app.cli(['status'], Object.fromEntries(Object.keys(env).map((name) => [name, ''])));
      assert.equal(none.code, 1);
      assert.match(
        none.stderr,
        /^REWIND_CONFIG: Which database\? Neither `knex` in a rewind\.config\.\* nor DATABASE_URL names one\./,
      );
    });
  });

  it('says in one message that a server is not there', async () => {
    const { code, stdout, stderr } = await app.cli(['verify'], {
      DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/test',
    });
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, /^REWIND_CONNECTION: No connection to the database: .*ECONNREFUSED/);
    assert.doesNotMatch(stderr, /^ +at /m);
  });

  for (const command of ['status', 'restore', 'verify', 'remove']) {
    it(`refuses a database that is not one for tests, before anything is done: ${command}${full(command !== 'restore')}`, async () => {
      const server = await startPlainServer(); // all databases of the embedded one are for tests
      try {
        const shop = await createDatabase('', { server: server.url, name: 'shop' });
        const { code, stdout, stderr } = await app.cli([command], { DATABASE_URL: shop.url });
        assert.deepEqual([code, stdout], [1, '']);
        assert.match(stderr, /^REWIND_UNSAFE_DATABASE: Database "shop"/);
      } finally {
        await server.stop();
      }
    });
  }

  describe('on its command line', () => {
    for (const command of ['init', 'status', 'restore', 'verify', 'remove']) {
      it(`explains ${command}${full(command !== 'init')}`, async () => {
        const { code, stdout, stderr } = await app.cli([command, '--help']);
        assert.deepEqual([code, stderr], [0, '']);
        assert.match(stdout, new RegExp(`^Usage: mocha-rewind ${command}`));
      });
    }

    it('lists its commands', async () => {
      const { code, stdout } = await app.cli(['--help']);
      assert.equal(code, 0);
      for (const command of ['init', 'status', 'restore', 'verify', 'remove'])
        assert.match(stdout, new RegExp(`^ {2}${command} `, 'm'));
    });

    for (const [args, complaint] of [
      [[], /^$/],
      [['frobnicate'], /^mocha-rewind has no command "frobnicate"\./],
      [['constructor'], /^mocha-rewind has no command "constructor"\./],
      [['verify', '--al'], /'--al'/],
      [['verify', 'users'], /'users'/],
      [['init', '--yes=1'], /'-y, --yes'/],
    ] as const) {
      it(`exits with 2 for ${args.join(' ') || 'nothing'}${full(args.length > 1)}`, async () => {
        const { code, stderr } = await app.cli(args);
        assert.equal(code, 2);
        assert.match(stderr, complaint);
      });
    }

    it('tells its version', async () => {
      assert.match((await app.cli(['--version'])).stdout, /^\d+\.\d+\.\d+\S*\n$/);
    });
  });
});

/** Everything in the database that has to do with us. */
async function traces(database: TestDatabase): Promise<string[]> {
  const rows = await database.query<{ what: string }>(`
    select 'schema ' || nspname as what from pg_namespace where nspname = 'rewind'
    union all select 'trigger ' || tgname from pg_trigger where not tgisinternal and tgname like '%rewind%'
    union all select 'event trigger ' || evtname from pg_event_trigger where evtname like '%rewind%'
    union all select 'function ' || proname from pg_proc where proname like '%rewind%'`);
  return rows.map((row) => row.what);
}
