import type { Knex } from 'knex';
import { err, sleep, type Behaviour, type Env } from '../arena';
import { acquired, two, type Connection } from './acquired';

/** What is there at the time of a call, in its order. */
type Log = string[];

async function value(c: Connection, sql: string, values?: unknown[]): Promise<unknown> {
  return Object.values((await c.query(sql, values)).rows[0] ?? {})[0];
}

/** Work that takes a lock on a connection of its own. */
async function exclusively(knex: Knex, log: Log, sql: string): Promise<void> {
  await acquired(knex, async (c) => {
    await c.query(sql);
    log.push('in');
    await c.query('select pg_sleep(0.01)');
    log.push('out');
    await c.query('select pg_advisory_unlock_all()');
  });
}

const BUY = `select v from pa where v = 'item' for update nowait`;

/** Two transactions at once: what each is told. The first one ends when it has been in the way of the second. */
async function beside(knex: Knex, first: string, second: string): Promise<string[]> {
  let hasLocked = (): void => {};
  const locked = new Promise<void>((resolve) => (hasLocked = resolve));
  const other = locked.then(() => err(async () => knex.transaction(async (t) => t.raw(second))));
  const one = err(async () =>
    knex.transaction(async (t) => {
      await t.raw(first);
      hasLocked();
      await Promise.race([other, sleep(100)]);
    }),
  );
  return Promise.all([one, other]);
}

const because = 'on the one real connection both would get it';

