import type { Knex } from 'knex';
import { acquired } from './acquired';
import { Client } from 'pg';
import { err, sleep, vs, type Behaviour } from '../arena';

/** Tries again what failed because somebody else was faster, as applications do. */
async function retrying<T>(run: (attempt: number) => Promise<T>, codes: string[], attempts = 5): Promise<T> {
  for (let i = 1; ; i++) {
    try {
      return await run(i);
    } catch (error) {
      if (i === attempts || !codes.includes((error as { code: string }).code)) throw error;
    }
  }
}

/** Job queues, locks, and what applications do about those who do the same at the same time. */
export const jobs: Behaviour[] = [
  {
    name: 'a queue in one statement: UPDATE … WHERE id = (SELECT … FOR UPDATE SKIP LOCKED), two workers until it is empty',
    run: async ({ knex }) => {
      await knex('jobs').insert([...Array(6).keys()].map((i) => ({ name: `j${i}` })));
      const done: string[] = [];
      const worker = async (): Promise<void> => {
        for (;;) {
          const { rows } = await knex.raw(`update jobs set state = 'taken', taken_at = now(), tries = tries + 1
            where id = (select id from jobs where state = 'ready' and run_at <= now() order by id for update skip locked limit 1)
            returning id, name, taken_at >= run_at as in_order`);
          const [job] = rows as { id: number; name: string; in_order: boolean }[];
          if (!job) return;
          await sleep(1);
          await knex('jobs').where({ id: job.id }).update({ state: 'done' });
          done.push(`${job.name} ${String(job.in_order)}`);
        }
      };
      await Promise.all([worker(), worker()]);
      return [done.sort(), await knex('jobs').orderBy('id').select('name', 'state', 'tries')];
    },
  },
  {
    name: 'a job that was just queued with a default of now() is due',
    run: async ({ knex }) => {
      const due: unknown[] = [];
      for (const name of ['a', 'b']) {
        await knex('jobs').insert({ name });
        due.push(await knex('jobs').where('run_at', '<=', knex.fn.now()).orderBy('id').pluck('name'));
        await knex('jobs')
          .where({ name })
          .update({ run_at: knex.raw("now() + interval '1 hour'") });
      }
      await knex.raw("insert into jobs(name, run_at) select name || '2', now() + interval '1 ms' from jobs");
      await sleep(10);
      due.push(await knex('jobs').whereRaw('run_at <= now()').orderBy('name').pluck('name'));
      return due;
    },
  },
  {
    name: 'a worker in a transaction that fails puts its job back, by a savepoint',
    run: async ({ knex }) => {
      await knex('jobs').insert([{ name: 'good' }, { name: 'bad' }]);
      const work = (): Promise<string> =>
        knex.transaction(async (t) => {
          const job = (await t('jobs').where({ state: 'ready' }).orderBy('id').forUpdate().skipLocked().first()) as
            { id: number; name: string } | undefined;
          if (!job) return 'none';
          try {
            await t.transaction(async (inner) => {
              await inner('pa').insert({ v: job.name });
              if (job.name === 'bad') await inner.raw('select 1/0');
            });
            await t('jobs').where({ id: job.id }).update({ state: 'done' });
          } catch (error) {
            await t('jobs')
              .where({ id: job.id })
              .update({ state: 'failed', name: (error as { code: string }).code });
          }
          return job.name;
        });
      return [
        await work(),
        await work(),
        await work(),
        await knex('jobs').orderBy('id').select('name', 'state'),
        await vs(knex),
      ];
    },
  },
  {
    name: 'a mutex by pg_try_advisory_xact_lock, one after the other',
    run: async ({ knex }) => {
      const guarded = (key: string, work: (t: Knex.Transaction) => Promise<unknown>): Promise<unknown> =>
        knex.transaction(async (t) => {
          const { rows } = await t.raw('select pg_try_advisory_xact_lock(hashtext(?)) as got', [key]);
          return (rows[0] as { got: boolean }).got ? work(t) : 'busy';
        });
      return [
        await guarded('a', async (t) => t('pa').insert({ v: 'a' }).returning('v')),
        await guarded('a', async (t) => t('pa').insert({ v: 'b' }).returning('v')),
        await vs(knex),
      ];
    },
  },
  {
    name: 'a mutex by pg_try_advisory_xact_lock that somebody else has',
    run: async ({ knex }) => {
      const held = await knex.transaction();
      await held.raw('select pg_try_advisory_xact_lock(77)');
      const got = await knex
        .transaction(async (t) => (await t.raw('select pg_try_advisory_xact_lock(77) as got')).rows as unknown)
        .catch((error: { code: string }) => error.code);
      await held.rollback();
      return got;
    },
  },
  {
    name: 'optimistic locking: a version that has moved on',
    run: async ({ knex }) => {
      const [{ id }] = (await knex('items').insert({ sku: 'a', qty: 1 }).returning('id')) as [{ id: number }];
      const save = async (version: number, qty: number): Promise<number> =>
        knex('items')
          .where({ id, version })
          .update({ qty, version: knex.raw('version + 1') });
      return [await save(1, 2), await save(1, 3), await save(2, 4), await knex('items').select('qty', 'version')];
    },
  },
  {
    name: 'optimistic locking by updated_at, read and compared',
    run: async ({ knex }) => {
      await knex('items').insert({ sku: 'a' });
      const read = async (): Promise<string> =>
        (await knex('items').first<{ at: string }>(knex.raw('updated_at::text as at'))).at;
      const first = await read();
      await sleep(2);
      const one = await knex('items').whereRaw('updated_at = ?', [first]).update({ qty: 1, updated_at: knex.fn.now() });
      const two = await knex('items').whereRaw('updated_at = ?', [first]).update({ qty: 2, updated_at: knex.fn.now() });
      return [one, two, (await read()) > first];
    },
  },
  {
    name: 'two who read and then write the same row, one after the other by FOR UPDATE',
    run: async ({ knex }) => {
      await knex('items').insert({ sku: 'a', qty: 10 });
      const take = (n: number): Promise<void> =>
        knex.transaction(async (t) => {
          const { qty } = (await t('items').where({ sku: 'a' }).forUpdate().first()) as { qty: number };
          await sleep(2);
          await t('items')
            .where({ sku: 'a' })
            .update({ qty: qty - n });
        });
      const ended = await Promise.all([take(4), take(4), take(4)].map((p) => err(p)));
      return [ended.sort(), await knex('items').pluck('qty')];
    },
  },
  {
    name: 'a transaction that is tried again after 40001, of its own making',
    run: async ({ knex }) => {
      const attempts: number[] = [];
      await retrying(
        (attempt) =>
          knex.transaction(
            async (t) => {
              attempts.push(attempt);
              await t('pa').insert({ v: `try ${attempt}` });
              if (attempt < 3) await t.raw("do $$ begin raise exception 'again' using errcode = '40001'; end $$");
            },
            { isolationLevel: 'serializable' },
          ),
        ['40001'],
      );
      return [attempts, await vs(knex)];
    },
  },
  {
    name: 'two serializable transactions that read what the other writes: one has to try again',
    run: async ({ knex }) => {
      await knex('items').insert([
        { sku: 'a', qty: 1 },
        { sku: 'b', qty: 1 },
      ]);
      await Promise.all([knex('items'), knex('items')]); // two connections are there
      // on call: one of the two has to stay
      const leave = (sku: string): Promise<string> =>
        retrying(
          () =>
            knex.transaction(
              async (t) => {
                const { qty } = (await t('items').sum({ qty: 'qty' }).first()) as { qty: string };
                await sleep(30);
                if (Number(qty) < 2) return 'stays';
                await t('items').where({ sku }).update({ qty: 0 });
                return 'leaves';
              },
              { isolationLevel: 'serializable' },
            ),
          ['40001'],
        );
      return [(await Promise.all([leave('a'), leave('b')])).sort(), await knex('items').sum('qty')];
    },
    differs: { code: 'REWIND_INTERLEAVED', because: 'one real transaction has no other to conflict with' },
  },
  {
    name: 'a deadlock, tried again',
    run: async ({ knex }) => {
      await knex('items').insert([
        { sku: 'a', qty: 0 },
        { sku: 'b', qty: 0 },
      ]);
      const both = (first: string, second: string): Promise<void> =>
        retrying(
          () =>
            knex.transaction(async (t) => {
              await t.raw("set local deadlock_timeout = '20ms'");
              await t('items').where({ sku: first }).increment('qty');
              await sleep(5);
              await t('items').where({ sku: second }).increment('qty');
            }),
          ['40P01'],
        );
      await Promise.all([both('a', 'b'), both('b', 'a')]);
      return knex('items').orderBy('sku').pluck('qty');
    },
  },
  {
    name: 'FOR UPDATE NOWAIT on a row that another transaction has locked',
    run: async ({ knex }) => {
      await knex('items').insert({ sku: 'a' });
      const held = await knex.transaction();
      await held('items').where({ sku: 'a' }).forUpdate();
      const e = await err(knex.transaction(async (t) => t('items').where({ sku: 'a' }).forUpdate().noWait()));
      await held.rollback();
      return e;
    },
    differs: { code: 'REWIND_INTERLEAVED', because: 'locks are the session’s, and both are the same one below' },
  },
  {
    name: 'lock_timeout and statement_timeout, and on after them',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'a' });
      const seen = await knex.transaction(async (t) => {
        await t.raw("set local statement_timeout = '30ms'; set local lock_timeout = '10ms'");
        await t('pa').insert({ v: 'b' });
        await t.raw('savepoint s');
        const slow = await err(t.raw('select pg_sleep(1)'));
        await t.raw('rollback to s');
        await t('pa').insert({ v: 'c' });
        return slow;
      });
      const alone = await acquired(knex, async (c) => {
        await c.query("set statement_timeout = '30ms'");
        const slow = await err(c.query('select pg_sleep(1)'));
        await c.query("insert into pa(v) values ('d')");
        await c.query('reset statement_timeout');
        return slow;
      });
      await knex.raw('select pg_sleep(0.05)');
      return [seen, alone, await vs(knex)];
    },
  },
  {
    name: 'a listener of its own, for an app that polls when nothing comes',
    run: async ({ knex, makePool }) => {
      const pool = makePool();
      const { connectionString } = pool.options as { connectionString: string };
      const listener = new Client({ connectionString });
      await listener.connect();
      const got: string[] = [];
      listener.on('notification', ({ payload }) => got.push(payload ?? ''));
      await listener.query('listen work');
      await knex.transaction(async (t) => {
        await t('jobs').insert({ name: 'a' });
        await t.raw("select pg_notify('work', 'a')");
      });
      await sleep(30);
      await listener.end();
      return [got, await knex('jobs').pluck('name')];
    },
    differs: {
      code: 'a notification that nobody gets',
      because: 'notifications are sent at commits, which never happen',
    },
  },
  {
    name: 'a lease: taken again only when it has run out',
    run: async ({ knex }) => {
      await knex('jobs').insert({ name: 'a' });
      const take = async (): Promise<number> =>
        knex('jobs')
          .where({ name: 'a' })
          .andWhere((q) => void q.whereNull('taken_at').orWhereRaw("taken_at < now() - interval '200 ms'"))
          .update({ taken_at: knex.fn.now() });
      const seen = [await take(), await take()];
      await sleep(250);
      seen.push(await take());
      return seen;
    },
  },
  {
    name: 'two instances on one database, each in a transaction at the same time',
    run: async ({ knex, makeKnex }) => {
      const other = makeKnex();
      const add = (on: Knex, v: string, fails: boolean): Promise<string> =>
        err(
          on.transaction(async (t) => {
            await t('pa').insert({ v });
            await sleep(3);
            await t('pa').insert({ v: `${v}2` });
            if (fails) throw new Error('x');
          }),
        );
      const ended = await Promise.all([add(knex, 'a', false), add(other, 'b', true), add(other, 'c', false)]);
      return [ended, await vs(knex), await vs(other)];
    },
  },
  {
    name: 'idempotency keys: who comes second gets what the first has made',
    run: async ({ knex }) => {
      const create = async (key: string, v: string): Promise<unknown> =>
        knex.transaction(async (t) => {
          const made = (await t('pa').insert({ v: key }).onConflict('v').ignore().returning('v')) as unknown[];
          if (made.length === 0) return ['again', await t('stamped').where({ v: key }).pluck('v')];
          await t('stamped').insert({ v: key });
          return ['first', v];
        });
      return Promise.all([create('k', 'one'), create('k', 'two')]).then((both) =>
        both.map((one) => (one as unknown[])[0]).sort(),
      );
    },
  },
];
