import type { Knex } from 'knex';
import { Model } from 'objection';
import { err, sleep, vs, type Behaviour } from '../arena';

/** The ways in which applications read and write. */
export const applications: Behaviour[] = [
  {
    name: 'objection: upsertGraph, with what it deletes, and $beforeUpdate',
    run: async ({ knex }) => {
      class Child extends Model {
        static override tableName = 'ch';
      }
      class Parent extends Model {
        id!: number;
        v!: string;
        ch?: Child[];
        static override tableName = 'pa';
        static override relationMappings = {
          ch: { relation: Model.HasManyRelation, modelClass: Child, join: { from: 'pa.id', to: 'ch.pid' } },
        };
        override async $beforeUpdate(_o: unknown, { transaction }: { transaction: Knex }): Promise<void> {
          await transaction('stamped').insert({ v: 'hook' });
        }
      }
      const Bound = Parent.bindKnex(knex);
      const made = await Bound.query().insertGraph({ v: 'g', ch: [{}, {}, {}] } as never);
      const [first] = made.ch as [Child];
      await Bound.transaction(async (t) =>
        Bound.query(t).upsertGraph({ id: made.id, v: 'g2', ch: [first, {}] } as never),
      );
      const e = await err(
        Bound.transaction(async (t) => Bound.query(t).upsertGraph({ id: made.id, v: null, ch: [] } as never)),
      );
      const [read] = (await Bound.query().withGraphFetched('ch')) as unknown as [Parent];
      return [e, read.v, read.ch?.length, ((await knex('stamped')) as unknown[]).length];
    },
  },
  {
    name: 'ON CONFLICT … RETURNING says whether a row is new, for many rows',
    run: async ({ knex }) => {
      const upsert = async (...skus: string[]): Promise<unknown> =>
        (
          await knex.raw(
            `insert into items(sku, qty) values ${skus.map(() => '(?, 1)').join(', ')}
             on conflict (sku) do update set qty = items.qty + excluded.qty, updated_at = now()
             returning sku, qty, updated_at = now() as at_once`,
            skus,
          )
        ).rows;
      const seen = [await upsert('a', 'b'), await upsert('b', 'c')];
      await sleep(3);
      seen.push(await upsert('c', 'd'), await err(async () => upsert('e', 'e')));
      return [seen, await knex('items').orderBy('sku').select('sku', 'qty')];
    },
  },
  {
    name: 'an upsert moves updated_at on, and leaves created_at',
    run: async ({ knex }) => {
      const save = async (): Promise<{ made: Date; changed: Date }> => {
        const [row] = await knex('timed')
          .insert({ id: 1, v: 'a', changed: knex.fn.now() })
          .onConflict('id')
          .merge(['v', 'changed'])
          .returning<{ made: Date; changed: Date }[]>(['made', 'changed']);
        await sleep(5);
        return row as { made: Date; changed: Date };
      };
      const [one, two] = [await save(), await save()];
      return [+one.made === +one.changed, +one.made === +two.made, +two.changed - +one.changed >= 4];
    },
  },
  {
    name: 'MERGE',
    may: 'where it stands still',
    run: async ({ knex }) => {
      await knex('items').insert([
        { sku: 'a', qty: 1 },
        { sku: 'b', qty: 1 },
      ]);
      await sleep(5);
      const merged = await err(
        knex.raw(`merge into items i using (values ('a', 0), ('b', 5), ('c', 7)) as n(sku, qty) on i.sku = n.sku
          when matched and n.qty = 0 then delete
          when matched then update set qty = n.qty, updated_at = now()
          when not matched then insert (sku, qty) values (n.sku, n.qty)`),
      );
      return [merged, await knex('items').orderBy('sku').select('sku', 'qty')];
    },
  },
  {
    name: 'generated columns, check constraints, identity columns',
    run: async ({ knex }) => {
      const [made] = (await knex('items').insert({ sku: 'a', qty: 3, price: 1.5 }).returning(['total'])) as unknown[];
      const seen = [
        await err(knex('items').update({ qty: -1 })),
        await err(knex('items').insert({ sku: 'b', total: 1 })),
        await err(knex.raw('create table ident(id int generated always as identity primary key, v text)')),
        await err(knex.raw("insert into ident(id, v) values (1, 'x')")),
        await err(knex.raw("insert into ident(id, v) overriding system value values (7, 'x')")),
        await err(knex.raw("insert into ident(v) values ('y')")),
      ];
      return [made, seen, await knex('ident').orderBy('id').pluck('v')];
    },
  },
  {
    name: 'several statements in one raw, with results of each, and one that fails',
    run: async ({ knex }) => {
      const many = (await knex.raw(
        "insert into pa(v) values ('a') returning v; update pa set v = 'b' returning v; select count(*)::int as n from pa",
      )) as unknown as { command: string; rows: unknown[]; rowCount: number }[];
      const e = await err(knex.raw("insert into pa(v) values ('c'); insert into pa(v) values ('b'); select 1"));
      return [many.map((one) => [one.command, one.rowCount, one.rows]), e, await vs(knex)];
    },
  },
  {
    name: 'several statements with DDL, DO and SET in one raw',
    run: async ({ knex }) => {
      await knex.raw(`
        create table if not exists made(id serial primary key, v text);
        do $$ begin for i in 1..3 loop insert into made(v) values ('r' || i); end loop; end $$;
        set local work_mem = '5MB';
        create index on made(v);
        comment on table made is 'x';`);
      await knex('made').insert({ v: 'after' });
      const e = await err(knex.raw("insert into made(v) values ('no'); drop table made; drop table nope"));
      return [e, await knex('made').orderBy('id').pluck('v'), (await knex.raw('show work_mem')).rows];
    },
  },
  {
    name: 'a pool that is destroyed in the middle of a transaction of another, and initialized again',
    run: async ({ knex, makeKnex }) => {
      const other = makeKnex();
      await other('pa').insert({ v: 'a' });
      const t = await knex.transaction();
      await t('pa').insert({ v: 'b' });
      await other.destroy();
      await t('pa').insert({ v: 'c' });
      await t.commit();
      other.initialize();
      await other('pa').insert({ v: 'd' });
      await knex.destroy();
      knex.initialize();
      return [await vs(other), await vs(knex)];
    },
  },
  {
    name: 'savepoints by hand, kept across a nested transaction of Knex’s',
    run: async ({ knex }) => {
      await knex.transaction(async (t) => {
        await t('pa').insert({ v: 'a' });
        await t.raw('savepoint outer_one');
        await err(
          t.transaction(async (u) => {
            await u('pa').insert({ v: 'b' });
            await u.raw('savepoint inner_one');
            await u('pa').insert({ v: 'c' });
            await u.raw('rollback to inner_one');
            await u('pa').insert({ v: 'a' });
          }),
        );
        await t('pa').insert({ v: 'd' });
        await t.raw('release outer_one');
        await t('pa').insert({ v: 'e' });
      });
      return vs(knex);
    },
  },
  {
    name: 'a soft delete in a view, by now()',
    run: async ({ knex }) => {
      await knex('timed').insert([{ v: 'a' }, { v: 'b' }]);
      await sleep(5);
      await knex('timed').where({ v: 'a' }).update({ changed: knex.fn.now() });
      await sleep(5);
      return [
        await knex('timed').whereRaw('changed is null or changed > now()').pluck('v'),
        await knex('active').pluck('v'),
      ];
    },
    differs: {
      code: 'from "active"" asks for the time where it stands still',
      because: 'a view can’t be told the time',
    },
  },
  {
    name: 'paging with LIMIT, window functions, grouping sets, LATERAL, recursive queries',
    run: async ({ knex }) => {
      await knex('items').insert([...Array(5).keys()].map((i) => ({ sku: `s${i}`, qty: i, price: 1 })));
      return [
        await knex('items').orderBy('sku').limit(2).offset(2).pluck('sku'),
        (
          await knex.raw(
            'select sku, sum(qty) over (order by sku)::int as running, count(*) over ()::int as n from items',
          )
        ).rows,
        (await knex.raw('with recursive n(i) as (select 1 union all select i + 1 from n where i < 4) select i from n'))
          .rows,
        (
          await knex.raw(
            'select qty % 2 as odd, count(*)::int as n from items group by grouping sets ((qty % 2), ()) order by 1',
          )
        ).rows,
      ];
    },
  },
  {
    name: 'errors carry what applications read of them',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'a' });
      const facts = async (p: PromiseLike<unknown>): Promise<unknown> =>
        Promise.resolve(p).then(
          () => 'no error',
          (e: Record<string, unknown>) => [
            e.code,
            e.constraint,
            e.table,
            e.column,
            typeof e.detail === 'string' && e.detail.replace(/\(\d+, |, 2.*/g, ''),
            e.schema,
            e.severity,
            e.routine,
            e.name,
            e.position,
            e.dataType,
            e.hint,
            e.where,
            e.length !== undefined,
            e instanceof Error,
            (e.message as string).includes(' - '),
          ],
        );
      return [
        await facts(knex('pa').insert({ v: 'a' })),
        await facts(knex('pa').insert({ v: null })),
        await facts(knex('ch').insert({ pid: 5 })),
        await facts(knex('items').insert({ sku: 'x', qty: -1 })),
        await facts(knex('items').insert({ sku: 'x', qty: 'many' })),
        await facts(knex('items').select('skuu')),
        await facts(knex.transaction(async (t) => t('ch').insert({ pid: 5 }))),
        await facts(
          knex.raw("do $$ begin raise exception 'no' using detail = 'd', hint = 'h', errcode = 'P0042'; end $$"),
        ),
      ];
    },
  },
];
