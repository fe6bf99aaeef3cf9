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
