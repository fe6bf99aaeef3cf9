import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import bookshelf from 'bookshelf';
import { Model } from 'objection';
import Cursor from 'pg-cursor';
import { from, to } from 'pg-copy-streams';
import { Client, Query } from 'pg';
import { err, sleep, vs, type Behaviour } from '../arena';

type PoolClass = new (options: object) => Record<'numUsed' | 'numFree' | 'numPendingAcquires', () => number> & {
  on(event: string, listener: () => void): void;
  destroy(): Promise<unknown>;
};

const rows = (...names: string[]): { v: string }[] => names.map((v) => ({ v }));

/** Streams, cursors, COPY, other libraries and other instances. */
export const clients: Behaviour[] = [
  {
    name: 'a stream to its end',
    run: async ({ knex }) => {
      await knex('pa').insert(rows('a', 'b', 'c'));
      const seen: string[] = [];
      for await (const row of knex('pa').orderBy('v').stream()) seen.push((row as { v: string }).v);
      return seen;
    },
  },
  {
    name: 'a stream with more rows than fit in a page, and pipe',
    run: async ({ knex }) => {
      await knex.raw("insert into pa(v) select 'r' || g from generate_series(1, 1000) g");
      let n = 0;
      await knex('pa').stream(async (stream: AsyncIterable<unknown>) => {
        for await (const _row of stream) n++;
      });
      return n;
    },
  },
  {
    name: 'queries inside a stream’s loop',
    run: async ({ knex }) => {
      await knex('pa').insert(rows('a', 'b', 'c'));
      for await (const row of knex('pa').orderBy('v').stream())
        await knex('pa').insert({ v: `${(row as { v: string }).v}x` });
      return vs(knex);
    },
  },
  {
    name: 'a stream abandoned early',
    may: 'REWIND_LEFT_OPEN', // before 3.3, Knex leaves its query open, and the connection with it
    run: async ({ knex }) => {
      await knex('pa').insert([...Array(50).keys()].map((i) => ({ v: `s${i}` })));
      let n = 0;
      for await (const _row of knex('pa').stream({ highWaterMark: 5 })) if (++n === 3) break;
      return [n, ((await knex('pa')) as unknown[]).length];
    },
  },
  {
    name: 'a stream of a query that fails at once',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'a' });
      const e = await err(async () => {
        for await (const _row of knex('nope').stream());
      });
      return [e, await vs(knex)];
    },
  },
  {
    name: 'a stream of a query that fails after some rows',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'a' });
      let n = 0;
      const e = await err(async () => {
        for await (const _row of knex.raw('select 1/(20-g) from generate_series(1, 50) g').stream({ highWaterMark: 4 }))
          n++;
      });
      return [e, n > 0, await vs(knex)];
    },
  },
  {
    name: 'a stream inside a transaction',
    run: async ({ knex }) => {
      const seen: string[] = [];
      await knex.transaction(async (t) => {
        await t('pa').insert(rows('a', 'b'));
        for await (const row of t('pa').orderBy('v').stream()) seen.push((row as { v: string }).v);
        await t('pa').insert({ v: 'c' });
      });
      return [seen, await vs(knex)];
    },
  },
  {
    name: 'pg-cursor on an acquired client',
    run: async ({ knex }) => {
      await knex('pa').insert(rows('a', 'b', 'c'));
      const c = await knex.client.acquireConnection();
      const cursor = c.query(new Cursor('select v from pa where v <> $1 order by v', ['b']));
      const seen = [await cursor.read(1), await cursor.read(5), await cursor.read(5)];
      await cursor.close();
      await knex.client.releaseConnection(c);
      return [seen, await vs(knex)];
    },
  },
  {
    name: 'a query after a cursor on the same client waits for it',
    run: async ({ knex }) => {
      await knex('pa').insert(rows('a', 'b', 'c'));
      const c = await knex.client.acquireConnection();
      const log: string[] = [];
      const cursor = c.query(new Cursor('select v from pa order by v'));
      const after = c.query('select 1').then(() => log.push('query'));
      await cursor.read(1);
      await sleep(10);
      log.push('read');
      await cursor.close();
      await after;
      await knex.client.releaseConnection(c);
      return log;
    },
  },
  {
    name: 'a cursor with callbacks, an error, rowMode array',
    run: async ({ knex }) => {
      const c = await knex.client.acquireConnection();
      const bad = c.query(new Cursor('select nope'));
      const e = await err(bad.read(1));
      await bad.close();
      const good = c.query(new Cursor('select 1 as a, 2 as b', [], { rowMode: 'array' }));
      const got = await new Promise((resolve, reject) =>
        good.read(3, (error: Error | undefined, r: unknown) => (error ? reject(error) : resolve(r))),
      );
      await good.close();
      await knex.client.releaseConnection(c);
      return [e, got];
    },
  },
  {
    name: 'COPY FROM and COPY TO',
    run: async ({ knex }) => {
      const c = await knex.client.acquireConnection();
      await pipeline(Readable.from(['c1\nc2\n']), c.query(from('copy pa(v) from stdin')));
      let out = '';
      for await (const chunk of c.query(to('copy (select v from pa order by v) to stdout'))) out += String(chunk);
      await knex.client.releaseConnection(c);
      await knex('pa').insert({ v: 'z' });
      return [out, await vs(knex)];
    },
  },
  {
    name: 'a COPY that fails leaves the rest intact',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'c1' });
      const c = await knex.client.acquireConnection();
      const e = await err(pipeline(Readable.from(['c0\nc1\n']), c.query(from('copy pa(v) from stdin'))));
      const e2 = await err(async () => {
        for await (const _chunk of c.query(to('copy nope to stdout')));
      });
      await knex.client.releaseConnection(c);
      return [e, e2, await vs(knex)];
    },
  },
  {
    name: 'a COPY inside a transaction',
    run: async ({ knex }) => {
      const c = await knex.client.acquireConnection();
      await c.query('begin');
      await pipeline(Readable.from(['c1\n']), c.query(from('copy pa(v) from stdin')));
      await c.query('rollback');
      await knex.client.releaseConnection(c);
      return vs(knex);
    },
  },
  {
    name: 'COPY FROM STDIN as a plain query',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'a' });
      return [await err(knex.raw('copy pa(v) from stdin')), await vs(knex)];
    },
  },
  {
    name: 'pg’s Query object with row events',
    run: async ({ knex }) => {
      await knex('pa').insert(rows('a', 'b'));
      const c = await knex.client.acquireConnection();
      const seen: unknown[] = [];
      await new Promise<void>((resolve, reject) => {
        const query = c.query(new Query('select v from pa order by v')) as NodeJS.EventEmitter;
        query.on('row', (row) => seen.push(row));
        query.on('end', () => resolve());
        query.on('error', reject);
      });
      await knex.client.releaseConnection(c);
      return seen;
    },
  },
  {
    name: 'callbacks, and misuse of query()',
    run: async ({ knex }) => {
      const c = await knex.client.acquireConnection();
      const byCallback = await new Promise((resolve) =>
        c.query('select 1 as x', (e: Error | null, r: { rows: unknown }) => resolve([e, r.rows])),
      );
      const withValues = await new Promise((resolve) =>
        c.query('select $1::int as x', [5], (e: Error | null, r: { rows: unknown }) => resolve([e, r.rows])),
      );
      const failing = await new Promise((resolve) => c.query('selct', (e: { code: string }) => resolve(e.code)));
      const inConfig = await new Promise((resolve) =>
        c.query({ text: 'select 2 as x', callback: (e: Error | null, r: { rows: unknown }) => resolve([e, r.rows]) }),
      );
      const misuse = [
        await err(async () => c.query(null)),
        await err(async () => c.query({})),
        await err(
          c
            .query({ text: 'select 1 as x', rows: 1 })
            .then((r: { rows: unknown[] }) => Promise.reject(new Error(String(r.rows.length)))),
        ),
      ];
      await knex.client.releaseConnection(c);
      return [byCallback, withValues, failing, inConfig, misuse];
    },
  },
  {
    name: 'query_timeout',
    run: async ({ knex }) => {
      const c = await knex.client.acquireConnection();
      const e = await err(c.query({ text: 'select pg_sleep(0.2)', query_timeout: 20 }));
      await c.query("insert into pa(v) values('a')");
      await knex.client.releaseConnection(c);
      return [e, await vs(knex)];
    },
  },
  {
    name: 'a time-out with cancel, and on with it',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'a' });
      const e = await err(knex.raw('select pg_sleep(2)').timeout(40, { cancel: true }));
      return [/timeout/i.test(e), await vs(knex)];
    },
  },
  {
    name: 'batchInsert',
    run: async ({ knex }) => (
      await knex.batchInsert(
        'pa',
        [...Array(25).keys()].map((i) => ({ v: `b${i}` })),
        10,
      ),
      ((await knex('pa')) as unknown[]).length
    ),
  },
  {
    name: 'a clone with user params',
    run: async ({ knex }) => {
      const clone = knex.withUserParams({ a: 1 });
      await clone('pa').insert({ v: 'u' });
      await clone.transaction(async (t) => t('pa').insert({ v: 'w' }));
      return vs(knex);
    },
  },
  {
    name: 'a second instance on the same database',
    run: async ({ knex, makeKnex }) => {
      const second = makeKnex();
      await knex('pa').insert({ v: 'a' });
      await second('pa').insert({ v: 'b' });
      const e = await err(second('pa').insert({ v: 'a' }));
      return [e, await vs(second), await vs(knex)];
    },
  },
  {
    name: 'a pg.Pool beside it',
    run: async ({ knex, makePool }) => {
      const pool = makePool();
      await knex('pa').insert({ v: 'a' });
      const seen = (await pool.query('select v from pa where v = $1', ['a'])).rows as unknown[];
      const c = await pool.connect();
      await c.query('begin');
      await c.query("insert into pa(v) values('pool')");
      await c.query('rollback');
      c.release();
      const e = await err(pool.query('selct'));
      const byCallback = await new Promise((resolve) => pool.query('select 1 as x', (_e, r) => resolve(r.rows)));
      const byConnect = await new Promise((resolve) =>
        pool.connect((_e, client, release) => {
          void client?.query('select 2 as x').then((r) => {
            release();
            resolve(r.rows);
          });
        }),
      );
      return [seen, e, byCallback, byConnect, await vs(knex)];
    },
  },
  {
    name: 'a full pg.Pool, and a client released twice',
    run: async ({ makePool }) => {
      const pool = makePool({ max: 1, connectionTimeoutMillis: 60 });
      const c = await pool.connect();
      const e = await err(pool.connect());
      c.release();
      const e2 = await err(async () => c.release());
      const d = await pool.connect();
      const same = c === d;
      d.release();
      return [e, e2, same];
    },
  },
  {
    name: 'knex.destroy, then another instance',
    run: async ({ makeKnex }) => {
      const one = makeKnex();
      await one('pa').insert({ v: 'd' });
      await one.destroy();
      const e = await err(one('pa').select());
      return [e, await vs(makeKnex())];
    },
  },
  {
    name: 'destroy and initialize again',
    run: async ({ makeKnex }) => {
      const one = makeKnex();
      await one('pa').insert({ v: 'd' });
      await one.destroy();
      one.initialize();
      return vs(one);
    },
  },
  {
    name: 'Knex on a pg.Pool (connectionPool)',
    run: async ({ makeKnex, makePool }) => {
      const one = makeKnex({ connectionPool: makePool(), connection: {} } as never);
      await one('pa').insert({ v: 'a' });
      await err(one('pa').insert({ v: 'a' }));
      await one.transaction(async (t) => t('pa').insert({ v: 'b' }));
      return vs(one);
    },
  },
  {
    name: 'two instances on a pool that the app makes itself (KnexPool)',
    run: async ({ knex, makeKnex }) => {
      const settings = (knex.client as { connectionSettings: object }).connectionSettings;
      const steps: string[] = [];
      const KnexPool = (knex.client as { pool: object }).pool.constructor as PoolClass;
      const pool = new KnexPool({
        create: async () => {
          const client = new Client(settings);
          client.on('error', () => {});
          await client.connect();
          await client.query("set application_name = 'shared'");
          steps.push('create');
          return client;
        },
        destroy: (client: Client) => (steps.push('destroy'), client.end()),
        min: 0,
        max: 3,
      });
      pool.on('release', () => steps.push('release'));
      const onIt = { connectionPool: pool, connection: undefined } as never;
      const [one, two] = [makeKnex(onIt), makeKnex(onIt)];
      await one('pa').insert({ v: 'a' });
      const e = await err(two('pa').insert({ v: 'a' }));
      await two.transaction(async (t) => t('pa').insert({ v: 'b' }));
      const gone = await err(
        one.transaction(async (t) => {
          await t('pa').insert({ v: 'c' });
          throw new Error('no');
        }),
      );
      const name = (await one.raw<{ rows: unknown[] }>('show application_name')).rows;
      const counts = [pool.numUsed(), pool.numFree(), pool.numPendingAcquires()];
      const seen = [await vs(one), await vs(knex)];
      await pool.destroy();
      return [e, gone, name, counts, seen, steps];
    },
  },
  {
    name: 'settings from an asynchronous function',
    run: async ({ makeKnex, knex }) => {
      const { connectionSettings } = knex.client as { connectionSettings: object };
      const one = makeKnex({ connection: async () => ({ ...connectionSettings }) });
      await knex('pa').insert({ v: 'a' });
      return vs(one);
    },
  },
  {
    name: 'objection: transactions and insertGraph',
    run: async ({ knex }) => {
      class Child extends Model {
        static override tableName = 'ch';
      }
      class Parent extends Model {
        static override tableName = 'pa';
        static override relationMappings = {
          ch: { relation: Model.HasManyRelation, modelClass: Child, join: { from: 'pa.id', to: 'ch.pid' } },
        };
      }
      const Bound = Parent.bindKnex(knex);
      await Bound.query().insertGraph({ v: 'g', ch: [{}, {}] } as never);
      const e = await err(
        Bound.transaction(async (t) => {
          await Bound.query(t).insert({ v: 'o' } as never);
          throw new Error('x');
        }),
      );
      return [e, await vs(knex), ((await knex('ch')) as unknown[]).length];
    },
  },
  {
    name: 'bookshelf: transactions',
    run: async ({ knex }) => {
      const shelf = bookshelf(knex as never);
      const Pa = shelf.model('Pa', { tableName: 'pa' }) as unknown as new (v: object) => {
        save(a: null, o: object): Promise<unknown>;
      };
      await shelf.transaction(async (t: never) => new Pa({ v: 'bs' }).save(null, { transacting: t }));
      const e = await err(
        shelf.transaction(async (t: never) => {
          await new Pa({ v: 'bs2' }).save(null, { transacting: t });
          throw new Error('x');
        }),
      );
      return [e, await vs(knex)];
    },
  },
  {
    name: 'migrations, up and down',
    run: async ({ knex }) => {
      const config = {
        migrationSource: {
          getMigrations: async () => ['001_made'],
          getMigrationName: (m: string) => m,
          getMigration: async () => ({
            up: (k: typeof knex) => k.schema.createTable('made', (t) => t.increments()),
            down: (k: typeof knex) => k.schema.dropTable('made'),
          }),
        },
        tableName: 'kmig',
      };
      await knex.migrate.latest(config);
      const n = ((await knex('made')) as unknown[]).length;
      await knex.migrate.rollback(config);
      return [n, await knex.schema.hasTable('made')];
    },
  },
  {
    name: 'the connection is lost, the next query is served by another',
    run: async ({ knex, outside }) => {
      const { pid } = (await knex.raw('select pg_backend_pid() as pid')).rows[0] as { pid: number };
      await outside('select pg_terminate_backend($1)', [pid]);
      await sleep(40);
      return err(knex('pa').select());
    },
  },
  {
    name: 'the connection is lost after a write',
    run: async ({ knex, outside }) => {
      await knex('pa').insert({ v: 'a' });
      const { pid } = (await knex.raw('select pg_backend_pid() as pid')).rows[0] as { pid: number };
      await outside('select pg_terminate_backend($1)', [pid]);
      await sleep(40);
      return err(async () => vs(knex));
    },
    differs: { code: 'REWIND_CONNECTION', because: 'what was not committed is gone with its connection' },
  },
];
