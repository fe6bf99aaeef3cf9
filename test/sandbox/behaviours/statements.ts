import { err, sleep, vs, type Behaviour } from '../arena';

const OUTSIDE = 'it has to run outside of any transaction, and the test is inside one';

/** Statements that know about transactions, and settings. */
export const statements: Behaviour[] = [
  {
    name: 'CREATE INDEX CONCURRENTLY',
    run: async ({ knex, plain }) => {
      const e = await err(knex.raw('create index concurrently zz on pa(v)'));
      if (plain) await knex.raw('drop index zz');
      return e;
    },
    differs: { code: 'REWIND_UNSUPPORTED', because: OUTSIDE },
  },
  {
    name: 'VACUUM',
    run: ({ knex }) => err(knex.raw('vacuum pa')),
    differs: { code: 'REWIND_UNSUPPORTED', because: OUTSIDE },
  },
  {
    name: 'CREATE INDEX CONCURRENTLY in a transaction fails as it should',
    run: ({ knex }) => err(knex.transaction(async (t) => t.raw('create index concurrently zz on pa(v)'))),
  },
  {
    name: 'a procedure that commits',
    run: async ({ knex }) => [await err(knex.raw('call commits()')), await vs(knex)],
    differs: { code: 'REWIND_UNSUPPORTED', because: OUTSIDE },
  },
  {
    name: 'a procedure that commits, in a transaction',
    run: ({ knex }) => err(knex.transaction(async (t) => t.raw('call commits()'))),
  },
  {
    name: 'a DO block that commits',
    run: ({ knex }) => err(knex.raw('do $$ begin commit; end $$')),
    differs: { code: 'REWIND_UNSUPPORTED', because: OUTSIDE },
  },
  {
    name: 'a new enum value, used',
    run: async ({ knex }) => {
      await knex.raw("alter type mood add value 'cross'");
      return err(knex.raw("select 'cross'::mood"));
    },
    differs: { code: 'REWIND_UNSUPPORTED', because: 'a new value of an enum can be used after a real commit only' },
  },
  {
    name: 'PREPARE TRANSACTION',
    run: async ({ knex, plain }) => {
      const c = await knex.client.acquireConnection();
      await c.query('begin');
      await c.query("insert into pa(v) values('p')");
      const e = await err(c.query("prepare transaction 'rewind'"));
      if (plain) await err(c.query("rollback prepared 'rewind'"));
      else await err(c.query('rollback'));
      await knex.client.releaseConnection(c);
      return [e, await vs(knex)];
    },
    differs: { code: 'REWIND_UNSUPPORTED', because: 'it would take the whole test with it' },
  },
  {
    name: 'LISTEN and NOTIFY',
    run: async ({ knex }) => {
      const c = await knex.client.acquireConnection();
      let got = 0;
      const listener = (): number => got++;
      c.on('notification', listener);
      const e = await err(c.query('listen chan'));
      await knex.raw("notify chan, 'x'");
      await sleep(30);
      await c.query('unlisten *');
      c.removeListener('notification', listener);
      await knex.client.releaseConnection(c);
      return [e, got];
    },
    differs: { code: 'REWIND_UNSUPPORTED', because: 'notifications are sent at commits, which never happen' },
  },
  {
    name: 'NOTIFY and pg_notify without a listener',
    may: 'a notification that nobody gets',
    run: async ({ knex }) => [
      await err(knex.raw("notify chan, 'x'")),
      await err(knex.raw("select pg_notify('chan', 'x')")),
    ],
  },
  {
    name: 'LOCK TABLE and DECLARE CURSOR outside a transaction',
    run: async ({ knex }) => [
      await err(knex.raw('lock table pa')),
      await err(knex.raw('declare c cursor for select 1')),
    ],
  },
  {
    name: 'LOCK TABLE and a SQL cursor inside a transaction',
    run: async ({ knex }) => {
      await knex('pa').insert([{ v: 'a' }, { v: 'b' }]);
      return knex.transaction(async (t) => {
        await t.raw('lock table pa');
        await t.raw('declare c cursor for select v from pa order by v');
        return [(await t.raw('fetch 1 from c')).rows, (await t.raw('fetch 5 from c')).rows];
      });
    },
  },
  {
    name: 'a SQL cursor is gone after its transaction',
    run: async ({ knex }) => {
      await knex.transaction(async (t) => {
        await t('pa').insert({ v: 'a' });
        await t.raw('declare c cursor for select v from pa');
      });
      return err(knex.raw('fetch 1 from c'));
    },
  },
  {
    name: 'SET LOCAL ends with its transaction, committed or not',
    run: async ({ knex }) => {
      const now = async (): Promise<unknown> =>
        (await knex.raw("select coalesce(current_setting('app.tenant', true), '') as x")).rows;
      const seen = [await now()];
      await knex.transaction(async (t) => {
        await t.raw("set local app.tenant = '7'");
        await t('pa').insert({ v: 'a' });
      });
      seen.push(await now());
      await err(
        knex.transaction(async (t) => {
          await t.raw("set local app.tenant = '8'");
          throw new Error('x');
        }),
      );
      seen.push(await now());
      return seen;
    },
  },
  {
    name: 'SET LOCAL gives back what was set before',
    run: async ({ makeKnex }) => {
      const knex = makeKnex({ pool: { max: 1 } });
      await knex.raw("set work_mem = '5MB'");
      await knex.raw("set app.tenant = '1'");
      await knex.transaction(async (t) => {
        await t.raw("set local work_mem = '6MB'");
        await t.raw("select set_config('app.tenant', '2', true)");
        await t('pa').insert({ v: 'a' });
      });
      return [(await knex.raw('show work_mem')).rows, (await knex.raw('show app.tenant')).rows];
    },
  },
  {
    name: 'set_config with its name and value as parameters',
    run: async ({ knex }) => {
      const inner = await knex.transaction(async (t) => {
        await t.raw('select set_config(?, ?, true)', ['app.user', '5']);
        await t('pa').insert({ v: 'a' });
        return (await t.raw("select current_setting('app.user') as x")).rows;
      });
      return [inner, (await knex.raw("select coalesce(current_setting('app.user', true), '') as x")).rows];
    },
  },
  {
    name: 'SET LOCAL and SET CONSTRAINTS outside a transaction: a warning, no effect',
    run: async ({ knex }) => {
      const c = await knex.client.acquireConnection();
      const notices: string[] = [];
      const listener = (n: { code: string; message: string }): number => notices.push(`${n.code} ${n.message}`);
      c.on('notice', listener);
      await c.query("set local work_mem = '7MB'");
      await c.query('set constraints all deferred');
      await c.query('set transaction read only');
      const { rows } = await c.query('show work_mem');
      const e = await err(c.query('insert into ch(pid) values (77)'));
      await sleep(5);
      c.removeListener('notice', listener);
      await knex.client.releaseConnection(c);
      return [notices, rows, e];
    },
  },
  {
    name: 'a wrong SET LOCAL outside a transaction is still an error',
    run: async ({ knex }) => [
      await err(knex.raw('set local nonsense = 1')),
      await err(knex.raw("set local work_mem = 'much'")),
    ],
  },
  {
    name: 'a temporary table ON COMMIT DROP',
    run: async ({ knex }) => {
      const inside = await knex.transaction(async (t) => {
        await t.raw('create temp table staging(v text) on commit drop');
        await t('staging').insert({ v: 's' });
        await t.raw('insert into pa(v) select v from staging');
        return ((await t('staging')) as unknown[]).length;
      });
      const again = await err(
        knex.transaction(async (t) => {
          await t.raw('create temp table staging on commit drop as select 1 as one');
          throw new Error('x');
        }),
      );
      return [inside, again, await err(knex('staging').select()), await vs(knex)];
    },
  },
  {
    name: 'a temporary table ON COMMIT DROP outside a transaction is gone at once',
    run: async ({ knex }) => {
      await knex.raw('create temp table staging(v text) on commit drop');
      return err(knex('staging').select());
    },
  },
  {
    name: 'ON COMMIT DELETE ROWS',
    run: async ({ makeKnex }) => {
      const knex = makeKnex({ pool: { max: 1 } });
      const e = await err(knex.raw('create temp table staging(v text) on commit delete rows'));
      return [e];
    },
    differs: { code: 'REWIND_UNSUPPORTED', because: 'it acts at every commit' },
  },
  {
    name: 'SET SESSION CHARACTERISTICS',
    run: async ({ makeKnex }) => {
      const knex = makeKnex({ pool: { max: 1 } });
      return [
        await err(knex.raw('set session characteristics as transaction read only')),
        await err(knex('pa').insert({ v: 'a' })),
      ];
    },
    differs: { code: 'REWIND_UNSUPPORTED', because: 'the transaction that holds the test has already begun' },
  },
  {
    name: 'schema changes, and tables made by them',
    run: async ({ knex }) => {
      await knex.schema.createTable('made', (t) => {
        t.increments();
        t.string('a');
      });
      await knex('made').insert({ a: '1' });
      await knex.schema.alterTable('made', (t) => {
        t.integer('b').defaultTo(3);
      });
      const rows = (await knex('made')) as unknown;
      const has = await knex.schema.hasTable('made');
      await knex.schema.dropTable('made');
      return [rows, has, await knex.schema.hasTable('made')];
    },
  },
  {
    name: 'TRUNCATE, with sequences',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'a' });
      await knex.raw('truncate pa restart identity cascade');
      return knex('pa').insert({ v: 'b' }).returning('v');
    },
  },
  {
    name: 'an empty statement and a comment',
    run: async ({ knex }) => {
      const c = await knex.client.acquireConnection();
      const seen = [await c.query(''), await c.query('-- nothing'), await c.query(';')].map((r) => [r.command, r.rows]);
      await knex.client.releaseConnection(c);
      return seen;
    },
  },
  {
    name: 'rowMode array, wrong values, a missing value',
    run: async ({ knex }) => {
      const c = await knex.client.acquireConnection();
      const { rows } = await c.query({ text: 'select 1 as a, 2 as b', rowMode: 'array' });
      const seen = [
        await err(c.query({ text: 'select $1::int', values: 'nope' })),
        await err(c.query('select $1::int')),
        await err(c.query('select $1::int', [])),
      ];
      await knex.client.releaseConnection(c);
      return [rows, seen];
    },
  },
  {
    name: 'a missing value, after a write and inside a transaction',
    run: async ({ knex }) => {
      const c = await knex.client.acquireConnection();
      await c.query("insert into pa(v) values('a')");
      const one = await err(c.query('select $1::int'));
      await c.query('begin');
      const two = await err(c.query('select $1::int'));
      const three = await err(c.query('select 1'));
      await c.query('commit');
      await knex.client.releaseConnection(c);
      return [one, two, three, await vs(knex)];
    },
  },
  {
    name: 'named prepared statements, one failing while it is parsed',
    run: async ({ knex }) => {
      for (let i = 0; i < 3; i++) await knex.raw('insert into pa(v) values(?)', [`n${i}`]).options({ name: 'ins' });
      const bad = (): unknown => knex.raw('select * from nope where v=?', ['a']).options({ name: 'bad' });
      return [await err(bad() as Promise<unknown>), await err(bad() as Promise<unknown>), await vs(knex)];
    },
  },
  {
    name: 'a named statement that fails when it runs stays prepared',
    run: async ({ knex }) => {
      const insert = (v: string): Promise<unknown> =>
        knex.raw('insert into pa(v) values(?)', [v]).options({ name: 'ins2' });
      await insert('a');
      const e = await err(insert('a'));
      await insert('b');
      return [e, await vs(knex)];
    },
  },
  {
    name: 'PREPARE, EXECUTE and DEALLOCATE in SQL',
    run: async ({ makeKnex }) => {
      const knex = makeKnex({ pool: { max: 1 } });
      await knex.raw('prepare p(text) as insert into pa(v) values($1) returning v');
      const { rows } = await knex.raw("execute p('x')");
      await knex.raw('deallocate p');
      await knex.raw('deallocate all');
      await knex('pa').insert({ v: 'after' });
      await knex('pa').insert({ v: 'after2' });
      return [rows, await err(knex.raw("execute p('y')")), await vs(knex)];
    },
  },
  {
    name: 'EXPLAIN ANALYZE of a write writes',
    run: async ({ knex }) => {
      await knex.raw("explain analyze insert into pa(v) values('x')");
      return [await err(knex.raw('select 1/0')), await vs(knex)];
    },
  },
  {
    name: 'a data-modifying WITH, SELECT INTO, CREATE TABLE AS',
    run: async ({ knex }) => {
      await knex.raw("with x as (insert into pa(v) values('w') returning v) select v from x");
      await err(knex.raw('select 1/0'));
      await knex.raw('select 1 as one into made');
      await err(knex.raw('select 1/0'));
      await knex.raw('create table made2 as select 2 as two');
      await err(knex.raw('select 1/0'));
      return [await vs(knex), await knex('made'), await knex('made2')];
    },
  },
  {
    name: 'text that only looks like transaction control',
    run: async ({ knex }) => {
      await knex.raw("insert into pa(v) values('; commit; --')");
      await knex.raw('select $$ ; rollback; $$ as x; /* ; commit; */ select 2');
      return [await err(knex.raw('select 1/0')), await vs(knex)];
    },
  },
  {
    name: 'now() advances from statement to statement',
    run: async ({ knex }) => {
      const at = async (sql: string): Promise<number> => +(await knex.raw(sql)).rows[0].n;
      const seen: boolean[] = [];
      for (const expression of [
        'now()',
        'CURRENT_TIMESTAMP',
        'pg_catalog.now()',
        'current_timestamp(6)',
        'localtimestamp(4)',
      ]) {
        const a = await at(`select ${expression} as n`);
        await knex('pa').insert({ v: expression });
        await sleep(5);
        seen.push((await at(`select ${expression} as n`)) - a >= 4);
      }
      return seen;
    },
  },
  {
    name: 'now() stands still in a transaction, at its beginning',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'a' });
      const before = +(await knex.raw('select now() as n')).rows[0].n;
      await sleep(8);
      const [one, two] = await knex.transaction(async (t) => {
        const first = +(await t.raw('select now() as n')).rows[0].n;
        await sleep(8);
        return [first, +(await t.raw('select CURRENT_TIMESTAMP as n')).rows[0].n];
      });
      await sleep(8);
      const after = +(await knex.raw('select now() as n')).rows[0].n;
      return [one - before >= 7, one === two, after - two >= 14];
    },
  },
  {
    name: 'columns and types of the time are as ever',
    may: 'where it stands still',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'a' });
      const { fields } = await knex.raw(
        "select now(), current_timestamp, current_date, localtime, current_time(2), now() + interval '1 day', now()::date, (select now()), coalesce(now(), null), now() as x",
      );
      return (fields as { name: string; dataTypeID: number; dataTypeModifier: number }[]).map((f) => [
        f.name,
        f.dataTypeID,
      ]);
    },
  },
  {
    name: 'the time has the precision that the statement asks for',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'a' });
      const { fields, rows } = await knex.raw(
        'select current_timestamp(0) as a, localtimestamp(3) as b, current_time(2) as c, localtime(1) as d, current_timestamp as e',
      );
      return [
        (fields as { dataTypeModifier: number }[]).map((f) => f.dataTypeModifier),
        (rows as { a: Date }[]).map(({ a }) => a.getMilliseconds()),
      ];
    },
  },
  {
    name: 'the time in WHERE, in an UPDATE, and the position of an error behind it',
    run: async ({ knex }) => {
      await knex('stamped').insert({ v: 'a' });
      await sleep(5);
      await knex('stamped')
        .where('at', '<', knex.fn.now())
        .update({ v: 'older', at: knex.fn.now(6) });
      const updated = await knex.raw(
        "select at <= now() as past, at > now() - interval '1 min' as recent, v from stamped",
      );
      const position = await knex
        .raw("select 'ü', now(), nope from stamped")
        .catch((e: { position: string }) => e.position);
      return [updated.rows, position];
    },
  },
];
