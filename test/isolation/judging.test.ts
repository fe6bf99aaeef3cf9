// Which database a real connection is on is asked of the server, for each one, before the app gets it.
import assert from 'node:assert/strict';
import { Pool } from 'pg';
import { identifyDatabase } from '../../lib/database';
import { AppPools } from '../../lib/isolation/app-pools';
import { Judge } from '../../lib/isolation/judge';
import { managePgPool } from '../../lib/sandbox';
import { createDatabase, type TestDatabase, urlOf } from '../support/database';
import { run } from '../support/run';
import { eachWithUsers, USERS, usersOf } from '../support/users';

describe('a connection that leads to another database than those before it', () => {
  const given = eachWithUsers();
  let other: TestDatabase;
  before(async () => (other = await createDatabase(USERS)));
  after(() => other.drop());

  it('is refused before its first use, in each mode, by either pool, also where it was made while files were loaded', async () => {
    const { failed, passed, code, output } = await run(
      {
        'a.spec.js': `
          const { rejects } = assert;
          const { moving, pool, early } = require('./apps');
          const refused = { code: 'REWIND_UNSAFE_DATABASE', message: /another database.*"${other.name}".*"${given.database.name}"/s };
          const add = (name) => moving('users').insert({ name });
          for (const tag of ['', ' @truncate']) {
            it('works, of an instance' + tag, async () => { moving.aim(process.env.DATABASE_URL); await add('at home'); });
            it('leads elsewhere' + tag, async () => {
              moving.aim('${other.url}');
              await Promise.all([1, 2, 3].map((n) => rejects(add('elsewhere ' + n), refused)));
            });
            it('swallows it' + tag, async () => {
              await moving.raw('select 1').catch(() => {});
              await moving.transaction((trx) => trx('users').insert({ name: 'swallowed' })).catch(() => {});
            });
            it('is back' + tag, async () => { moving.aim(process.env.DATABASE_URL); await add('back'); });
            it('is refused in a pg.Pool' + tag, async () => {
              await pool.query('select 1');
              pool.options.connectionString = '${other.url}';
              await Promise.all([1, 2].map(() => pool.query("insert into users (name) values ('by pool')").catch((error) => error)))
                .then(([, second]) => assert.match(String(second.message), /REWIND_UNSAFE_DATABASE/));
              pool.options.connectionString = process.env.DATABASE_URL;
            });
            it('was opened early' + tag, async () => {
              await rejects(early('users').insert({ name: 'early' }), refused);
            });
          }`,
      },
      {
        database: given.database,
        config: `{ knex: require('./apps').instances, pools: [require('./apps').pool] }`,
        files: {
          'apps.js': `
            const { knex } = require('knex');
            const { Pool } = require('pg');
            let url = process.env.DATABASE_URL;
            const moving = knex({ client: 'pg', pool: { min: 0, max: 5 }, connection: () => {
              const made = url;
              return { connectionString: made, expirationChecker: () => made !== url };
            } });
            moving.aim = (to) => (url = to);
            let home = '${other.url}';
            const early = knex({ client: 'pg', pool: { min: 1, max: 2 }, connection: async () => ({ connectionString: home }) });
            const opened = early.raw('select 1').then(() => (home = process.env.DATABASE_URL));
            module.exports = { moving, early, pool: new Pool({ connectionString: process.env.DATABASE_URL, max: 3 }), instances: { moving, early }, opened };`,
          'setup.js': `exports.mochaGlobalSetup = () => require('./apps').opened;`,
        },
      },
    );
    assert.deepEqual(failed, {}, output);
    assert.deepEqual([passed.length, code], [12, 0], output);
    assert.equal(await usersOf(other), 'ann,bob');
    assert.equal(await usersOf(given.database), 'ann,bob');
  });

  it('is refused, too, where it is one of our own, which restores', async () => {
    const pool = new Pool({ connectionString: given.database.url });
    const pools = new AppPools();
    managePgPool(pool, (managed) => {
      pools.add(managed);
      return () => ({ to: 'pool' });
    });
    const judge = (pools.judge = new Judge('the pool', { identify: identifyDatabase, inspect: async () => {} }));
    const first = await pools.connect();
    judge.knows(await identifyDatabase(first.query));
    const open = [first, await pools.connect(), await pools.connect('postgres')];
    pool.options.connectionString = other.url;
    await assert.rejects(pools.connect(), { code: 'REWIND_UNSAFE_DATABASE' });
    await Promise.all(open.map((connection) => connection.end()));
    await pool.end();
  });

  it('is none where its database was made again by a root hook', async () => {
    const { failed, passed, code, output } = await run(
      {
        'a.spec.js': `
          for (const n of [1, 2]) it('finds one user ' + n, async () => {
            await db('users').insert({ name: 'bob' });
            assert.equal(await names(), 'ann,bob');
          });`,
      },
      {
        database: given.database,
        args: ['--require', './hooks.js'],
        files: {
          'hooks.js': `
            const { Client } = require('pg');
            const on = async (connectionString, ...texts) => {
              const client = new Client({ connectionString });
              await client.connect();
              for (const text of texts) await client.query(text);
              await client.end();
            };
            exports.mochaHooks = { beforeAll: async () => {
              await on('${urlOf('postgres')}', 'drop database ${given.database.name} with (force)', 'create database ${given.database.name}');
              await on(process.env.DATABASE_URL, "create table users (id serial, name text); insert into users (name) values ('ann')");
            } };`,
        },
      },
    );
    assert.deepEqual(failed, {}, output);
    assert.deepEqual([passed.length, code], [2, 0], output);
  });
});

describe('two addresses of one database', () => {
  const given = eachWithUsers();

  it('are one database: what a test commits by one of them is restored once, and seen by the other', async () => {
    const { failed, passed, code, output } = await run(
      {
        'a.spec.js': `
          const other = require('./other');
          for (const n of [1, 2]) it('commits by both ' + n + ' @truncate', async () => {
            await db('users').insert({ name: 'carl' });
            await other('users').insert({ name: 'dora' });
            assert.equal(await names(), 'ann,bob,carl,dora');
            assert.equal(await names(other), 'ann,bob,carl,dora');
          });`,
      },
      {
        database: given.database,
        config: `{ knex: { db: require('./db'), other: require('./other') } }`,
        files: {
          'other.js': `
            const url = new URL(process.env.DATABASE_URL);
            url.hostname = url.hostname === 'localhost' ? '127.0.0.1' : 'localhost';
            module.exports = require('knex').knex({ client: 'pg', connection: url.href });`,
        },
      },
    );
    assert.deepEqual(failed, {}, output);
    assert.deepEqual([passed.length, code], [2, 0], output);
  });
});
