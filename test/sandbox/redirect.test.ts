// Pools whose real connections are led to another database of the same server.
import assert from 'node:assert/strict';
import knexFactory, { type Knex } from 'knex';
import { Pool } from 'pg';
import { type ManagedPool, managePgPool, watchKnex } from '../../lib/sandbox';
import { createDatabase, type TestDatabase } from '../support/database';

describe('a pool that is redirected', () => {
  let home: TestDatabase;
  let away: TestDatabase;
  let unwatch: () => void;
  let pools: ManagedPool[];
  const onPool = (pool: ManagedPool): (() => { to: 'pool' }) => {
    pools.push(pool);
    return () => ({ to: 'pool' });
  };
  before(async () => {
    [home, away] = [await createDatabase('create schema other'), await createDatabase('create schema other')];
  });
  after(() => Promise.all([home.drop(), away.drop()]));
  beforeEach(() => {
    pools = [];
    unwatch = watchKnex({ onPool, onIgnored: () => {} });
  });
  afterEach(() => unwatch());

  /** Of a database, as a pool of either kind sees it. */
  interface App {
    where(): Promise<string>;
    /** Of one connection: what pg's client shows as its process id, and what the server says. */
    pids(): Promise<number[]>;
    /** Takes a connection, and gives it back when told to. */
    hold(): Promise<() => unknown>;
    destroy(): Promise<unknown>;
  }
  const apps: Readonly<Record<string, (options?: object) => App>> = {
    'a Knex instance': (options: Knex.Config = {}) => {
      const knex = knexFactory({ client: 'pg', connection: home.url, pool: { min: 0, max: 2 }, ...options });
      return {
        where: async () => (await knex.raw('select current_database() as name')).rows[0].name as string,
        pids: async () => {
          const held = await knex.client.acquireConnection();
          const { rows } = await held.query('select pg_backend_pid() as pid');
          await knex.client.releaseConnection(held);
          return [held.processID, rows[0].pid] as number[];
        },
        hold: async () => {
          const held = await knex.client.acquireConnection();
          return () => knex.client.releaseConnection(held);
        },
        destroy: () => knex.destroy(),
      };
    },
    'a pg.Pool': (options) => {
      const pool = new Pool({ connectionString: home.url, max: 2, ...options });
      pool.on('error', () => {}); // as apps have it
      managePgPool(pool, onPool);
      return {
        where: async () =>
          (await pool.query<{ name: string }>('select current_database() as name')).rows[0]?.name ?? '',
        pids: async () => {
          const held = await pool.connect();
          const { rows } = await held.query<{ pid: number }>('select pg_backend_pid() as pid');
          held.release();
          return [(held as unknown as { processID: number }).processID, rows[0]?.pid ?? 0];
        },
        hold: async () => {
          const held = await pool.connect();
          return () => held.release();
        },
        destroy: () => pool.end(),
      };
    },
  };

  for (const [kind, make] of Object.entries(apps)) {
    describe(`of ${kind}`, () => {
      const sessions = async (database: TestDatabase): Promise<number> =>
        (
          await home.query('select from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()', [
            database.name,
          ])
        ).length;
      const until = async (done: () => Promise<boolean>): Promise<void> => {
        while (!(await done())) await new Promise((resolve) => setTimeout(resolve, 10));
      };
      let app: App;
      let pool: ManagedPool;
      beforeEach(async () => {
        app = make();
        assert.equal(await app.where(), home.name);
        pool = pools[0] ?? assert.fail('it was not announced');
      });
      afterEach(() => app.destroy());

      it('leads there, and back', async () => {
        pool.redirect(away.name);
        assert.deepEqual(await Promise.all([app.where(), app.where()]), [away.name, away.name]);
        pool.redirect(undefined);
        assert.equal(await app.where(), home.name);
        await until(async () => (await sessions(away)) === 0);
      });

      it('shows the process id of the session that it leads to, wherever that is', async () => {
        const agree = async (): Promise<boolean> => (await app.pids()).every((pid, _, [first]) => pid === first);
        assert.ok(await agree());
        pool.redirect(away.name);
        assert.ok(await agree());
        pool.redirect(undefined);
        assert.ok(await agree());
        await pool.closeIdle();
        assert.ok(await agree());
      });

      it('has idle connections closed wherever they lead', async () => {
        pool.redirect(away.name);
        await app.where();
        await pool.closeIdle();
        assert.equal((await sessions(away)) + (await sessions(home)), 0);
        assert.equal(await app.where(), away.name);
      });

      it('has its connections there ended, those that somebody still has as well', async () => {
        pool.redirect(away.name);
        const giveBack = await app.hold();
        assert.equal(pool.inUse(), 1);
        pool.redirect(undefined);
        await until(async () => (await sessions(away)) === 0);
        giveBack();
        assert.equal(pool.inUse(), 0);
        assert.equal(await app.where(), home.name);
      });

      it('can be destroyed meanwhile', async () => {
        pool.redirect(away.name);
        await app.where();
        await app.destroy();
        await until(async () => (await sessions(away)) + (await sessions(home)) === 0);
        pool.redirect(undefined);
        app = make();
      });

      it('goes on after its idle connections were closed', async () => {
        await pool.closeIdle();
        await until(async () => (await sessions(home)) === 0);
        assert.equal(await app.where(), home.name);
      });

      it('tells where its own database is, and connects to others', async () => {
        assert.equal(pool.database, home.name);
        const own = await pool.connect('a look', away.name);
        const { rows } = await own.query('select current_database()::text as name');
        await own.end();
        assert.deepEqual(rows, [{ name: away.name }]);
        const url = new URL(pool.url(away.name));
        assert.equal(url.pathname, `/${away.name}`);
      });
    });
  }

  it('keeps what Knex makes of its settings: afterCreate, search path, a function that gives them', async () => {
    const created: string[] = [];
    const knex = knexFactory({
      client: 'pg',
      connection: async () => ({ connectionString: home.url }),
      searchPath: ['other'],
      pool: {
        min: 0,
        max: 1,
        afterCreate: (
          connection: {
            query(sql: string, done: (error: Error | null, results: { rows: { name: string }[] }[]) => void): void;
          },
          done: (error: Error | null, connection: unknown) => void,
        ) =>
          connection.query("set app.made = 'yes'; select current_database()::text as name", (error, results) => {
            const { rows } = results[1] ?? { rows: [] };
            created.push(rows[0]?.name ?? '');
            done(error, connection);
          }),
      },
    });
    try {
      const ask = async (): Promise<string> =>
        (await knex.raw("select concat_ws(' ', current_schema(), current_setting('app.made')) as name")).rows[0]
          .name as string;
      assert.equal(await ask(), 'other yes');
      pools[0]?.redirect(away.name);
      assert.equal(await ask(), 'other yes');
      assert.deepEqual(created, [home.name], 'the pool still has the connection that it has made');
    } finally {
      await knex.destroy();
    }
  });
});
