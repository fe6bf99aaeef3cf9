// The ways in: how pools are found, where the gate can send a checkout, and what an app's process is like afterwards.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import knexFactory, { type Knex } from 'knex';
import Cursor from 'pg-cursor';
import { Pool, type Client } from 'pg';
import {
  countQueries,
  createSandbox,
  expectQueries,
  manageKnex,
  managePgPool,
  watchKnex,
  type Admission,
  type ManagedPool,
  type Sandbox,
} from '../../lib/sandbox';
import { createDatabase, dropRoles, type TestDatabase } from '../support/database';
import { project, repo } from '../support/project';
import { err, SCHEMA, scope, vs } from './arena';

function setsTimeZone(connection: Client, done: (error: Error | null, connection: Client) => void): void {
  connection.query("set timezone = 'Asia/Tokyo'", (error: Error | null) => done(error, connection));
}

describe('pools', () => {
  let db: TestDatabase;
  let sandbox: Sandbox;
  let unwatch: () => void;
  let admission: Admission | Promise<Admission>;
  let pools: ManagedPool[];
  let ignored: string[];
  const made: Knex[] = [];

  before(
    async () => (db = await createDatabase(`${SCHEMA}; create schema other; create table other.pa(id serial, v text)`)),
  );
  after(() => db.drop());
  beforeEach(() => {
    sandbox = createSandbox({ interleaveTimeout: 200 });
    sandbox.enter(scope('root', ''));
    admission = { to: 'sandbox', sandbox };
    pools = [];
    ignored = [];
    unwatch = watchKnex(watch);
  });
  afterEach(async () => {
    for (const knex of made.splice(0)) await knex.destroy();
    await sandbox.release();
    unwatch();
  });

  const watch = {
    onPool: (pool: ManagedPool) => {
      pools.push(pool);
      return pool.key.includes(db.name) ? () => admission : undefined;
    },
    onIgnored: (reason: string) => void ignored.push(reason),
  };
  const connect = (options: Partial<Knex.Config> = {}): Knex => {
    const knex = knexFactory({
      client: 'pg',
      connection: db.url,
      pool: { min: 0, max: 4 },
      log: { warn() {} },
      ...options,
    });
    made.push(knex);
    return knex;
  };

  it('are announced once each, at their first checkout', async () => {
    const [one, two] = [connect(), connect()];
    assert.equal(pools.length, 0);
    await Promise.all([one('pa'), one('pa'), one.withUserParams({})('pa')]);
    assert.equal(pools.length, 1);
    await two('pa');
    assert.equal(pools.length, 2);
    assert.equal(pools[0]?.key, pools[1]?.key);
    assert.equal(pools[0]?.knexClient, one.client);
  });

  it('of an instance that is named in the config are announced before it is used', async () => {
    const knex = connect();
    const undo = await manageKnex(knex, watch);
    assert.equal(pools.length, 1);
    await knex('pa');
    assert.equal(pools.length, 1);
    undo();
  });

  it('of other drivers are left alone, and that is said once', async () => {
    for (let i = 0; i < 2; i++)
      await err(
        connect({ client: 'cockroachdb', connection: { host: '/nowhere' }, acquireConnectionTimeout: 50 })(
          'pa',
        ).select(),
      );
    assert.equal(ignored.length, 1);
    assert.match(ignored[0] ?? '', /cockroachdb/);
  });

  describe('of users of one database', () => {
    const roles = ['one', 'two', 'three'].map((name) => `${name}_${randomBytes(5).toString('hex')}`);
    const [one, two, three] = roles as [string, string, string];
    const as = (user: string): Knex => {
      const url = new URL(db.url);
      url.username = user;
      return connect({ connection: url.href });
    };
    const who = async (knex: Knex): Promise<string> =>
      (await knex.raw<{ rows: { name: string }[] }>('select current_user::text as name')).rows[0]?.name ?? '';

    before(() =>
      db.query(
        `${roles.map((role) => `create role ${role} login; grant all on pa to ${role}; grant all on sequence pa_id_seq to ${role};`).join('')}
         grant ${two} to ${one}`,
      ),
    );
    after(async () => {
      await db.query(`drop owned by ${roles.join()}`);
      await dropRoles(roles);
    });

    it('act as members of a role: the one that may become the others is pinned', async () => {
      const [member, role] = [as(one), as(two)];
      await role('pa').select();
      await member('pa').insert({ v: 'one' });
      await role('pa').insert({ v: 'two' });
      assert.deepEqual([await who(member), await who(role), await vs(role)], [one, two, 'one,two']);
      for (const sql of ['set role none', 'reset role', `set role ${two}`]) {
        await role.raw(sql);
        assert.equal(await who(role), two);
      }
      const statements = [
        'select session_user',
        `set role ${one}`,
        `set session authorization ${one}`,
        'set local role none',
      ];
      for (const sql of statements) {
        const e = await err(role.transaction(async (trx) => trx.raw(sql)));
        assert.equal(e, 'REWIND_SESSION', sql);
      }
      assert.deepEqual([await who(role), await vs(member)], [two, 'one,two']);
      assert.equal(sandbox.takeProblems().length, statements.length);
    });

    it('are refused where neither may act as the other', async () => {
      const [first, other] = [as(two), as(three)];
      await first('pa').insert({ v: 'x' });
      await assert.rejects(async () => other('pa'), new RegExp(`REWIND_SESSION.*"${two}" and as "${three}"`, 's'));
      assert.equal(await vs(first), 'x');
      assert.equal(sandbox.takeProblems().length, 1);
    });

    it('are refused where the weaker one has written before anybody knew of the other', async () => {
      const [weak, strong] = [as(two), connect()];
      await weak('pa').insert({ v: 'x' });
      await assert.rejects(async () => strong('pa'), /REWIND_SESSION.*name the instances of both/s);
    });

    it('are not, where the stronger one was known', async () => {
      const [weak, strong] = [as(two), connect()];
      await manageKnex(strong, watch);
      for (const pool of pools) sandbox.join(pool);
      await weak('pa').insert({ v: 'x' });
      assert.deepEqual([await vs(strong), await who(weak)], ['x', two]);
    });

    it('do not wait for a user that can’t connect', async () => {
      const gone = as('nobody_has_this_name');
      await manageKnex(gone, watch);
      for (const pool of pools) sandbox.join(pool);
      const weak = as(two);
      assert.equal(await err(gone('pa').select()), '28000');
      assert.equal(await who(weak), two);
    });
  });

  it('of which one holds its only connection share a transaction', async () => {
    const pool = { min: 0, max: 1 };
    const [one, two] = [connect({ pool }), connect({ pool: { ...pool, afterCreate: setsTimeZone } })];
    await one('pa').insert({ v: 'a' });
    const zone = async (knex: Knex): Promise<unknown> => (await knex.raw<{ rows: unknown[] }>('show timezone')).rows[0];
    assert.deepEqual([await vs(two), await zone(two)], ['a', { TimeZone: 'Asia/Tokyo' }]);
    assert.notDeepEqual(await zone(one), await zone(two));
    await sandbox.release();
    assert.deepEqual([await vs(two), await zone(two), await vs(one)], ['', { TimeZone: 'Asia/Tokyo' }, '']);
    assert.notDeepEqual(await zone(one), await zone(two));
  });

  it('have sessions of their own, one of which is lent to the tests', async () => {
    const all = [connect(), connect(), connect()];
    for (const knex of all) await knex('pa').select();
    const pids = (): number[] => pools.flatMap((pool) => pool.pids());
    assert.equal(new Set(pids()).size, 3);
    assert.ok(pids().includes(sandbox.pid ?? 0));
    const before = pids();
    await sandbox.release();
    assert.deepEqual(pids().sort(), before.sort());
  });

  it('with different search paths share a transaction', async () => {
    const [one, two] = [connect(), connect({ searchPath: ['other'] })];
    await one('pa').insert({ v: 'public' });
    await two('pa').insert({ v: 'other' });
    await err(two.raw('selct'));
    await two.transaction(async (t) => t('pa').insert({ v: 'other 2' }));
    assert.deepEqual([await vs(one), await vs(two)], ['public', 'other,other 2']);
    assert.deepEqual(await one('other.pa').orderBy('id').pluck('v'), ['other', 'other 2']);
  });

  it('can be sent to themselves: nothing in between', async () => {
    admission = { to: 'pool' };
    const knex = connect();
    await knex('pa').insert({ v: 'real' });
    assert.deepEqual(await db.query('select v from pa'), [{ v: 'real' }]);
    await knex('pa').del();
  });

  it('wait for a gate that takes its time', async () => {
    admission = new Promise((resolve) => setTimeout(() => resolve({ to: 'sandbox', sandbox }), 20));
    assert.equal(await vs(connect()), '');
  });

  it('can be sent nowhere: every use fails with the error, and no server is needed', async () => {
    admission = { to: 'nowhere', error: Object.assign(new Error('not here'), { code: 'NOT_HERE' }) };
    const logged: string[] = [];
    const url = `postgresql://u@127.0.0.1:1/${db.name}`;
    const knex = connect({ connection: url, log: { warn: (m: string) => void logged.push(m) } });
    const query = (use: (c: { query(...args: unknown[]): unknown }) => unknown): Promise<string> =>
      err(async () => use((await knex.client.acquireConnection()) as never));
    assert.equal(await err(knex('pa').select()), 'NOT_HERE');
    assert.equal(await err(knex.transaction(async (t) => t('pa'))), 'NOT_HERE');
    assert.equal(
      await err(async () => {
        for await (const _row of knex('pa').stream());
      }),
      'NOT_HERE',
    );
    assert.equal(await query((c) => c.query('select 1')), 'NOT_HERE');
    assert.equal(await query((c) => new Promise((_resolve, reject) => c.query('select 1', reject))), 'NOT_HERE');
    assert.equal(
      await query((c) => (c.query(new Cursor('select 1')) as { read(n: number): unknown }).read(1)),
      'NOT_HERE',
    );
    assert.deepEqual(logged, []);
    const pool = new Pool({ connectionString: url });
    managePgPool(pool, watch.onPool);
    assert.equal(await err(pool.query('select 1')), 'NOT_HERE');
    await pool.end();
  });

  it('reject as ever where there is no server', async () => {
    const knex = connect({ connection: `postgresql://u@127.0.0.1:1/${db.name}`, acquireConnectionTimeout: 100 });
    assert.equal(await err(knex('pa').select()), 'ECONNREFUSED');
  });

  it('of pg may wait for the one real connection for longer than for a connection of their own', async () => {
    const slow = new Pool({ connectionString: db.url });
    const connectNow = slow.connect.bind(slow) as () => Promise<unknown>;
    slow.connect = (async () => {
      await new Promise((resolve) => setTimeout(resolve, 150));
      return connectNow();
    }) as Pool['connect'];
    const hasty = new Pool({ connectionString: db.url, connectionTimeoutMillis: 50 });
    for (const pool of [slow, hasty]) managePgPool(pool, (managed) => watch.onPool(managed));
    const [one, two] = await Promise.all([slow.query('select 1 as n'), hasty.query('select 2 as n')]);
    assert.deepEqual([one.rows, two.rows], [[{ n: 1 }], [{ n: 2 }]]);
    await slow.end();
    await hasty.end();
  });

  it('count the statements that a piece of code sends, and no others', async () => {
    const knex = connect();
    const noise = setInterval(() => void knex('pa').then(), 1);
    const counted = await countQueries(async () => {
      await knex.transaction(async (t) => t('pa').insert({ v: 'a' }));
      await knex('pa').where({ v: 'a' });
    });
    clearInterval(noise);
    assert.deepEqual(
      counted.map((q) => q.sql),
      ['insert into "pa" ("v") values ($1)', 'select * from "pa" where "v" = $1'],
    );
    assert.equal(await expectQueries(1, async () => ((await knex('pa')) as unknown[]).length), 1);
    await assert.rejects(
      () => expectQueries(0, () => knex('pa').where({ v: 'x' })),
      /REWIND_QUERY_COUNT.*Expected 0 queries, but 1 ran.*where "v" = \$1 -- \["x"\]/s,
    );
    await knex.destroy();
  });

  it('let the process end by itself once they are told to, though nobody destroys them', async () => {
    const fixture = project({
      files: {
        'spec.js': `
          const { watchKnex, createSandbox } = require('${repo}/dist/sandbox');
          const sandbox = createSandbox();
          let pool;
          watchKnex({ onPool: (p) => ((pool = p), () => ({ to: global.real ? 'pool' : 'sandbox', sandbox })), onIgnored() {} });
          const knex = require('knex')({ client: 'pg', connection: process.env.DATABASE_URL, pool: { min: 2, max: 4 } });
          const root = { kind: 'root', title: '', mode: 'rollback', ended: false };
          it('uses it', async () => {
            sandbox.enter(root);
            await knex.raw('select 1');
            await sandbox.release();
            global.real = true;
            await Promise.all([knex.raw('select 1'), knex.raw('select 2')]);
          });
          after(() => pool.unref());`,
      },
    });
    const { code, output } = await fixture.mocha(['spec.js'], { DATABASE_URL: db.url }, 60_000);
    fixture.remove();
    assert.equal(code, 0, output);
  });
});
