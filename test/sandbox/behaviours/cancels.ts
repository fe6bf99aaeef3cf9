import { Client, type Pool, type PoolClient } from 'pg';
import { err, sleep, vs, type Behaviour, type Env } from '../arena';
import { two } from './acquired';

/** Runs while a connection that nobody manages has locked `stamped`. */
async function locked<T>({ outside, knex }: Env, run: () => Promise<T>): Promise<T> {
  await knex.raw('select 1'); // the sandbox reads the catalog before its first statement, and would wait
  const holding = outside('begin; lock table stamped; select pg_sleep(60)').catch(() => {});
  const holder = `select pid from pg_locks where relation = 'stamped'::regclass and granted and mode = 'AccessExclusiveLock'`;
  while ((await outside(holder)).length === 0) await sleep(5);
  try {
    return await run();
  } finally {
    await outside(`select pg_terminate_backend(pid) from (${holder}) holder`);
    await holding;
  }
}

/** Resolves once nobody waits for the lock any more. */
async function nobodyWaits({ outside }: Pick<Env, 'outside'>): Promise<void> {
  while ((await outside(`select from pg_locks where relation = 'stamped'::regclass and not granted`)).length > 0)
    await sleep(5);
}
/** Resolves once a statement waits for the lock. */
async function somebodyWaits({ outside }: Pick<Env, 'outside'>): Promise<void> {
  while ((await outside(`select from pg_locks where relation = 'stamped'::regclass and not granted`)).length === 0)
    await sleep(5);
}

/** What pg's clients have beside their types. */
type Canceler = Client & { cancel(target: unknown, query: unknown): void };

