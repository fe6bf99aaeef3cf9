import type { Knex } from 'knex';
import { err, vs, type Behaviour, type Env } from '../arena';

/** Roles are the server's, on which batteries for other versions run at the same time. */
const READER = `rewind_reader_${process.pid}`;
const WRITER = `rewind_writer_${process.pid}`;

interface Connection {
  query<Row = Record<string, unknown>>(sql: string, values?: unknown[]): Promise<{ rows: Row[] }>;
}

/** Two connections of one pool. */
async function two(knex: Knex, run: (a: Connection, b: Connection) => Promise<unknown>): Promise<unknown> {
  const [a, b] = [
    (await knex.client.acquireConnection()) as Connection,
    (await knex.client.acquireConnection()) as Connection,
  ];
  const result = await run(a, b);
  for (const one of [a, b]) {
    await one.query('reset all');
    await one.query('reset role');
    await one.query('reset session authorization');
    await knex.client.releaseConnection(one);
  }
  return result;
}

const current = async (connection: Connection, name: string): Promise<unknown> =>
  (await connection.query<{ value: string }>('select current_setting($1) as value', [name])).rows[0]?.value;

const both = async (name: string, ...connections: Connection[]): Promise<unknown[]> => {
  const values = [];
  for (const connection of connections) values.push(await current(connection, name));
  return values;
};

const forEach =
  (run: (a: Connection, b: Connection, env: Env) => Promise<unknown>): Behaviour['run'] =>
  (env) =>
    two(env.knex, (a, b) => run(a, b, env));

/** What a connection sets is its own. */
export const settings: Behaviour[] = [
  {
    name: 'SET, set_config and RESET on one connection are not seen by another',
    run: forEach(async (a, b) => {
      await a.query("set timezone = 'Asia/Tokyo'");
      await a.query("select set_config($1, $2, false), set_config('work_mem'::text, '1MB', false)", ['app.who', 'me']);
      await b.query("set time zone 'America/Lima'");
      await b.query("set app.who = 'you'; set statement_timeout to '7s'");
      const set = [
        await both('TimeZone', a, b, a),
        await both('app.who', a, b, a),
        await both('work_mem', a, b),
        await both('statement_timeout', a, b),
      ];
      await a.query('reset timezone');
      await b.query('reset all');
      return [set, await both('TimeZone', b, a), await both('statement_timeout', a, b), await both('work_mem', a, b)];
    }),
  },
  {
    name: 'a statement of a connection runs under its own settings, in whatever order they come',
    run: forEach(async (a, b, { knex }) => {
      await a.query("set timezone = 'Asia/Tokyo'");
      await a.query('set search_path = pg_catalog');
      const noon = "select '2020-01-01 12:00+00'::timestamptz::text as t";
      const seen = [(await b.query(noon)).rows, (await a.query(noon)).rows, await err(a.query('select * from pa'))];
      await b.query("insert into pa(v) values ('b')");
      return [
        seen,
        await Promise.all([a.query(noon), b.query(noon), a.query(noon)].map(async (q) => (await q).rows)),
        await vs(knex),
      ];
    }),
  },
  {
    name: 'SET goes with a transaction, or a savepoint, that is rolled back',
    run: forEach(async (a, b) => {
      await a.query("set timezone = 'Asia/Tokyo'");
      await a.query('begin');
      await a.query("set timezone = 'America/Lima'");
      await a.query('savepoint s');
      await a.query("set timezone = 'Asia/Seoul'");
      await a.query('rollback to s');
      const inside = await current(a, 'TimeZone');
      await a.query('rollback');
      const after = await both('TimeZone', b, a);
      await a.query('begin');
      await a.query("set timezone = 'Asia/Seoul'");
      await a.query("set local timezone = 'America/Lima'");
      const local = await current(a, 'TimeZone');
      await a.query('commit');
      await err(a.query("set timezone = 'nowhere'"));
      await err(b.query('set no_such_parameter = 1'));
      return [inside, after, local, await both('TimeZone', b, a)];
    }),
  },
  {
    name: 'SET in a transaction that has not sent anything else, beside another connection',
    run: forEach(async (a, b) => {
      await b.query('begin');
      const [path] = (await b.query("select current_setting('TimeZone') as t")).rows;
      await a.query("set timezone = 'Asia/Tokyo'");
      const seen = await both('TimeZone', b, a);
      await b.query('commit');
      return [path !== undefined, seen, await current(b, 'TimeZone')];
    }),
  },
  {
    name: 'SET ROLE and SET SESSION AUTHORIZATION are a connection’s own',
    run: forEach(async (a, b, { knex }) => {
      await b.query(`create role ${READER}`);
      await b.query(`grant usage on schema public to ${READER}`);
      await b.query(`grant select on pa to ${READER}`);
      await a.query(`set role ${READER}`);
      const who = 'select current_user::text = session_user::text as same';
      const refused = await err(a.query("insert into pa(v) values ('a')"));
      await b.query("insert into pa(v) values ('b')");
      await b.query(`set session authorization ${READER}`);
      const again = [
        await err(b.query("insert into pa(v) values ('c')")),
        (await b.query(who)).rows,
        (await a.query(who)).rows,
      ];
      await b.query('reset session authorization');
      await b.query("insert into pa(v) values ('d')");
      await b.query("insert into touched(v) values ('a trigger made again under another role')");
      const late = await err(a.query('select * from touched'));
      await a.query('reset role');
      await a.query("insert into pa(v) values ('e')");
      const result = [refused, again, late, await vs(knex)];
      await b.query(`drop owned by ${READER}`);
      await b.query(`drop role ${READER}`);
      return result;
    }),
  },
  {
    name: 'a trigger that asks for the time, under a role that may not make it again',
    run: forEach(async (a, b) => {
      await b.query(`create role ${WRITER}`);
      await b.query(`grant usage on schema public to ${WRITER}`);
      await b.query(`grant all on touched to ${WRITER}`);
      await b.query('begin');
      await b.query(`set local role ${WRITER}`);
      await b.query("insert into touched(v) values ('b')");
      await b.query('commit');
      await a.query(`set role ${WRITER}`);
      await a.query("insert into touched(v) values ('a')");
      await a.query('reset role');
      const { rows } = await b.query('select v, made = changed as agree from touched order by v');
      await b.query(`drop owned by ${WRITER}`);
      await b.query(`drop role ${WRITER}`);
      return rows;
    }),
  },
  {
    name: 'SET in a function, and in a string of statements',
    run: forEach(async (a, b) => {
      await a.query(
        "create function zone(z text) returns text language plpgsql as $$ begin set work_mem = '2MB'; return set_config('timezone', z, false); end $$",
      );
      await a.query("select zone('Asia/Tokyo')");
      await b.query("select 1; set timezone = 'Asia/Seoul'; select 2");
      const seen = [await both('TimeZone', a, b), await both('work_mem', a, b)];
      await a.query('drop function zone');
      return seen;
    }),
  },
];
