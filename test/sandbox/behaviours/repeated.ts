import { err, type Behaviour } from '../arena';

/** The same statements again and again: the sandbox lets the server keep some of them. */
export const repeated: Behaviour[] = [
  {
    name: 'an INSERT that comes again and again, with wrong values in between',
    run: async ({ knex }) => {
      const seen: string[] = [];
      for (const v of ['a', 'b', 'a', 'c', 'd', null, 'e']) {
        seen.push(await err(async () => knex.raw('insert into pa(v) values (?)', [v as string])));
      }
      return [seen, await knex('pa').orderBy('v').pluck('v')];
    },
  },
  {
    name: 'the same in a transaction, which fails and goes on from a savepoint',
    run: async ({ knex }) => {
      const seen: string[] = [];
      await knex.transaction(async (trx) => {
        for (const v of ['a', 'b', 'a', 'c']) {
          seen.push(await err(trx.transaction(async (inner) => inner('timed').insert({ v, id: v.charCodeAt(0) }))));
        }
      });
      return [seen, await knex('timed').orderBy('v').pluck('v')];
    },
  },
  {
    name: 'an INSERT that returns something, into a column that becomes another type',
    run: async ({ knex }) => {
      const insert = async (n: unknown): Promise<unknown> =>
        knex('made')
          .insert({ n })
          .returning('n')
          .then(
            (rows) => rows as unknown,
            (e: { code: string }) => e.code,
          );
      await knex.schema.createTable('made', (t) => void t.integer('n'));
      const seen = [await insert(1), await insert(2), await insert('x')];
      await knex.raw('alter table made alter n type text');
      seen.push(await insert('x'), await insert('y'));
      await knex.schema.dropTable('made');
      seen.push(await insert('x'));
      await knex.schema.createTable('made', (t) => void t.date('n'));
      seen.push(typeof (await insert('2020-01-01')), await insert('x'));
      return seen;
    },
  },
  {
    name: 'an INSERT into a column whose type a function changes, or a DO block',
    run: async ({ knex }) => {
      const insert = async (id: unknown): Promise<string> => err(knex('tmp_guard').insert({ id }));
      const seen = [await insert(1), await insert(2)];
      await knex.raw(`select become('text')`);
      seen.push(await insert('x'), await insert('y'));
      await knex.raw(`do $$ begin perform become('int'); end $$`);
      seen.push(await insert('x'), await insert(3));
      await err(
        knex.transaction(async (trx) => {
          await trx.raw(`select become('text')`);
          for (const id of ['x', 'y']) seen.push(await err(trx('tmp_guard').insert({ id })));
          throw new Error('undo');
        }),
      );
      seen.push(await insert('x'), await insert(4));
      return [seen, await knex('tmp_guard').orderBy('id').pluck('id')];
    },
  },
  {
    name: 'an INSERT whose table is another one by the search path',
    run: async ({ knex }) => {
      await knex.raw('create schema aside; create table aside.tmp_guard(id text)');
      await knex.transaction(async (trx) => {
        for (const path of ['public', 'aside, public', 'public']) {
          await trx.raw(`set local search_path to ${path}`);
          for (const id of [1, 2]) await trx('tmp_guard').insert({ id });
        }
      });
      return [await knex('tmp_guard').pluck('id'), await knex.withSchema('aside').from('tmp_guard').pluck('id')];
    },
  },
  {
    name: 'DEALLOCATE ALL, and a named statement of the app with the same text',
    run: async ({ knex }) => {
      const named = (v: string): unknown => knex.raw('insert into pa(v) values (?)', [v]).options({ name: 'mine' });
      const plain = (v: string): unknown => knex.raw('insert into pa(v) values (?)', [v]);
      for (const v of ['a', 'b', 'c']) await plain(v);
      await named('d');
      await named('e');
      const { rows } = await knex.raw(`select count(*)::int as n from pg_prepared_statements where name = 'mine'`);
      await knex.raw('deallocate all');
      for (const v of ['f', 'g', 'h']) await plain(v);
      return [rows, await knex('pa').orderBy('v').pluck('v')];
    },
  },
];
