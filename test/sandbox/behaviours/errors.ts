import { err, vs, type Behaviour } from '../arena';

/** A failed statement leaves alone what a real one would leave alone. */
export const errors: Behaviour[] = [
  { name: 'an insert is visible', run: async ({ knex }) => (await knex('pa').insert({ v: 'a' }), vs(knex)) },
  {
    name: 'a caught unique violation leaves the rest intact',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'a' });
      const e = await err(knex('pa').insert({ v: 'a' }));
      await knex('pa').insert({ v: 'b' });
      return [e, await vs(knex)];
    },
  },
  {
    name: 'a syntax error after a write keeps the write',
    run: async ({ knex }) => (await knex('pa').insert({ v: 'a' }), [await err(knex.raw('selct 1')), await vs(knex)]),
  },
  {
    name: 'a failing string of statements is undone as a whole',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'a' });
      return [await err(knex.raw("insert into pa(v) values('m'); select * from nope")), await vs(knex)];
    },
  },
  {
    name: 'a syntax error in a string of statements runs none of them',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'a' });
      return [await err(knex.raw("insert into pa(v) values('m'); selct 1")), await vs(knex)];
    },
  },
  {
    name: 'a failing first statement spoils nothing',
    run: async ({ knex }) => {
      const e = await err(knex('nope').select());
      await knex('pa').insert({ v: 'b' });
      return [e, await vs(knex)];
    },
  },
  {
    name: 'several failures in a row, between writes',
    run: async ({ knex }) => {
      const seen: string[] = [];
      for (let i = 0; i < 4; i++) {
        await knex('pa').insert({ v: `a${i}` });
        seen.push(await err(knex('pa').insert({ v: 'a0' })), await err(knex.raw('select 1/0')));
      }
      return [seen, await vs(knex)];
    },
  },
  {
    name: 'an error caught inside a transaction aborts it, and COMMIT rolls back',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'a' });
      let inner: string[] = [];
      const outer = await err(
        knex.transaction(async (t) => {
          await t('pa').insert({ v: 'b' });
          inner = [await err(t('pa').insert({ v: 'a' })), await err(t('pa').select())];
        }),
      );
      return [inner, outer, await vs(knex)];
    },
  },
  {
    name: 'a value that cannot be serialised',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'a' });
      const bad = {
        toPostgres() {
          throw new Error('cannot serialise');
        },
      };
      const e = await err(knex('pa').insert({ v: bad }));
      await knex('pa').insert({ v: 'b' });
      return [e, await vs(knex)];
    },
  },
  {
    name: 'a value that cannot be serialised, inside a transaction',
    run: async ({ knex }) => {
      const bad = {
        toPostgres() {
          throw new Error('cannot serialise');
        },
      };
      let e = '';
      await knex.transaction(async (t) => {
        await t('pa').insert({ v: 'a' });
        e = await err(t('pa').insert({ v: bad }));
        await t('pa').insert({ v: 'b' });
      });
      return [e, await vs(knex)];
    },
  },
  {
    name: 'an error has the fields of a database error',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'a' });
      const e = (await knex('pa')
        .insert({ v: 'a' })
        .catch((x: unknown) => x)) as Record<string, unknown>;
      return [
        e.code,
        e.constraint,
        e.table,
        e.schema,
        e.severity,
        e.detail,
        e.routine,
        (e as unknown as Error).message,
      ];
    },
  },
  {
    name: 'the position of an error is that of the app’s own text',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'a' });
      return knex.raw('select  nope from pa').catch((e: { position: string }) => e.position);
    },
  },
  {
    name: 'a function that writes and then fails is undone',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'a' });
      return [await err(knex.raw("select add_pa('x'), 1/(select count(*)-1 from pa where v = 'a')")), await vs(knex)];
    },
  },
  {
    name: 'a function that writes and succeeds stays, whatever fails after it',
    run: async ({ knex }) => {
      await knex.raw("select add_pa('x')");
      return [await err(knex.raw('select 1/0')), await vs(knex)];
    },
  },
  {
    name: 'a raise in a DO block is an ordinary error',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'a' });
      return [
        await err(
          knex.raw(`do $$ begin insert into pa(v) values('b'); raise exception 'no' using errcode='P0042'; end $$`),
        ),
        await vs(knex),
      ];
    },
  },
  {
    name: 'a statement time-out is an error of that statement alone',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'a' });
      const e = await err(
        knex.transaction(async (t) => {
          await t.raw("set local statement_timeout = '30ms'");
          await t.raw('select pg_sleep(1)');
        }),
      );
      return [e, await vs(knex), (await knex.raw('show statement_timeout')).rows];
    },
  },
  {
    name: 'twenty inserts at once, some fail',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'p3' });
      const results = await Promise.allSettled(
        [...Array(20).keys()].map((i) => knex('pa').insert({ v: `p${i % 15}` })),
      );
      return [results.filter((r) => r.status === 'rejected').length, ((await knex('pa')) as unknown[]).length];
    },
  },
  {
    name: 'on conflict do nothing, and do update',
    run: async ({ knex }) => {
      await knex('pa').insert({ id: 1, v: 'a' });
      await knex('pa').insert({ v: 'a' }).onConflict('v').ignore();
      await knex('pa').insert({ id: 1, v: 'b' }).onConflict('id').merge();
      return vs(knex);
    },
  },
];
