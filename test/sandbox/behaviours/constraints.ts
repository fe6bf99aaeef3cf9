import { err, vs, type Behaviour } from '../arena';

/** Constraints that are checked at commit. */
export const constraints: Behaviour[] = [
  {
    name: 'a deferred foreign key fails an autocommit statement',
    run: async ({ knex }) => [await err(knex('ch').insert({ pid: 99 })), await knex('ch')],
  },
  {
    name: 'a deferred foreign key fails the commit, and with it the transaction',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'keep' });
      const e = await err(knex.transaction(async (t) => t('ch').insert({ pid: 99 })));
      return [e, await knex('ch'), await vs(knex)];
    },
  },
  {
    name: 'the same through COMMIT by hand, and the session goes on',
    run: async ({ knex }) => {
      const c = await knex.client.acquireConnection();
      await c.query('begin');
      await c.query('insert into ch(pid) values(99)');
      const e = await err(c.query('commit'));
      const after = await c.query('select count(*)::int as n from ch');
      await knex.client.releaseConnection(c);
      return [e, after.rows];
    },
  },
  {
    name: 'a deferred foreign key that is satisfied before the commit',
    run: async ({ knex }) => {
      const e = await err(
        knex.transaction(async (t) => {
          await t('ch').insert({ pid: 9 });
          await t('pa').insert({ id: 9, v: 'p' });
        }),
      );
      return [e, ((await knex('ch')) as unknown[]).length];
    },
  },
  {
    name: 'a deferred foreign key that is satisfied later in a string of statements',
    run: async ({ knex }) => [
      await err(knex.raw("insert into ch(pid) values(9); insert into pa(id, v) values(9, 'p')")),
      ((await knex('ch')) as unknown[]).length,
    ],
  },
  {
    name: 'a deferred foreign key that a string of statements does not satisfy',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'a' });
      return [
        await err(knex.raw("insert into ch(pid) values(9); insert into pa(id, v) values(10, 'p')")),
        await knex('ch'),
        await vs(knex),
      ];
    },
  },
  {
    name: 'a deferrable constraint that is initially immediate stays immediate',
    run: async ({ knex }) =>
      err(
        knex.transaction(async (t) => {
          await t('now_immediate').insert({ id: 1, pid: 50 });
          await t('pa').insert({ id: 50, v: 'late' });
        }),
      ),
  },
  {
    name: 'SET CONSTRAINTS in a transaction',
    run: async ({ knex }) => [
      await err(
        knex.transaction(async (t) => {
          await t.raw('set constraints all deferred');
          await t('now_immediate').insert({ id: 1, pid: 50 });
          await t('pa').insert({ id: 50, v: 'late' });
        }),
      ),
      await err(
        knex.transaction(async (t) => {
          await t.raw('set constraints all immediate');
          await t('ch').insert({ pid: 60 });
        }),
      ),
      await err(knex('now_immediate').insert({ id: 2, pid: 61 })),
    ],
  },
  {
    name: 'a transaction that only read leaves constraints as they were',
    run: async ({ knex }) => {
      await knex.transaction(async (t) => t('pa').select());
      return err(knex('ch').insert({ pid: 99 }));
    },
  },
  {
    name: 'the violation is committed around by a rolled-back savepoint',
    run: async ({ knex }) => {
      const e = await err(
        knex.transaction(async (t) => {
          await t('pa').insert({ v: 'a' });
          await t
            .transaction(async (u) => {
              await u('ch').insert({ pid: 99 });
              throw new Error('x');
            })
            .catch(() => {});
        }),
      );
      return [e, await vs(knex)];
    },
  },
  {
    name: 'a deferred constraint made in the test',
    run: async ({ knex }) => {
      await knex.raw('create table late(id int primary key, pid int references pa(id) deferrable initially deferred)');
      const one = await err(knex('late').insert({ id: 1, pid: 5 }));
      const two = await err(
        knex.transaction(async (t) => {
          await t('late').insert({ id: 1, pid: 5 });
          await t('pa').insert({ id: 5, v: 'five' });
        }),
      );
      return [one, two];
    },
  },
  {
    name: 'a deferred constraint dropped in the test',
    run: async ({ knex }) => {
      await knex.raw('alter table ch drop constraint ch_pid_fkey');
      return [
        await err(knex.transaction(async (t) => t('ch').insert({ pid: 99 }))),
        ((await knex('ch')) as unknown[]).length,
      ];
    },
  },
  {
    name: 'a deferred constraint trigger runs at the commit',
    run: async ({ knex }) => {
      await knex.raw(`
        create function at_commit() returns trigger language plpgsql as $$
          begin if (select count(*) from pa) <> 2 then raise exception 'two, please'; end if; return null; end $$;
        create constraint trigger two after insert on pa deferrable initially deferred for each row execute function at_commit()`);
      const one = await err(knex.transaction(async (t) => t('pa').insert({ v: 'a' })));
      const two = await err(
        knex.transaction(async (t) => {
          await t('pa').insert({ v: 'a' });
          await t('pa').insert({ v: 'b' });
        }),
      );
      return [one, two, await vs(knex)];
    },
  },
  {
    name: 'DDL after changes that have deferred checks',
    run: async ({ knex }) => {
      await knex('pa').insert({ id: 1, v: 'a' });
      await knex('ch').insert({ pid: 1 });
      return err(knex.raw('alter table ch add column extra int'));
    },
  },
];
