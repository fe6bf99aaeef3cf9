import type { Knex } from 'knex';
import { err, sleep, vs, type Behaviour } from '../arena';

/** Kinds of tables, types and constraints. */
export const tables: Behaviour[] = [
  {
    name: 'partitions: attach, insert through the parent, detach',
    run: async ({ knex }) => {
      await knex('parted').insert([
        { region: 'eu', v: 'a' },
        { region: 'us', v: 'b' },
      ]);
      const e = await err(knex('parted').insert({ region: 'asia', v: 'c' }));
      await knex.raw('create table parted_asia(region text not null, v text, at timestamptz default now())');
      await knex.raw("insert into parted_asia(region, v) values ('asia', 'before')");
      await knex.raw("alter table parted attach partition parted_asia for values in ('asia')");
      await knex('parted').insert({ region: 'asia', v: 'c' });
      await knex('parted').where({ v: 'a' }).update({ region: 'us' });
      const rows: unknown = await knex('parted')
        .orderBy('v')
        .select('region', 'v', knex.raw('tableoid::regclass::text as t'));
      await knex.raw('alter table parted detach partition parted_asia');
      return [e, rows, ((await knex('parted')) as unknown[]).length, ((await knex('parted_asia')) as unknown[]).length];
    },
  },
  {
    name: 'a default of now() in a partition, through its parent',
    run: async ({ knex }) => {
      const seen: number[] = [];
      for (const v of ['a', 'b']) {
        const [row] = await knex('parted').insert({ region: 'eu', v }).returning<{ at: Date }[]>('at');
        seen.push(+row!.at);
        await sleep(5);
      }
      return (seen[1] as number) - (seen[0] as number) >= 4;
    },
  },
  {
    name: 'a materialized view, refreshed',
    run: async ({ knex }) => {
      const read = async (): Promise<unknown> => knex('item_sums').select('n', 'qty');
      const seen = [await read()];
      await knex('items').insert({ sku: 'a', qty: 4 });
      seen.push(await read());
      await knex.raw('refresh materialized view item_sums');
      seen.push(await read());
      await err(
        knex.transaction(async (t) => {
          await t('items').insert({ sku: 'b', qty: 5 });
          await t.raw('refresh materialized view item_sums');
          seen.push(await t('item_sums').select('n', 'qty'));
          throw new Error('x');
        }),
      );
      seen.push(await read());
      await knex('items').insert({ sku: 'c', qty: 5 });
      seen.push(await err(knex.raw('refresh materialized view concurrently item_sums')), await read());
      return seen;
    },
  },
  {
    name: 'DEFERRABLE keys: SET CONSTRAINTS by name, a swap of unique values',
    run: async ({ knex }) => {
      await knex.raw('create table ranked(v text primary key, rank int, constraint one_rank unique (rank) deferrable)');
      await knex('ranked').insert([
        { v: 'a', rank: 1 },
        { v: 'b', rank: 2 },
      ]);
      const swap = (deferred: boolean): Promise<string> =>
        err(
          knex.transaction(async (t) => {
            if (deferred) await t.raw('set constraints one_rank deferred');
            await t('ranked').where({ v: 'a' }).update({ rank: 2 });
            await t('ranked').where({ v: 'b' }).update({ rank: 1 });
          }),
        );
      const clash = await err(
        knex.transaction(async (t) => {
          await t.raw('set constraints all deferred');
          await t('ranked').update({ rank: 9 });
          await t.raw('set constraints one_rank immediate');
        }),
      );
      return [await swap(false), await swap(true), clash, await knex('ranked').orderBy('v').pluck('rank')];
    },
  },
  {
    name: 'ALTER TYPE … ADD VALUE, then used in the same session',
    run: async ({ knex }) => {
      await knex.raw("alter type mood add value if not exists 'calm'");
      return [
        await err(knex.raw("select 'calm'::mood")),
        (await knex.raw('select enum_range(null::mood)::text as r')).rows,
      ];
    },
  },
  {
    name: 'an enum that was made in the test can be added to, and used',
    run: async ({ knex }) => {
      await knex.raw("create type color as enum ('red')");
      await knex.raw("alter type color add value 'blue'");
      const e = await err(knex.raw("select 'blue'::color as c"));
      await knex.raw('create table paint(c color)');
      return [e, await err(knex('paint').insert({ c: 'blue' })), await knex('paint').pluck('c')];
    },
    differs: { code: 'REWIND_UNSUPPORTED', because: 'a new value of an enum can be used after a real commit only' },
  },
  {
    name: 'LOCK TABLE in modes, and the same from a second transaction afterwards',
    run: async ({ knex }) => {
      for (const mode of ['share', 'exclusive', 'access exclusive', 'share row exclusive']) {
        await knex.transaction(async (t) => {
          await t.raw(`lock table pa in ${mode} mode`);
          await t('pa').insert({ v: mode });
        });
      }
      return vs(knex);
    },
  },
  {
    name: 'a domain whose check fails, and one that calls a function',
    run: async ({ knex }) => {
      await knex.raw('create function ok(x int) returns boolean language sql immutable as $$ select x > 0 $$');
      await knex.raw('create domain positive as int check (ok(value)); create table counted(n positive)');
      await knex('counted').insert({ n: 1 });
      return [
        await err(knex('counted').insert({ n: -1 })),
        await err(knex.raw('select (-1)::positive')),
        await knex('counted').pluck('n'),
      ];
    },
  },
  {
    name: 'rules, INSTEAD OF triggers and views that can be written',
    run: async ({ knex }) => {
      await knex.raw(`create view pa_view as select id, v from pa where v <> 'hidden' with check option`);
      await knex('pa_view').insert({ v: 'a' });
      const e = await err(knex('pa_view').insert({ v: 'hidden' }));
      await knex.raw(`create view upper_pa as select upper(v) as u from pa`);
      await knex.raw(`create function into_pa() returns trigger language plpgsql as
        $$ begin insert into pa(v) values (lower(new.u)); return new; end $$`);
      await knex.raw('create trigger into_pa instead of insert on upper_pa for each row execute function into_pa()');
      await knex('upper_pa').insert({ u: 'B' });
      await knex.raw('create rule also as on insert to stamped do also insert into pa(v) values (new.v)');
      await knex('stamped').insert({ v: 'ruled' });
      return [e, await vs(knex)];
    },
  },
  {
    name: 'sequences: nextval, setval and currval around a rollback',
    run: async ({ knex }) => {
      await knex.raw('create sequence numbers start 5');
      const next = async (on: Knex | Knex.Transaction): Promise<unknown> =>
        ((await on.raw("select nextval('numbers')::int as n")).rows as { n: number }[])[0]?.n;
      const seen = [await next(knex)];
      await err(
        knex.transaction(async (t) => {
          seen.push(await next(t));
          throw new Error('x');
        }),
      );
      seen.push(await next(knex));
      await knex.raw("select setval('numbers', 50)");
      seen.push(await next(knex));
      return seen;
    },
  },
  {
    name: 'TRUNCATE and COPY in transactions that roll back, with a foreign key between',
    run: async ({ knex }) => {
      await knex.transaction(async (t) => {
        await t('pa').insert({ id: 1, v: 'a' });
        await t('ch').insert({ pid: 1 });
      });
      const e = await err(knex.raw('truncate pa'));
      await err(
        knex.transaction(async (t) => {
          await t.raw('truncate pa, ch');
          await t('pa').insert({ v: 'inside' });
          throw new Error('x');
        }),
      );
      const again = await err(knex.transaction(async (t) => t('pa').del()));
      return [e, again, await vs(knex)];
    },
  },
  {
    name: 'ON DELETE CASCADE and SET NULL, ON UPDATE CASCADE',
    run: async ({ knex }) => {
      await knex.raw(`create table owner(id int primary key);
        create table owned(id int references owner(id) on delete cascade on update cascade, n int);
        create table lent(id int references owner(id) on delete set null)`);
      await knex('owner').insert([{ id: 1 }, { id: 2 }]);
      await knex('owned').insert([
        { id: 1, n: 1 },
        { id: 2, n: 2 },
      ]);
      await knex('lent').insert([{ id: 1 }, { id: 2 }]);
      await knex('owner').where({ id: 1 }).del();
      await knex('owner')
        .where({ id: 2 })
        .update({ id: 3 })
        .catch(() => {});
      return [
        await knex('owned').select(),
        await knex('lent').orderBy('id').pluck('id'),
        await knex('owner').pluck('id'),
      ];
    },
  },
];
