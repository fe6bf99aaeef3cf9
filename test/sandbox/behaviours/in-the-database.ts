import type { Knex } from 'knex';
import { acquired } from './acquired';
import { err, sleep, vs, type Behaviour } from '../arena';

/** Roles are the server's, on which batteries for other versions run at the same time. */
const TENANT = `rewind_tenant_${process.pid}`;

/** What applications leave to the database: blocks, procedures, policies, settings. */
export const inTheDatabase: Behaviour[] = [
  {
    name: 'a DO block that handles exceptions, and one that raises',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'a' });
      await knex.raw(`do $$ begin
        begin insert into pa(v) values ('b'); insert into pa(v) values ('a');
        exception when unique_violation then insert into pa(v) values ('caught'); end;
        insert into pa(v) values ('after'); end $$`);
      const e = await err(knex.raw(`do $$ begin insert into pa(v) values ('gone'); raise exception 'no'; end $$`));
      return [e, await vs(knex)];
    },
  },
  {
    name: 'functions with subtransactions, in transactions that fail and recover',
    run: async ({ knex }) => {
      await knex.raw(`create function try_pa(x text) returns boolean language plpgsql as $$ begin
        begin insert into pa(v) values (x); return true; exception when others then return false; end; end $$`);
      const tried = async (on: Knex | Knex.Transaction, v: string): Promise<unknown> =>
        ((await on.raw('select try_pa(?) as ok', [v])).rows as { ok: boolean }[])[0]?.ok;
      const seen = [await tried(knex, 'a'), await tried(knex, 'a')];
      await knex.transaction(async (t) => {
        seen.push(await tried(t, 'a'), await tried(t, 'b'));
        await err(t.transaction(async (u) => (await tried(u, 'c'), u.raw('select 1/0'))));
        seen.push(await tried(t, 'c'));
      });
      return [seen, await vs(knex)];
    },
  },
  {
    name: 'CALL of a procedure with OUT parameters that does not commit',
    run: async ({ knex }) => {
      await knex.raw(`create procedure add_two(a text, inout n int) language plpgsql as
        $$ begin insert into pa(v) values (a), (a || '2'); n := n + 2; end $$`);
      const { rows } = await knex.raw("call add_two('x', 1)");
      const e = await err(knex.raw("call add_two('x', 1)"));
      return [rows, e, await vs(knex)];
    },
  },
  {
    name: 'xmin is the same for all rows of a transaction',
    run: async ({ knex }) => {
      const same = await knex.transaction(async (t) => {
        const [one] = await t('pa').insert({ v: 'a' }).returning<{ x: string }[]>(t.raw('xmin::text as x'));
        const [two] = await t('pa').insert({ v: 'b' }).returning<{ x: string }[]>(t.raw('xmin::text as x'));
        return one?.x === two?.x;
      });
      return same;
    },
  },
  {
    name: 'EXPLAIN ANALYZE of writes, in and out of a transaction, with triggers',
    run: async ({ knex }) => {
      const explain = async (on: Knex | Knex.Transaction, sql: string): Promise<boolean> =>
        ((await on.raw(`explain (analyze, format json) ${sql}`)).rows as unknown[]).length === 1;
      const seen = [await explain(knex, "insert into touched(v) values ('a')")];
      await err(
        knex.transaction(async (t) => {
          await explain(t, 'delete from touched');
          throw new Error('x');
        }),
      );
      seen.push(await explain(knex, "update touched set v = 'b'"));
      await err(knex.raw('explain analyze insert into pa(v) values (null)'));
      return [seen, await knex('touched').pluck('v'), await vs(knex)];
    },
  },
  {
    name: 'multi-tenancy: SET LOCAL app.tenant and row security',
    run: async ({ knex }) => {
      await knex.raw(`create role ${TENANT}`);
      await knex.raw(`grant all on notes to ${TENANT}; grant usage on sequence notes_id_seq to ${TENANT}`);
      await knex.raw(`grant usage on schema public to ${TENANT}`);
      const as = <T>(tenant: string, work: (t: Knex.Transaction) => Promise<T>): Promise<T> =>
        knex.transaction(async (t) => {
          await t.raw(`set local role ${TENANT}`);
          await t.raw("select set_config('app.tenant', ?, true)", [tenant]);
          return work(t);
        });
      await as('a', async (t) => t('notes').insert({ tenant: 'a', v: 'one' }));
      await as('b', async (t) => t('notes').insert({ tenant: 'b', v: 'two' }));
      const seen = [
        await as('a', async (t) => t('notes').pluck('v')),
        await as('b', async (t) => t('notes').pluck('v')),
        await err(as('a', async (t) => t('notes').insert({ tenant: 'b', v: 'no' }))),
        await as('a', async (t) => t('notes').del()),
        await knex('notes').pluck('v'),
        (await knex.raw("select current_setting('app.tenant', true) as t, current_user = session_user as same")).rows,
      ];
      await knex.raw(`drop owned by ${TENANT}`);
      await knex.raw(`drop role ${TENANT}`);
      return seen;
    },
  },
  {
    name: 'tenants at the same time, each in its transaction',
    run: async ({ knex }) => {
      const as = (tenant: string): Promise<unknown> =>
        knex.transaction(async (t) => {
          await t.raw(`set local app.tenant = '${tenant}'`);
          await sleep(2);
          await t.raw("insert into notes(tenant, v) values (current_setting('app.tenant'), 'x')");
          await sleep(2);
          return ((await t.raw("select current_setting('app.tenant') as t")).rows as { t: string }[])[0]?.t;
        });
      const seen = await Promise.all(['a', 'b', 'c'].map(as));
      return [seen, (await knex('notes').orderBy('tenant').pluck('tenant')) as unknown];
    },
  },
  {
    name: 'settings in a transaction, and SET that goes with it',
    run: async ({ knex }) =>
      acquired(knex, async (c) => {
        const read = async (): Promise<unknown> =>
          (await c.query("select current_setting('work_mem') as w, current_setting('app.x', true) as x")).rows;
        await c.query('begin');
        await c.query("set work_mem = '3MB'; set app.x = 'one'");
        const seen = [await read()];
        await c.query('savepoint s');
        await c.query("set local work_mem = '2MB'");
        seen.push(await read());
        await c.query('rollback to s');
        seen.push(await read());
        await c.query('commit');
        seen.push(await read());
        await c.query('reset all');
        return [seen, await read()];
      }),
  },
  {
    name: 'large objects',
    run: async ({ knex }) => {
      const [{ id }] = (await knex.raw("select lo_from_bytea(0, '\\x616263') as id")).rows as [{ id: number }];
      const read = async (): Promise<unknown> =>
        (await knex.raw("select convert_from(lo_get(?), 'utf8') as t", [id])).rows;
      const seen = [await read()];
      await err(
        knex.transaction(async (t) => {
          await t.raw('select lo_unlink(?)', [id]);
          throw new Error('x');
        }),
      );
      seen.push(await read());
      await knex.raw('select lo_unlink(?)', [id]);
      return [seen, await err(async () => read())];
    },
  },
];
