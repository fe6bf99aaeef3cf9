import { err, sleep, type Behaviour } from '../arena';

type Stamps = { made: Date; changed: Date | null; utc: Date; day: Date }[];

/** What the time is in an INSERT. */
export const time: Behaviour[] = [
  {
    name: 'the time of defaults goes on, and agrees with what the INSERT says itself',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'a' });
      for (const add of [
        () => knex('timed').insert({ v: 'ü(', changed: knex.fn.now() }),
        () => knex('timed').insert({}),
        () => knex('timed').insert([{ v: 'c' }, { v: 'd', made: '2001-01-01' }]),
        () => knex.raw('insert into public.timed as t (v, made) values (?, default), ((?), default)', ['e', 'f']),
        () => knex.raw("with x as (select 'g' as v) insert into timed(v, changed) values ((select v from x), now())"),
      ]) {
        await sleep(5);
        await add();
      }
      const rows = (await knex('timed').orderBy('id')) as Stamps;
      const made = rows.map((row) => +row.made).filter((at) => at > +new Date('2020-01-01'));
      return {
        steps: made.map((at, i) => i > 0 && at - (made[i - 1] as number) >= 4),
        agree: rows.map(({ made: at, changed, utc, day }) => [
          changed === null || +changed === +at,
          +utc > 0 && +day > 0,
        ]),
      };
    },
  },
  {
    name: 'the time of defaults in a transaction is that of its beginning',
    run: async ({ knex }) => {
      await knex('timed').insert({ v: 'before' });
      await sleep(5);
      const now = await knex.transaction(async (t) => {
        await sleep(5);
        await t('timed').insert({ v: 'a' });
        await err(t.transaction(async (inner) => inner.raw('insert into timed(id) values (?)', ['x'])));
        await sleep(5);
        await t('timed').insert({ v: 'b', changed: t.fn.now() });
        return (await t.raw('select now() as n')).rows[0].n as Date;
      });
      await sleep(5);
      await knex('timed').insert({ v: 'after' });
      const [before, a, b, after] = ((await knex('timed').orderBy('id')) as Stamps).map((row) => +row.made);
      return [a === b, a === +now, a! - before! >= 4, after! - b! >= 14];
    },
  },
  {
    name: 'the time of defaults in a transaction that begins with an INSERT that fails',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'a' });
      await knex.transaction(async (t) => {
        await err(t.transaction(async (inner) => inner('timed').insert({ id: 'x' })));
        await sleep(5);
        await t('timed').insert({ v: 'a' });
        await sleep(5);
        await t('timed').insert({ v: 'b' });
      });
      const [a, b] = ((await knex('timed').orderBy('id')) as Stamps).map((row) => +row.made);
      return a === b;
    },
  },
  {
    name: 'a trigger that gives the time agrees with the default beside it',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'a' });
      await sleep(5);
      await knex('touched').insert({ v: 'a' });
      return (await knex.raw('select made = changed as agree from touched')).rows;
    },
  },
  {
    name: 'a check that compares with the time takes what was given a moment ago',
    may: 'where it stands still',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'a' });
      await sleep(5);
      return [
        await err(knex('checked').insert({ v: 'a' })),
        await err(knex('checked').insert({ v: 'b', at: knex.fn.now() })),
        await err(knex('checked').update({ at: knex.fn.now() })),
        await err(knex('checked').update({ at: knex.raw("now() + interval '1 hour'") })),
      ];
    },
  },
  {
    name: 'a clock of the app’s own, which the search path leads to first',
    may: 'where it stands still',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'a' });
      await knex.raw(`create schema frozen;
        create function frozen.now() returns timestamptz language sql stable as $$ select '2020-01-01 00:00Z'::timestamptz $$;
        create function frozen.stamp() returns timestamptz language plpgsql as $$ begin return now(); end $$`);
      return knex.transaction(async (t) => {
        await t.raw('set local search_path = frozen, public, pg_catalog');
        await t('timed').insert({ v: 'a', changed: t.raw('now()') });
        const { rows } = await t.raw('select now() as by_name, frozen.stamp() as by_function');
        return [rows, (await t('timed').first('changed')).changed, await t('timed').whereRaw('changed < now()')];
      });
    },
  },
  {
    name: 'a default that was made in the test',
    run: async ({ knex }) => {
      await knex.schema.createTable('made', (t) => {
        t.increments();
        t.timestamps(true, true);
      });
      await knex('made').insert({});
      await sleep(5);
      await knex('made').insert({});
      const { rows } = await knex.raw(
        'select max(created_at) > min(created_at) as goes, bool_and(created_at = updated_at) as agree from made',
      );
      return rows;
    },
  },
  {
    name: 'INSERTs of all shapes into a table with such a default',
    may: 'where it stands still',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'a' });
      await knex.raw("insert into timed values (-1, 'one')");
      await knex.raw("insert into timed(v) select v from pa order by 1; insert into timed(v) values ('s')");
      await knex.raw("insert into timed(v) values ('y'), ('x') order by 1");
      await knex('timed').insert({ id: -1, v: 'two' }).onConflict('id').merge({ v: 'merged', changed: knex.fn.now() });
      await knex('timed').insert({ v: 'ret' }).returning(['v']);
      await knex.raw('insert into timed_view(v) values (?)', ['view']);
      const position = await knex
        .raw("insert into timed(v, nope) values ('ü', now())")
        .catch((e: { position: string }) => e.position);
      return [await knex('timed').orderBy(['id', 'v']).pluck('v'), position];
    },
  },
];
