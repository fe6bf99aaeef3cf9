// What goes wrong between the rooms: hooks that people really write, and runs that meet one another.
import assert from 'node:assert/strict';
import { type Outcome, type RunOptions, assertGreen, run } from '../support/run';
import { full } from '../support/tiers';
import { MANAGED, eachWithUsers } from '../support/users';

describe('people who', () => {
  const given = eachWithUsers();
  const { usersNow } = given;
  const go = (specs: Record<string, string>, options: Partial<RunOptions> = {}): Promise<Outcome> =>
    run(specs, { database: given.database, config: MANAGED, ...options });

  it('destroy the shared instance in the after hook of a describe can still run their committing tests', async () => {
    assertGreen(
      await go({
        'a.spec.js': `it('commits @truncate', async () => { assert.equal(await names(), 'ann,bob'); await db('users').del(); });`,
        'z.spec.js': `describe('last', () => { after(() => db.destroy()); it('rolls back', () => db('users').del()); });`,
      }),
    );
  });

  it('destroy the shared instance or pool at the end come to it, where no test has asked for anything', async () => {
    for (const [hook, config] of Object.entries({
      'after(() => db.destroy())': MANAGED,
      'after(() => db.pool.end())': `{ pools: [require('./db').pool], knex: require('./db') }`,
    })) {
      const db = `const db = require('knex').knex({ client: 'pg', connection: process.env.DATABASE_URL });
        db.pool = new (require('pg').Pool)({ connectionString: process.env.DATABASE_URL }); module.exports = db;`;
      assertGreen(
        await go({ 'a.spec.js': `it('asks for nothing', () => {}); ${hook};` }, { config, files: { 'db.js': db } }),
      );
    }
  });

  it('destroy the shared instance in the after hook of a describe can migrate first thing in the next one', async () => {
    const outcome = await go({
      'a.spec.js': `
        const migrationSource = {
          getMigrations: async () => ['things'], getMigrationName: (name) => name,
          getMigration: async () => ({ up: (k) => k.schema.createTable('things', (t) => t.increments()), down: async () => {} }),
        };
        describe('first', () => { after(() => db.destroy()); it('rolls back', () => db('users').del()); });
        describe('next', () => it('migrates', async () => {
          const migrator = db.migrate;
          await migrator.latest({ migrationSource });
          assert.deepEqual(await db('things'), []);
          assert.equal(await migrator.currentVersion({ migrationSource }), 'things');
        }));
        describe('last', () => it('destroys it itself', async () => {
          await db.destroy();
          await assert.rejects(names(), /Unable to acquire a connection/);
        }));`,
    });
    assertGreen(outcome);
    assert.deepEqual(await given.database.query(`select from pg_tables where tablename = 'things'`), []);
    assert.match(outcome.stderr, /suite "first" had destroyed in its after hook was used again, and got a new pool/);
  });

  it('make an instance in a describe and destroy it in its after hook can have both kinds of test in it @full', async () => {
    const outcome = await run(
      {
        'a.spec.js': `
          describe('own instance', () => {
            const own = require('knex').knex({ client: 'pg', connection: process.env.DATABASE_URL });
            after(() => own.destroy());
            it('rolls back', () => own('users').del());
            it('commits @truncate', async () => { assert.equal(await names(own), 'ann,bob'); await own('users').del(); });
          });
          const late = require('knex').knex({ client: 'pg', connection: process.env.DATABASE_URL });
          describe('migrates first', () => {
            after(() => late.destroy());
            it('a little', () => late.migrate.currentVersion());
          });
          describe('queries then', () => {
            it('a clone, and itself', async () => {
              await late.withUserParams({})('users').del();
              assert.equal(await names(late), '');
            });
            it('and is destroyed', async () => {
              await late.destroy();
              await assert.rejects(names(late), /Unable to acquire a connection/);
            });
          });`,
      },
      { database: given.database },
    );
    assertGreen(outcome);
  });

  it('do not await a query of a committing test are told, and have the next one on clean data @full', async () => {
    const outcome = await go({
      'a.spec.js': `
        it('floats @truncate', async () => { db.raw("with s as (select pg_sleep(0.3)) insert into users (name) select 'late' from s").then(() => {}); });
        it('is not disturbed @truncate', async () => { await new Promise((r) => setTimeout(r, 500)); assert.equal(await names(), 'ann,bob'); });`,
    });
    assert.deepEqual(outcome.failed, {}, outcome.output);
    assert.match(outcome.output, /did not await all that it had begun, which was waited for: "floats @truncate"/);
  });

  it('have a before hook that times out have its late queries turned away, in a committing suite too @full', async () => {
    const outcome = await go({
      'a.spec.js': `
        const later = () => new Promise((r) => setTimeout(r, 400));
        describe('slow @truncate', () => {
          before(async function () { this.timeout(100); await db('users').insert({ name: 'early' }); await later(); await db('users').insert({ name: 'late' }); });
          it('never', () => {});
        });
        describe('next @truncate', () => { it('is not disturbed', async () => { await later(); await later(); assert.equal(await names(), 'ann,bob'); }); });`,
    });
    assert.deepEqual(outcome.passed, ['next @truncate is not disturbed'], outcome.output);
    assert.match(outcome.output, /came too late: ".*" was sent by suite "slow @truncate"/);
  });

  it('migrate an empty database in a root-level hook have a green first run, committing tests or not', async () => {
    await given.database.query('drop table notes, users');
    const specs = {
      'a.spec.js': `
        const migrationSource = {
          getMigrations: async () => ['users'], getMigrationName: (name) => name,
          getMigration: async () => ({ up: (k) => k.schema.createTable('users', (t) => { t.increments(); t.string('name').unique(); }), down: async () => {} }),
        };
        before(async () => {
          await db.migrate.latest({ migrationSource });
          await db('users').del();
          await db('users').insert({ name: 'seed' });
        });
        it('rolls back', async () => { assert.equal(await names(), 'seed'); await db('users').del(); });
        it('commits @truncate', async () => { assert.equal(await names(), 'seed'); await db('users').del(); });
        it('has it back @truncate', async () => assert.equal(await names(), 'seed'));`,
    };
    const first = await go(specs);
    assertGreen(first);
    assert.match(first.stderr, /root-level hooks.*schema.*table public\.users was created/);
    assertGreen(await go(specs));
  });

  it('query and destroy in mochaGlobalTeardown get to its end, and keep a green run green @full', async () => {
    const outcome = await go(
      {
        'a.spec.js': `
          it('rolls back', () => db('users').del());
          it('commits @truncate', () => db('users').del());`,
      },
      {
        args: ['--require', './teardown.js'],
        files: {
          'teardown.js': `const db = require('./db');
            exports.mochaGlobalTeardown = async () => { console.error('at the end:', (await db('users').pluck('name')).sort().join()); await db.destroy(); };`,
        },
      },
    );
    assertGreen(outcome);
    assert.match(outcome.stderr, /at the end: ann,bob/);
  });

  for (const tag of ['@dirty', '@unmanaged']) {
    it(`clean up in a root-level after hook what a root-level before hook wrote find it gone, beside ${tag} tests too${full(tag !== '@dirty')}`, async () => {
      const specs = {
        'a.spec.js': `
          before(() => db('users').insert({ name: 'root' }));
          after(() => db('users').where({ name: 'root' }).del());
          it('rolls back', async () => assert.equal(await names(), 'ann,bob,root'));
          it('commits ${tag}', async () => assert.equal(await names(), 'ann,bob,root'));`,
      };
      assertGreen(await go(specs));
      assert.equal(await usersNow(), 'ann,bob');
      assertGreen(await go(specs));
    });
  }

  it('run in parallel an app that does not read DATABASE_URL are told so: its workers would share a database', async () => {
    const outcome = await go(
      { 'a.spec.js': `it('asks', () => db('users').first());`, 'b.spec.js': `it('asks', () => db('users').first());` },
      {
        args: ['--parallel', '--jobs', '2'],
        env: { APP_DATABASE: given.database.url },
        files: {
          'db.js': `module.exports = require('knex').knex({ client: 'pg', connection: process.env.APP_DATABASE });`,
        },
      },
    );
    assert.notEqual(outcome.code, 0, outcome.output);
    assert.deepEqual(outcome.passed, []);
    assert.match(Object.values(outcome.failed).join(), /REWIND_CONFIG: .*worker.*DATABASE_URL/s);
  });

  it('forgot to start the server see it in each test’s own words, not in those of another’s query', async () => {
    const outcome = await run(
      {
        'a.spec.js': `
          it('asks', () => db('users').first());
          it('asks something else', () => db('orders').first());`,
      },
      {
        database: given.database,
        files: {
          'db.js': `module.exports = require('knex').knex({ client: 'pg', connection: { host: '127.0.0.1', port: 1, user: 'postgres', database: 'down_test' } });`,
        },
      },
    );
    const second = outcome.failed['asks something else'] ?? outcome.output;
    assert.match(second, /REWIND_CONNECTION: No connection to database "down_test"/);
    assert.doesNotMatch(second, /from "users"/);
  });

  it('have no DATABASE_URL, and no embedded server, are told of both @full', async () => {
    const outcome = await go(
      { 'a.spec.js': `it('asks', () => db('users').first());` },
      { env: { DATABASE_URL: '', PGHOST: '127.0.0.1', PGPORT: '1' } },
    );
    assert.notEqual(outcome.code, 0);
    const message = Object.values(outcome.failed).join();
    assert.match(message, /REWIND_CONNECTION[^]*DATABASE_URL is not set[^]*mocha-rewind\/embedded/);
  });

  for (const [what, url, message] of [
    [
      'a database that is not there',
      (right: string) => right.replace(/rw_test_\w+/, '$&_gone'),
      /REWIND_CONNECTION[^]*Create it \(createdb \w+_gone\)/,
    ],
    [
      'no database at all',
      () => 'shop_test on my machine',
      /REWIND_CONNECTION: No connection to a database without a name[^]*postgres:\/\//,
    ],
    [
      'a server that is down',
      () => 'postgres://127.0.0.1:1/down_test',
      /REWIND_CONNECTION[^]*NODE_ENV is "development"/,
    ],
  ] as const)
    it(`name ${what} are told what to do`, async () => {
      const outcome = await go(
        { 'a.spec.js': `it('asks', () => db('users').first());` },
        { env: { DATABASE_URL: url(given.database.url), NODE_ENV: 'development' } },
      );
      assert.notEqual(outcome.code, 0);
      assert.match(Object.values(outcome.failed).join(), message);
    });

  it('misspell the folder of a rule are told so @full', async () => {
    const rules = `[{ files: '*.spec.js', mode: 'rollback' }, { files: 'tets/legacy/**', mode: 'unmanaged' }, { title: 'x', mode: 'nodb' }]`;
    const { code, stderr } = await go(
      { 'a.spec.js': `it('asks', () => db('users').first());` },
      { config: `{ knex: require('./db'), rules: ${rules} }` },
    );
    assert.equal(code, 0, stderr);
    assert.deepEqual(stderr.match(/rules\[\d\] of the config .*/g), [
      "rules[1] of the config matches no file: there is no tets/legacy in the package's folder.",
    ]);
  });

  it('connect in mochaGlobalSetup do not wait for ever for the databases of parallel workers @full', async () => {
    const outcome = await go(
      { 'a.spec.js': `it('asks', () => db('users').first());` },
      {
        args: ['--parallel', '--require', './setup.js'],
        files: {
          'db.js': `module.exports = require('knex').knex({ client: 'pg', connection: process.env.DATABASE_URL, pool: { min: 1, max: 2 } });`,
          'setup.js': `const db = require('./db');
            exports.mochaGlobalSetup = () => db('users').first();
            exports.mochaGlobalTeardown = () => db.destroy();`,
        },
      },
    );
    assert.match(outcome.output, /REWIND_CONNECTION[^]*Connected: pid[^]*mochaGlobalSetup/);
  });
});