/** Locks that a program takes by name, and tries for. */
export const locks: Behaviour[] = [
  ...[
    'select pg_advisory_lock(7)',
    'select pg_advisory_lock(-7)',
    'select pg_advisory_lock(1, -2)',
    "select pg_advisory_lock(hashtext('import'))",
    'select pg_advisory_lock(1), pg_advisory_lock(2)',
  ].map((sql): Behaviour => ({
    name: `three connections wait for each other's ${sql.slice(7)}`,
    run: async ({ knex }) => {
      const log: Log = [];
      await Promise.all([1, 2, 3].map(() => exclusively(knex, log, sql)));
      return log;
    },
  })),
  {
    name: 'shared advisory locks are had together, and an exclusive one waits for all of them',
    run: two(async (a, b, { knex }) => {
      const log: Log = [];
      for (const c of [a, b]) await c.query('select pg_advisory_lock_shared(7)');
      await acquired(knex, async (c) => {
        log.push(String(await value(c, 'select pg_try_advisory_lock(7)')));
        const waits = c.query('select pg_advisory_lock($1)', [7]).then(() => log.push('had'));
        await sleep(20);
        log.push(String(await value(a, 'select pg_advisory_unlock_shared(7)')));
        await sleep(20);
        await Promise.all([waits, b.query('select pg_advisory_unlock_shared(7)')]);
        await c.query('select pg_advisory_unlock(7)');
      });
      return log;
    }),
  },
  {
    name: 'a try for a lock that another connection holds, under a name of its own and with a parameter',
    run: two(async (a, b) => {
      await a.query('select pg_advisory_lock(7)');
      const seen = [
        (await b.query('select pg_try_advisory_lock(7) as got')).rows,
        (await b.query('select pg_try_advisory_lock($1)', ['7'])).rows,
        (await b.query('select pg_try_advisory_lock_shared(7)')).rows,
        (await b.query('select pg_advisory_unlock(7)')).rows, // it is not its own
        (await b.query('select pg_try_advisory_lock(7) as got')).rows,
        (await a.query('select pg_advisory_unlock(7)')).rows,
        (await b.query('select pg_try_advisory_lock(7) as got')).rows,
        (await b.query('select pg_advisory_unlock(7)')).rows,
        (await b.query('select pg_advisory_unlock(7)')).rows,
      ];
      return seen;
    }),
  },
  {
    name: 'pg_advisory_unlock_all of one connection leaves the locks of another',
    run: two(async (a, b) => {
      await a.query('select pg_advisory_lock(7)');
      await b.query('select pg_advisory_lock(-1, 8)');
      await a.query('select pg_advisory_unlock_all()');
      return [await value(b, 'select pg_advisory_unlock(-1, 8)'), await value(b, 'select pg_advisory_unlock(-1, 8)')];
    }),
  },
  {
    name: 'a lock of a transaction, beside tries and waits of others, until it is committed or rolled back',
    run: two(async (a, b) => {
      const seen: unknown[] = [];
      for (const end of ['commit', 'rollback']) {
        await a.query('begin');
        await a.query('select pg_advisory_xact_lock(7)');
        await b.query('begin');
        seen.push(await value(b, 'select pg_try_advisory_xact_lock(7) as got'));
        const waits = b.query('select pg_advisory_xact_lock(7)').then(() => seen.push('had'));
        await sleep(20);
        seen.push(end);
        await a.query(end);
        await waits;
        await b.query('commit');
      }
      return seen;
    }),
  },
  {
    name: 'one of two crons runs, the other one skips',
    run: async ({ knex }) => {
      const once = async (): Promise<string> =>
        knex.transaction(async (t) => {
          const { rows } = await t.raw<{ rows: { got: boolean }[] }>('select pg_try_advisory_xact_lock(?) as got', [7]);
          if (!rows[0]?.got) return 'skipped';
          await sleep(20);
          await t('pa').insert({ v: 'ran' });
          return 'ran';
        });
      return (await Promise.all([once(), once()])).sort();
    },
  },
  {
    name: 'a client that ends gives its locks back',
    run: async ({ knex, makePool }) => {
      const pool = makePool();
      const c = await pool.connect();
      await c.query('select pg_advisory_lock(7)');
      const waits = acquired(knex, async (other) => {
        await other.query('select pg_advisory_lock(7)');
        await other.query('select pg_advisory_unlock(7)');
        return 'had';
      });
      await sleep(20);
      c.release(true);
      return waits;
    },
  },
  {
    name: 'two connections that wait for each other’s lock: one is told of the deadlock, the other goes on',
    run: two(async (a, b) => {
      await a.query('select pg_advisory_lock(1)');
      await b.query('select pg_advisory_lock(2)');
      const [first, second] = [err(a.query('select pg_advisory_lock(2)')), err(b.query('select pg_advisory_lock(1)'))];
      const told = await Promise.race([first, second]);
      const freed = [a, b].map((c) => c.query('select pg_advisory_unlock_all()'));
      const both = await Promise.all([first, second]);
      await Promise.all(freed);
      return [told, both.sort()];
    }),
  },
  {
    name: 'a lock that is held for longer than others can wait',
    run: two(async (a, b) => {
      await a.query('select pg_advisory_lock(1)');
      const waits = err(b.query('select pg_advisory_lock(1)'));
      await sleep(600);
      await a.query('select pg_advisory_unlock(1)');
      return waits;
    }),
    differs: { code: 'REWIND_INTERLEAVED', because: 'whether its holder waits for it can’t be seen' },
  },
  ...[
    [BUY, BUY],
    ['lock table pa in exclusive mode', 'lock table pa in exclusive mode nowait'],
    ["update pa set v = 'sold' where v = 'item'", `select * from pa where v = 'item' for share nowait`],
  ].map(([first = '', second = '']): Behaviour => ({
    name: `NOWAIT beside what another transaction has locked: ${second}`,
    run: async ({ knex }: Env) => {
      await knex('pa').insert({ v: 'item' });
      return beside(knex, first, second);
    },
    differs: { code: 'REWIND_INTERLEAVED', because },
  })),
  {
    name: 'NOWAIT beside a transaction that has locked another table',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'item' });
      return beside(knex, "insert into jobs(name) values ('x')", BUY);
    },
  },
  {
    name: 'workers on an empty queue, with SKIP LOCKED',
    run: async ({ knex }) => {
      const poll = "select * from jobs where state = 'ready' for update skip locked";
      return [await beside(knex, poll, poll), await beside(knex, poll, poll)];
    },
  },
  ...(['commit', 'rollback'] as const).map((end): Behaviour => ({
    name: `SKIP LOCKED beside a worker that has only locked its job, and ends by ${end}`,
    run: async ({ knex }) => {
      await knex('jobs').insert({ name: 'only' });
      const taken: unknown[] = [];
      const work = (): Promise<string> =>
        err(async () =>
          knex.transaction(async (t) => {
            taken.push(await t('jobs').forUpdate().skipLocked().pluck('name'));
            await sleep(20);
            if (end === 'rollback') throw Object.assign(new Error('no'), { code: 'NO' });
          }),
        );
      return [await Promise.all([work(), work()]), taken];
    },
    differs: { code: 'REWIND_INTERLEAVED', because },
  })),
];
