import { err, sleep, vs, type Behaviour } from '../arena';

const OTHER_CONNECTION =
  'one connection can’t hide a transaction’s changes from another query, nor keep that query’s when it rolls back';

/** Several connections of one test. */
export const interleaving: Behaviour[] = [
  {
    name: 'a transaction and a root query beside it',
    run: async ({ knex }) => {
      await Promise.all([
        knex
          .transaction(async (t) => {
            await t('pa').insert({ v: 'a' });
            await sleep(5);
            throw new Error('x');
          })
          .catch(() => {}),
        sleep(2).then(() => knex('pa').insert({ v: 'root' })),
      ]);
      return vs(knex);
    },
  },
  {
    name: 'a root query in a transaction that has only read; it throws',
    run: async ({ knex }) => {
      const e = await err(
        knex.transaction(async (t) => {
          await t('pa').select();
          await knex('pa').insert({ v: 'outer' });
          await t('pa').insert({ v: 'inner' });
          throw new Error('boom');
        }),
      );
      return [e, await vs(knex)];
    },
  },
  {
    name: 'a transaction that has only read sees what others commit meanwhile',
    run: async ({ knex }) =>
      knex.transaction(async (t) => {
        const before = await vs(t);
        await knex('pa').insert({ v: 'outer' });
        return [before, await vs(t)];
      }),
  },
  {
    name: 'a root query inside a nested transaction that has only read',
    run: async ({ knex }) => {
      await knex.transaction(async (t) => {
        await t('pa').select();
        await t
          .transaction(async (u) => {
            await knex('pa').insert({ v: 'outer' });
            await u('pa').insert({ v: 'inner' });
            throw new Error('x');
          })
          .catch(() => {});
        await t('pa').insert({ v: 'last' });
      });
      return vs(knex);
    },
  },
  {
    name: 'a root read inside a transaction that has written',
    run: async ({ knex }) =>
      knex.transaction(async (t) => {
        await t('pa').insert({ v: 'inner' });
        return vs(knex);
      }),
    differs: { code: 'REWIND_INTERLEAVED', because: OTHER_CONNECTION },
  },
  {
    name: 'a root write inside a transaction that has written, and throws',
    run: async ({ knex }) => {
      const e = await err(
        knex.transaction(async (t) => {
          await t('pa').insert({ v: 'inner' });
          await knex('pa').insert({ v: 'outer' });
          throw new Error('boom');
        }),
      );
      return [e, await vs(knex)];
    },
    differs: { code: 'REWIND_INTERLEAVED', because: OTHER_CONNECTION },
  },
  {
    name: 'a second root transaction inside the first, both write',
    run: async ({ knex }) => {
      const e = await err(
        knex.transaction(async (t) => {
          await t('pa').insert({ v: 'a' });
          await knex.transaction(async (u) => u('pa').insert({ v: 'b' }));
        }),
      );
      return [e, await vs(knex)];
    },
    differs: { code: 'REWIND_INTERLEAVED', because: OTHER_CONNECTION },
  },
  {
    name: 'a root query while a transaction in promise form has written',
    run: async ({ knex }) => {
      const t = await knex.transaction();
      await t('pa').insert({ v: 'inner' });
      const seen = await err(async () => vs(knex));
      await t.commit();
      return [seen, await vs(knex)];
    },
    differs: { code: 'REWIND_INTERLEAVED', because: OTHER_CONNECTION },
  },
  {
    name: 'a root query inside a transaction that has failed',
    run: async ({ knex }) => {
      let seen = '';
      const e = await err(
        knex.transaction(async (t) => {
          await err(t.raw('select 1/0'));
          await knex('pa').insert({ v: 'outer' });
          seen = await err(t('pa').select());
        }),
      );
      return [e, seen, await vs(knex)];
    },
  },
  {
    name: 'REPEATABLE READ does not see what others commit after its first query',
    run: async ({ knex }) => {
      const seen: string[] = [];
      const e = await err(
        knex.transaction(
          async (t) => {
            seen.push(await vs(t));
            await knex('pa').insert({ v: 'outer' });
            seen.push(await vs(t));
          },
          { isolationLevel: 'repeatable read' },
        ),
      );
      return [e, seen, await vs(knex)];
    },
    differs: {
      code: 'REWIND_INTERLEAVED',
      because: 'one connection has one snapshot: what was written beside it would be seen',
    },
  },
  {
    name: 'REPEATABLE READ: others may read meanwhile',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'a' });
      return knex.transaction(async (t) => [await vs(t), await vs(knex), await vs(t)], {
        isolationLevel: 'repeatable read',
      });
    },
  },
  {
    name: 'a job queue with FOR UPDATE SKIP LOCKED, two workers',
    run: async ({ knex }) => {
      await knex('pa').insert([{ v: 'j1' }, { v: 'j2' }]);
      const take = (): Promise<string | undefined> =>
        knex.transaction(async (t) => {
          const row = (await t('pa').orderBy('v').forUpdate().skipLocked().first()) as
            { id: number; v: string } | undefined;
          if (row) {
            await sleep(5);
            await t('pa').where({ id: row.id }).del();
          }
          return row?.v;
        });
      return (await Promise.all([take(), take()])).sort();
    },
  },
  {
    name: 'a pool of one connection: a root query inside a transaction gets none',
    run: async ({ makeKnex }) => {
      const knex = makeKnex({ pool: { max: 1 }, acquireConnectionTimeout: 150 });
      return err(knex.transaction(async () => knex('pa').select()));
    },
  },
  {
    name: 'a full pool: who waits gets the connection that is given back',
    run: async ({ makeKnex }) => {
      const knex = makeKnex({ pool: { max: 2 } });
      const held = [await knex.client.acquireConnection(), await knex.client.acquireConnection()];
      const log: string[] = [];
      const waiting = knex('pa')
        .insert({ v: 'w' })
        .then(() => log.push('ran'));
      await sleep(20);
      log.push('released');
      await knex.client.releaseConnection(held[0]);
      await waiting;
      await knex.client.releaseConnection(held[1]);
      return [log, await vs(knex)];
    },
  },
  {
    name: 'queries of one client run in order, though nobody waits for them',
    run: async ({ knex }) => {
      const c = await knex.client.acquireConnection();
      const results = await Promise.all([
        c.query("insert into pa(v) values('1')"),
        c.query('begin'),
        c.query("insert into pa(v) values('2')"),
        c.query('rollback'),
        c.query('select v from pa order by v'),
      ]);
      await knex.client.releaseConnection(c);
      return results.map((r) => [r.command, r.rows]);
    },
  },
  {
    name: 'two acquired clients take turns, each in autocommit',
    run: async ({ knex }) => {
      const a = await knex.client.acquireConnection();
      const b = await knex.client.acquireConnection();
      await a.query("insert into pa(v) values('a')");
      const e = await err(b.query("insert into pa(v) values('a')"));
      await b.query("insert into pa(v) values('b')");
      const { rows } = await a.query('select v from pa order by v');
      await knex.client.releaseConnection(a);
      await knex.client.releaseConnection(b);
      return [e, rows];
    },
  },
  {
    name: 'a client that is released and acquired again keeps its session',
    run: async ({ knex }) => {
      const a = await knex.client.acquireConnection();
      await knex.client.releaseConnection(a);
      const b = await knex.client.acquireConnection();
      await knex.client.releaseConnection(b);
      return a === b;
    },
  },
  {
    name: 'the connection that was given back last is the next one to be had',
    run: async ({ knex }) => {
      const take = async (): Promise<{ mark?: string }> => knex.client.acquireConnection();
      const [a, b] = [await take(), await take()];
      [a.mark, b.mark] = ['a', 'b'];
      await knex.client.releaseConnection(b);
      await knex.client.releaseConnection(a);
      const again = [await take(), await take()];
      for (const c of again) await knex.client.releaseConnection(c);
      return again.map((c) => c.mark);
    },
  },
  {
    name: 'an advisory lock held by another connection',
    run: async ({ knex }) => {
      const c = await knex.client.acquireConnection();
      await c.query('select pg_advisory_lock(42)');
      const got = await err(
        knex
          .raw('select pg_try_advisory_lock(42) as got')
          .then((r: { rows: unknown }) => Promise.reject(new Error(JSON.stringify(r.rows)))),
      );
      await c.query('select pg_advisory_unlock_all()');
      await knex.client.releaseConnection(c);
      return got;
    },
  },
  {
    name: 'advisory locks with different keys on different connections',
    run: async ({ knex }) => {
      const c = await knex.client.acquireConnection();
      await c.query('select pg_advisory_lock($1)', ['42']);
      const seen = [
        (await knex.raw('select pg_try_advisory_lock(43) as got')).rows,
        (await knex.raw('select pg_try_advisory_lock(?, ?) as got', [4, 2])).rows,
        (await knex.raw('select pg_try_advisory_lock(44::bigint) as got, 44 as key')).rows,
        (await knex.raw('select pg_advisory_unlock(44) as gone')).rows,
        (await knex.raw('select pg_advisory_unlock(43::bigint) as gone')).rows,
        (await knex.raw('select pg_advisory_unlock(4, 2) as gone')).rows,
        (await c.query('select pg_advisory_unlock(42) as gone')).rows,
        (await knex.raw('select pg_try_advisory_lock(42) as got')).rows,
        (await knex.raw('select pg_advisory_unlock(42) as gone')).rows,
      ];
      await knex.client.releaseConnection(c);
      return seen;
    },
  },
  {
    name: 'an advisory lock whose key has to be computed, beside another connection’s',
    run: async ({ knex }) => {
      const c = await knex.client.acquireConnection();
      await c.query('select pg_advisory_lock(42)');
      const e = await err(knex.raw('select pg_try_advisory_lock(40 + 2) as got'));
      await c.query('select pg_advisory_unlock_all()');
      await knex.client.releaseConnection(c);
      return e;
    },
    differs: { code: 'REWIND_INTERLEAVED', because: 'all connections are one session below, and the key is not known' },
  },
  {
    name: 'two advisory locks taken by one statement, beside another connection’s try',
    run: async ({ knex }) => {
      const c = await knex.client.acquireConnection();
      await c.query('select pg_advisory_lock(1), pg_advisory_lock(2)');
      const got = await knex.raw('select pg_try_advisory_lock(1) as got').then(
        ({ rows }) => rows as unknown,
        (e: { code: string }) => e.code,
      );
      await c.query('select pg_advisory_unlock_all()');
      await knex.client.releaseConnection(c);
      return got;
    },
  },
  {
    name: 'an advisory lock taken twice and given back once, beside another connection’s try',
    run: async ({ knex }) => {
      const c = await knex.client.acquireConnection();
      for (const call of ['lock', 'lock', 'unlock']) await c.query(`select pg_advisory_${call}(42)`);
      const got = await knex.raw('select pg_try_advisory_lock(42) as got').then(
        ({ rows }) => rows as unknown,
        (e: { code: string }) => e.code,
      );
      await c.query('select pg_advisory_unlock(42)');
      const free: unknown = (await knex.raw('select pg_try_advisory_lock(42) as got')).rows;
      await knex.raw('select pg_advisory_unlock(42)');
      await knex.client.releaseConnection(c);
      return [got, free];
    },
  },
  {
    name: 'an advisory lock taken and given back, by root queries',
    run: async ({ knex }) => {
      const seen: unknown[] = [];
      for (let i = 0; i < 2; i++) {
        seen.push((await knex.raw('select pg_try_advisory_lock(7) as got')).rows);
        seen.push((await knex.raw('select pg_advisory_unlock(7) as gone')).rows);
      }
      return seen;
    },
  },
  {
    name: 'transaction-level advisory locks exclude each other',
    run: async ({ knex }) => {
      const log: string[] = [];
      const work = (name: string): Promise<void> =>
        knex.transaction(async (t) => {
          await t.raw('select pg_advisory_xact_lock(9)');
          log.push('in');
          await t('pa').insert({ v: name });
          await sleep(3);
          log.push('out');
        });
      await Promise.all([work('a'), work('b'), work('c')]);
      return [log, await vs(knex)];
    },
  },
];