/** Statements that are given up on, or cancelled. */
export const cancels: Behaviour[] = [
  {
    name: 'a query does not wait for one that Knex has given up on',
    run: async (env) =>
      locked(env, async () => {
        const { knex } = env;
        await knex('pa').insert({ v: 'a' });
        const e = await err(knex('stamped').select().timeout(40));
        return [/timeout/i.test(e), await vs(knex)];
      }),
  },
  {
    name: 'a query does not wait for a write that Knex has given up on',
    run: async (env) =>
      locked(env, async () => {
        const { knex } = env;
        await knex('pa').insert({ v: 'a' });
        const e = await err(knex('stamped').insert({ v: 'b' }).timeout(40));
        return [/timeout/i.test(e), await vs(knex)];
      }),
    may: 'went on without',
  },
  {
    name: 'a write that Knex has given up on goes on by itself',
    run: async ({ knex }) => {
      const slow = knex.raw("insert into pa(v) select 'slow' from pg_sleep(0.1)").timeout(20);
      const seen = [/timeout/i.test(await err(slow)), await vs(knex)];
      while ((await vs(knex)) === '') await sleep(10);
      return seen.slice(0, 1);
    },
  },
  {
    name: 'a write that Knex has given up on, and that waits for longer than others can wait for it',
    run: async (env) => {
      const { knex } = env;
      await locked(env, async () => {
        await err(knex('stamped').insert({ v: 'b' }).timeout(40));
        await knex('pa').insert({ v: 'a' });
      });
      await nobodyWaits(env);
      return [await vs(knex), await knex('stamped').pluck('v')];
    },
    differs: { code: 'went on without', because: 'all connections are one, on which it can’t go on beside others' },
  },
  {
    name: 'a query that Knex cancels at its time-out is cancelled at the server, also while others wait',
    run: async (env) =>
      locked(env, async () => {
        const { knex } = env;
        const slow = err(knex('stamped').insert({ v: 'b' }).timeout(100, { cancel: true }));
        await somebodyWaits(env);
        const other = knex('pa').insert({ v: 'a' });
        const e = await slow;
        await nobodyWaits(env);
        await other;
        return [/timeout/i.test(e), await vs(knex)];
      }),
  },
  {
    name: 'Knex cancels a query that waits for another connection’s transaction',
    run: async ({ knex }) => {
      const t = await knex.transaction();
      await t('pa').insert({ v: 'a' });
      const e = await err(knex('pa').insert({ v: 'a' }).timeout(50, { cancel: true }));
      await t('pa').del();
      await t.commit();
      return [/timeout/i.test(e), await vs(knex)];
    },
  },
  {
    name: 'pg_cancel_backend of a statement that waits for another connection’s transaction',
    run: two(async (a, b, { knex }) => {
      await a.query('begin');
      await a.query("insert into pa(v) values ('a')");
      const { processID } = b as unknown as { processID: number };
      const waiting = err(b.query("insert into pa(v) values ('a')"));
      await sleep(30);
      const { rows } = await knex.raw<{ rows: unknown }>('select pg_cancel_backend(?)', [processID]);
      const seen = [rows, await waiting];
      await a.query('commit');
      return [seen, await vs(knex)];
    }),
  },
  {
    name: 'pg_cancel_backend of an idle connection, whose process id was asked for last, beside one that runs',
    run: async (env) =>
      locked(env, async () =>
        two(async (a, b, { knex }) => {
          const idle = (await a.query('select pg_backend_pid() as pid')).rows;
          const slow = err(b.query('select * from stamped'));
          await somebodyWaits(env);
          await knex.raw('select pg_cancel_backend(?)', [(b as unknown as { processID: number }).processID]);
          return [idle.length, await slow, await vs(knex)];
        })(env),
      ),
  },
  ...(['bare', 'of a pool'] as const).map((kind): Behaviour => ({
    name: `a second client (${kind}) cancels what runs on the first`,
    run: async (env) =>
      locked(env, async () =>
        two(async (a, _b, { knex, makePool }) => {
          await a.query("insert into pa(v) values ('a')");
          const slow = err(a.query('select * from stamped'));
          await somebodyWaits(env);
          const pool = makePool() as Pool & { Client: new (settings: unknown) => Canceler };
          const settings = pool.options;
          const second = kind === 'bare' ? (new Client(settings) as Canceler) : new pool.Client(settings);
          second.cancel(a, (a as unknown as { activeQuery: unknown }).activeQuery);
          return [await slow, await vs(knex)];
        })(env),
      ),
  })),
  {
    name: 'query_timeout of a pg.Pool: others go on, and the pool has a connection less',
    run: async (env) =>
      locked(env, async () => {
        const pool = env.makePool({ query_timeout: 60, max: 2 });
        await pool.query("insert into pa(v) values ('a')");
        const e = await err(pool.query('select * from stamped'));
        const { rows } = await pool.query<{ v: string }>('select v from pa');
        return [e, rows, pool.totalCount];
      }),
  },
  {
    name: 'query_timeout of a statement that waits for another connection’s transaction',
    run: async ({ knex, makePool }) => {
      const pool = makePool({ query_timeout: 60, max: 2 });
      const t = await knex.transaction();
      await t('pa').insert({ v: 'a' });
      const e = await err(pool.query("insert into pa(v) values ('a')"));
      await t.rollback();
      while ((await vs(knex)) === '') await sleep(10);
      return [e, await vs(knex)];
    },
  },
  {
    name: 'a client that breaks off while its statement runs, and while its transaction is open',
    run: async (env) =>
      locked(env, async () => {
        const { makePool, knex } = env;
        const pool = makePool();
        for (const statements of [['select * from stamped'], ['begin', "insert into pa(v) values ('b')"]]) {
          const c = (await pool.connect()) as PoolClient & { connection: { stream: { destroy(): void } } };
          c.on('error', () => {});
          const last = statements.pop() as string;
          for (const sql of statements) await c.query(sql);
          const running = err(c.query(last));
          if (last.startsWith('select')) await somebodyWaits(env);
          else await running;
          const ended = new Promise((resolve) => c.once('end', resolve));
          c.connection.stream.destroy();
          await ended;
          await running;
          c.release(true);
        }
        await knex('pa').insert({ v: 'a' });
        return vs(knex);
      }),
    may: 'REWIND_LEFT_OPEN',
  },
];
