// Whose connections are isolated: found in the process, of whichever copy of a package, on whichever kind of pool.
import assert from 'node:assert/strict';
import { assertGreen, run, together } from '../support/run';
import { USERS, eachWithUsers, usersOf } from '../support/users';

/** A pool that makes its clients itself, for Knex instances to share; `of`: the package its clients come from. */
const SHARED = `
const { KnexPool } = require('knex/lib/pool');
const settings = process.env.DATABASE_URL;
exports.poolOf = (create) => new KnexPool({ create, destroy: (client) => client.end(), min: 0, max: 3, idleTimeoutMillis: 200 });
exports.connected = async (name = 'pg', to = settings) => {
  const client = new (require(name).Client)(to);
  await client.connect();
  await client.query("set application_name = 'shared'");
  return client;
};
exports.on = (connectionPool) => require('knex').knex({ client: 'pg', connectionPool });
`;

const PAIR = `
const { poolOf, connected, on } = require('./shared');
const pool = poolOf(() => connected());
const [one, two] = [on(pool), on(pool)];
`;

const CLEAN = `assert.equal(await names(two), 'ann,bob')`;

describe('a Knex instance on a pool that the app makes itself', () => {
  const shared = together(USERS, {
    files: { 'shared.js': SHARED },
    // where a client without settings would lead
    env: { PGDATABASE: 'template1' },
  });

  it(
    'is isolated in each mode, in the database that its clients lead to',
    shared(
      `${PAIR}
      for (const tag of ['', ' @truncate', ' @schema']) {
        it('writes' + tag, async () => {
          ${CLEAN};
          await one('users').insert({ name: 'cy' });
          await two.transaction((trx) => trx('users').where({ name: 'ann' }).del());
          assert.equal(await names(one), 'bob,cy');
          assert.equal((await one.raw('show application_name')).rows[0].application_name, 'shared');
        });
        it('starts clean' + tag, async () => { ${CLEAN}; });
      }`,
      async (outcome, database) => {
        assertGreen(outcome);
        assert.equal(await usersOf(database), 'ann,bob');
      },
    ),
  );

  it(
    'shares the transaction of a test with the instances on pools of their own, also by clients of another pg',
    shared(
      `${PAIR}
      const old = on(poolOf(() => connected('pg-8.11')));
      after(() => Promise.all([pool.destroy(), old.client.pool.destroy()]));
      it('writes', async () => {
        await db('users').insert({ name: 'cy' });
        assert.equal(await names(one), 'ann,bob,cy');
        await old('users').insert({ name: 'di' });
        assert.equal(await names(), 'ann,bob,cy,di');
      });
      it('starts clean', async () => { ${CLEAN}; assert.equal(await names(old), 'ann,bob'); });`,
      (outcome) => assertGreen(outcome),
    ),
  );

  it(
    'is refused by name where its clients can not be led: made elsewhere, leading elsewhere, or none of pg',
    shared(
      `
      const { poolOf, connected, on } = require('./shared');
      const refused = (knex, words) => assert.rejects(knex('users').insert({ name: 'past' }), (error) => {
        assert.equal(error.code, 'REWIND_CONFIG');
        assert.match(error.message, words);
        return true;
      });
      let early;
      before(async () => { early = await connected(); });
      after(() => early.end());
      it('made elsewhere', async () => {
        await refused(on(poolOf(() => early)), /connected outside of the pool’s \`create\`/);
      });
      it('leading elsewhere', async () => {
        let made = 0;
        const pool = poolOf(() => connected('pg', made++ ? Object.assign(new URL(process.env.DATABASE_URL), { pathname: '/template1' }).href : undefined));
        const knex = on(pool);
        await knex.transaction(async (trx) => {
          assert.equal(await names(trx), 'ann,bob');
          await refused(knex, /database "template1"/);
        });
        await pool.destroy();
      });
      it('none of pg', () => refused(on(poolOf(() => ({ query: () => assert.fail('was used'), end() {} }))), /something else than a client of the package "pg"/));`,
      async (outcome, database) => {
        assertGreen(outcome);
        assert.equal(await usersOf(database), 'ann,bob');
      },
    ),
  );
});

