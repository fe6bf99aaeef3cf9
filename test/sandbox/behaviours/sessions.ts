import { err, vs, type Behaviour } from '../arena';
import { two, type Connection } from './acquired';

const because = 'the one real session has it for all connections';

/** What belongs to one connection, and can't be given to another. */
export const sessions: Behaviour[] = [
  {
    name: 'temporary tables on one connection',
    run: two(async (a) => {
      const seen = [];
      for (const sql of [
        'create temp table mine as select 1 as n',
        'create temp table drops(n int) on commit drop',
        'select * from mine',
        'create temp table mine(n int)',
        'select n into temp also_mine from mine',
        'create temp view over_mine as select n from mine',
        'create temp sequence numbers',
        "select nextval('numbers')",
        'drop view over_mine',
        'drop table mine',
        'select * from mine',
      ]) {
        let rows: unknown;
        const e = await err(async () => (rows = (await a.query(sql)).rows));
        seen.push([e, rows]);
      }
      return seen;
    }),
  },
  {
    name: 'a temporary table through the pool, one query after the other, and in a transaction',
    run: async ({ knex }) => {
      await knex.raw('create temp table mine as select 1 as n');
      const seen: unknown[] = [await knex('mine').pluck('n')];
      await knex.transaction(async (t) => {
        await t.raw('create temp table own on commit drop as select 2 as n');
        seen.push(await t('own').pluck('n'));
      });
      seen.push(await err(knex('own').select()), await err(knex('mine').insert({ n: 3 })));
      await knex.raw('drop table mine');
      return seen;
    },
  },
  {
    name: 'a permanent table, a CTE and a string of the same name on another connection',
    run: two(async (a, b) => {
      await a.query('create temp table stamped as select 1 as n');
      await b.query('with stamped as (select 2 as n) select n from stamped');
      await b.query("insert into pa(v) values ('stamped')");
      await b.query("insert into public.stamped(v) values ('x')");
      return [(await b.query('select v from public.stamped')).rows, (await a.query('select n from stamped')).rows];
    }),
  },
  ...[
    'select * from mine',
    'insert into mine values (1)',
    'create temp table mine(n int)',
    'drop table mine',
    "select 'mine'::regclass",
    'select * from pg_temp.mine',
    'select 1; select * from mine',
    'with x as (select 1) select * from x, mine',
  ].map((sql): Behaviour => ({
    name: `the temporary table of another connection: ${sql}`,
    run: two(async (a, b) => {
      await a.query('create temp table mine as select 1 as n');
      return err(b.query(sql));
    }),
    differs: { code: 'REWIND_SESSION', because },
  })),
  {
    name: 'a permanent table of the name of another connection’s temporary one',
    run: two(async (a, b) => {
      await a.query("insert into pa(v) values ('permanent')");
      await a.query("create temp table pa as select 'temporary' as v");
      return (await b.query('select v from pa')).rows;
    }),
    differs: { code: 'REWIND_SESSION', because },
  },
  {
    name: 'a temporary table that was dropped, or went with its transaction or savepoint, is nobody’s',
    run: two(async (a, b, { knex }) => {
      await a.query('begin');
      await a.query('create temp table pa as select 1 as n');
      await a.query('rollback');
      await b.query("insert into pa(v) values ('b')");
      await a.query('begin');
      await a.query('savepoint s');
      await a.query('create temp table pa as select 1 as n');
      await a.query('rollback to s');
      await a.query('commit');
      await a.query('begin');
      await a.query('create temp table pa on commit drop as select 1 as n');
      await a.query('commit');
      await a.query('create temp table pa as select 1 as n');
      await a.query('drop table pa');
      await a.query('create temp table pa as select 1 as n');
      await a.query('drop table pg_temp.pa');
      return [await vs(knex), await err(b.query('select v from pa'))];
    }),
  },
  {
    name: 'pg_backend_pid() on one connection, and through the pool',
    run: async ({ knex }) => {
      const pid = async (): Promise<unknown> =>
        (await knex.raw<{ rows: { pid: number }[] }>('select pg_backend_pid() as pid')).rows[0]?.pid;
      return (await pid()) === (await pid());
    },
  },
  {
    name: 'pg_backend_pid() on two connections',
    run: two(async (a, b) => {
      const pid = async (c: Connection): Promise<unknown> =>
        (await c.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]?.pid;
      return (await pid(a)) === (await pid(b));
    }),
    differs: { code: 'REWIND_SESSION', because },
  },
  {
    name: 'setseed() and random() on one connection, beside another that asks for neither',
    run: two(async (a, b) => {
      const seen = [];
      for (const sql of ['select setseed(0.5)', 'set seed = 0.5', 'set seed to 0.25']) {
        await a.query(sql);
        await b.query("set timezone = 'Asia/Tokyo'");
        seen.push((await a.query('select random() as r')).rows);
      }
      await b.query('reset timezone');
      return seen;
    }),
  },
  {
    name: 'random() after setseed(), where another connection has called it in between',
    run: two(async (a, b) => {
      await a.query('select setseed(0.5)');
      await b.query('select random()');
      return err(a.query('select random() as r')).then(async (e) => (e === 'no error' ? 'as seeded' : e));
    }),
    differs: { code: 'REWIND_SESSION', because },
  },
  {
    name: 'set_config() that is told by a parameter whether it is local',
    run: two(async (a, b) => {
      const zone = async (c: Connection): Promise<unknown> => (await c.query('show timezone')).rows[0];
      const set = 'select set_config($1, $2, $3)';
      await a.query(set, ['timezone', 'Asia/Tokyo', false]);
      const seen = [await zone(a), await zone(b)];
      await b.query(set, ['timezone', 'Asia/Seoul', true]);
      await b.query(set, ['timezone', 'America/Lima', 'off']);
      seen.push(await zone(a), await zone(b));
      await a.query('begin');
      await a.query('select set_config($1, $2, $3::bool)', ['timezone', 'Asia/Seoul', true]);
      seen.push(await zone(a));
      await a.query('commit');
      seen.push(await zone(a), await zone(b));
      for (const one of [a, b]) await one.query('reset timezone');
      return seen;
    }),
  },
];