describe('a Knex instance on a pool that the app makes itself', () => {
  const given = eachWithUsers();

  it('is migrated and seeded where the config names it, and left alone where it excludes it', async () => {
    const files = {
      'shared.js': SHARED,
      'one.js': `const { poolOf, connected, on } = require('./shared'); module.exports = on(poolOf(() => connected()));`,
    };
    const spec = `
      const one = require('./one');
      after(() => one.client.pool.destroy());
      it('writes', async () => { await one('users').insert({ name: 'cy' }); });`;
    const seed = `async (knex) => { await knex('users').insert({ name: 'seeded' }); }`;
    const named = await run(
      {
        'a.spec.js': `${spec} it('starts on the seed', async () => assert.equal(await names(one), 'ann,bob,seeded'));`,
      },
      { database: given.database, files, config: `{ knex: require('./one'), seed: ${seed} }` },
    );
    assertGreen(named);
    assert.equal(await given.usersNow(), 'ann,bob,seeded');
    const excluded = await run(
      { 'a.spec.js': spec },
      {
        database: given.database,
        files,
        config: `{ exclude: ({ database }) => database === '${given.database.name}' }`,
      },
    );
    assertGreen(excluded);
    assert.equal(await given.usersNow(), 'ann,bob,cy,seeded');
  });
});

describe('a Knex instance of another copy of Knex than the project’s', () => {
  const shared = together(USERS, {
    files: {
      'other.js': `exports.of = (name) => require(name).knex({ client: 'pg', connection: process.env.DATABASE_URL });`,
      'other.mjs': `import knex from 'knex-2.5'; export default knex({ client: 'pg', connection: process.env.DATABASE_URL });`,
    },
  });

  it(
    'is isolated, whichever way it is loaded',
    shared(
      `
      const loaded = {
        'by require': () => require('./other').of('knex-3.1'),
        'by import': async () => (await import(require('node:path').resolve('other.mjs'))).default,
      };
      for (const [how, load] of Object.entries(loaded)) {
        describe(how, () => {
          let knex;
          before(async () => { knex = await load(); });
          after(() => knex.destroy());
          for (const tag of ['', ' @truncate']) {
            it('writes' + tag, async () => { await knex('users').insert({ name: 'cy' }); assert.equal(await names(knex), 'ann,bob,cy'); });
            it('starts clean' + tag, async () => assert.equal(await names(knex), 'ann,bob'));
          }
        });
      }`,
      async (outcome, database) => {
        assertGreen(outcome);
        assert.equal(outcome.passed.length, 8);
        assert.equal(await usersOf(database), 'ann,bob');
      },
    ),
  );
});

/** The app's other driver, which nothing of ours leads. */
const OTHER_DRIVER = {
  'other.js': `
            const url = new URL(process.env.DATABASE_URL);
            module.exports = require('postgres')({ host: url.searchParams.get('host') ?? url.hostname, port: Number(url.port || 5432), database: url.pathname.slice(1), user: url.username, password: url.password, max: 1 });`,
};

describe('what goes past a run', () => {
  const given = eachWithUsers();

  it('is told, by who has opened it, and its tests are not counted as rolled back', async () => {
    const outcome = await run(
      {
        'a.spec.js': `
          const { Client } = require('pg');
          const http = require('node:http');
          const sql = require('./other');
          after(() => sql.end());
          it('writes through us, and looks from outside', async () => {
            await db('users').insert({ name: 'cy' });
            const client = new Client(process.env.DATABASE_URL);
            await client.connect();
            assert.equal((await client.query('select from users')).rows.length, 2);
            await client.end();
          });
          it('knows another driver', async () => { await sql\`select 1\`; });
          it('knows it still', async () => { await sql\`select 1\`; });
          it('does nothing', () => {});
          it('calls a service of its own', async () => {
            const server = http.createServer((_, response) => response.end('ok')).listen(0);
            await new Promise((resolve) => server.once('listening', resolve));
            await new Promise((resolve) => http.get({ port: server.address().port, agent: false }, (r) => r.resume().on('end', resolve)));
            server.close();
          });
          it('commits @truncate', async () => { await db('users').del(); });`,
      },
      {
        database: given.database,
        files: OTHER_DRIVER,
      },
    );
    assertGreen(outcome);
    const [said = '', past = ''] = outcome.stderr.split('\n').filter((line) => line.includes('rewind:'));
    assert.match(said, /3 rolled back · 1 committed, undone .*· 2 not isolated/);
    assert.match(
      past,
      /2 connections were not managed: 1 by pg \(a\.spec\.js:\d+\) to localhost:\d+, 1 by postgres(?: \(.*\))? to localhost:\d+$/,
    );
  });

  it('is told of workers, too, and where nothing is managed', async () => {
    const spec = `
      const sql = require('./other');
      after(() => sql.end());
      it('asks', async () => { await sql\`select 1\`; });`;
    const outcome = await run(
      { 'a.spec.js': spec, 'b.spec.js': spec },
      { database: given.database, files: OTHER_DRIVER, args: ['--parallel', '--jobs', '2'] },
    );
    assert.equal(outcome.code, 0, outcome.output);
    assert.match(outcome.stderr, /rewind: 2 not isolated/);
    assert.match(outcome.stderr, /2 connections were not managed: 1 by postgres .*, 1 by postgres/);
  });
});

describe("with pools: 'all'", () => {
  const shared = together(USERS, {
    config: `{ knex: require('./db'), pools: 'all', exclude: ({ user, database }) => process.env.LEFT_ALONE === database }`,
    env: { PGDATABASE: 'template1' },
  });
  const CLIENTS = `
    const opened = async (name = 'pg', settings = process.env.DATABASE_URL) => {
      const client = new (require(name).Client)(settings);
      client.on('error', () => {});
      await client.connect();
      return client;
    };
    const seen = async (on) => (await on.query('select name from users order by name')).rows.map((row) => row.name).join();
    const insert = (on, name) => on.query('insert into users (name) values ($1)', [name]);`;

  it(
    'pools, clients and instances that nobody names share the test’s transaction, whichever copy they are of and wherever they are made',
    shared(
      `${CLIENTS}
      const all = {};
      before(async () => {
        const make = (name) => new (require(name).Pool)({ connectionString: process.env.DATABASE_URL });
        const knex = require('knex').knex({ client: 'pg', connection: process.env.DATABASE_URL });
        Object.assign(all, { pool: make('pg'), old: make('pg-8.11'), client: await opened(), other: await opened('pg-8.16') });
        all.knex = { query: (text, values = []) => knex.raw(text.replace('$1', '?'), values), end: () => knex.destroy() };
      });
      for (const tag of ['', ' @truncate', ' @schema']) {
        it('write' + tag, async () => {
          await db('users').insert({ name: 'cy' });
          for (const [name, on] of Object.entries(all)) await insert(on, 'by ' + name);
          const rows = 'ann,bob,by client,by knex,by old,by other,by pool,cy';
          for (const on of Object.values(all)) assert.equal(await seen(on), rows);
          assert.equal(await names(), rows);
        });
        it('start clean' + tag, async () => { for (const on of Object.values(all)) assert.equal(await seen(on), 'ann,bob'); });
      }`,
      async (outcome, database) => {
        assertGreen(outcome);
        assert.equal(outcome.passed.length, 6);
        assert.equal(await usersOf(database), 'ann,bob');
      },
    ),
  );

  it(
    'apps on Kysely, and on Sequelize 6, which pools clients of its own, are isolated',
    shared(
      `
      const { Kysely, PostgresDialect } = require('kysely');
      const { DataTypes, Sequelize } = require('sequelize');
      const kysely = new Kysely({ dialect: new PostgresDialect({ pool: new (require('pg').Pool)({ connectionString: process.env.DATABASE_URL }) }) });
      const { host, port, user, database } = new (require('pg').Client)(process.env.DATABASE_URL);
      const sequelize = new Sequelize(database, user, '', { dialect: 'postgres', host, port, logging: false, pool: { idle: 200, evict: 100 } });
      const User = sequelize.define('user', { name: DataTypes.TEXT }, { timestamps: false });
      const apps = {
        kysely: {
          insert: (name, on = kysely) => on.insertInto('users').values({ name }).execute(),
          transaction: (work) => kysely.transaction().execute(work),
          names: async () => (await kysely.selectFrom('users').select('name').orderBy('name').execute()).map(({ name }) => name).join(),
        },
        sequelize: {
          insert: (name, transaction) => User.create({ name }, { transaction }),
          transaction: (work) => sequelize.transaction(work),
          names: async () => (await User.findAll({ order: ['name'] })).map(({ name }) => name).join(),
        },
      };
      for (const [name, app] of Object.entries(apps)) {
        describe(name, () => {
          for (const tag of ['', ' @truncate']) {
            it('writes' + tag, async () => {
              await Promise.all(['b', 'c', 'd'].map((one) => app.insert(one)));
              await app.transaction((t) => app.insert('e', t));
              await assert.rejects(app.transaction(async (t) => { await app.insert('f', t); throw new Error('no'); }), /no/);
              for (const other of Object.values(apps)) assert.equal(await other.names(), 'ann,b,bob,c,d,e');
            });
            it('starts clean' + tag, async () => assert.equal(await app.names(), 'ann,bob'));
          }
        });
      }`,
      (outcome) => assertGreen(outcome),
    ),
  );

  it(
    'a client that a test leaves in a transaction is ended with it, and its test fails',
    shared(
      `${CLIENTS}
      let held, fresh;
      before(async () => { held = await opened(); });
      it('forgets', async () => { await held.query('begin'); await insert(held, 'cy'); });
      it('meets its end', async () => {
        await assert.rejects(held.query('select 1'));
        fresh = await opened();
        assert.equal(await seen(fresh), 'ann,bob');
        await fresh.query('begin');
        await insert(fresh, 'cy');
        await fresh.query('commit');
        assert.equal(await seen(fresh), 'ann,bob,cy');
      });
      it('goes on', async () => { assert.equal(await seen(fresh), 'ann,bob'); await fresh.end(); });`,
      (outcome) => {
        assert.deepEqual(outcome.passed, ['meets its end', 'goes on'], outcome.output);
        assert.match(outcome.failed['forgets'] ?? '', /REWIND_LEFT_OPEN: /);
      },
    ),
  );

  it(
    'a client keeps in committing tests what it has set and listens to, and its settings in those that are rolled back',
    shared(
      `${CLIENTS}
      let client;
      const told = [];
      before(async () => {
        client = await opened();
        client.on('notification', ({ payload }) => told.push(payload));
        await client.query("SET TIME ZONE 'Asia/Tokyo'");
        await client.query("SET search_path TO public");
      });
      const zone = async () => (await client.query('show timezone')).rows[0].TimeZone;
      it('is rolled back', async () => assert.equal(await zone(), 'Asia/Tokyo'));
      it('listens @truncate', async () => { await client.query('listen news'); assert.equal(await zone(), 'Asia/Tokyo'); });
      it('is told @truncate', async () => { await db.raw("notify news, 'a'"); await client.query('select 1'); assert.deepEqual(told, ['a']); });`,
      (outcome) => assertGreen(outcome),
    ),
  );

  it(
    'what leads to another database is left alone, and what the config excludes',
    shared(
      `${CLIENTS}
      it('leads elsewhere', async () => {
        const elsewhere = await opened('pg', Object.assign(new URL(process.env.DATABASE_URL), { pathname: '/postgres' }).href);
        const pool = new (require('pg').Pool)(elsewhere.connectionParameters);
        const own = elsewhere.processID;
        assert.equal((await elsewhere.query('select pg_backend_pid() as pid')).rows[0].pid, own);
        assert.equal((await pool.query('select txid_current_if_assigned() as x')).rows[0].x, null);
        await Promise.all([elsewhere.end(), pool.end()]);
      });
      it('is excluded', async () => {
        process.env.LEFT_ALONE = new URL(process.env.DATABASE_URL).pathname.slice(1);
        const witness = await opened(undefined, { connectionString: process.env.DATABASE_URL, application_name: 'witness' });
        delete process.env.LEFT_ALONE;
        await db('users').insert({ name: 'cy' });
        assert.equal(await seen(witness), 'ann,bob');
        await witness.end();
      });`,
      (outcome) => assertGreen(outcome),
    ),
  );
});
