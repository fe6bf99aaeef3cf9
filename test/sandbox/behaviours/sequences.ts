import { err, type Behaviour } from '../arena';
import { two, type Connection } from './acquired';

const insert = (v: string): string => `insert into pa(v) values ('${v}') returning id`;

/** How far the second number is from the first; or the code of the error. */
async function since(first: { rows: unknown[] }, connection: Connection, sql: string): Promise<unknown> {
  let later: unknown;
  const error = await err(async () => (later = (await connection.query<{ n: string }>(sql)).rows[0]?.n));
  return error === 'no error' ? Number(later) - (first.rows[0] as { id: number }).id : error;
}

const LAST = 'select lastval() as n';
const CURRENT = "select currval('pa_id_seq') as n";

/** What a session remembers of the sequences it has moved. */
export const sequences: Behaviour[] = [
  {
    name: 'lastval() and currval() after an insert on the same connection',
    run: two(async (a) => {
      const row = await a.query(insert('a'));
      return [
        await since(row, a, LAST),
        await since(row, a, CURRENT),
        await since(row, a, `select add_pa('x'), lastval() - 1 as n`),
      ];
    }),
  },
  {
    name: 'lastval() and currval() through the pool, one query after the other',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'a' });
      const { rows } = await knex.raw<{ rows: unknown[] }>(
        'select lastval() = id as same, currval(?) = id as too from pa',
        ['pa_id_seq'],
      );
      return rows;
    },
  },
  {
    name: 'a connection that has moved no sequence has neither, whatever others do',
    run: two(async (a, b) => {
      const row = await b.query(insert('b'));
      const tried = [await since(row, a, LAST), await since(row, a, CURRENT)];
      await a.query('insert into tmp_guard values (1)');
      await a.query('begin');
      tried.push(await since(row, a, LAST), await err(a.query('select 1')));
      await a.query('rollback');
      return tried;
    }),
  },
  {
    name: 'each its own, where both have moved it since',
    run: two(async (a, b) => {
      await a.query(insert('a'));
      const ofB = await b.query(insert('b'));
      const seenB = await since(ofB, b, LAST);
      const ofA = await a.query(insert('a2'));
      return [seenB, await since(ofA, a, LAST), await since(ofA, a, CURRENT)];
    }),
  },
  {
    name: 'a reader in between changes nothing',
    run: two(async (a, b) => {
      const row = await a.query(insert('a'));
      await b.query('select * from pa');
      return [await since(row, a, LAST), await since(row, a, CURRENT)];
    }),
  },
  {
    name: 'lastval() where another connection has moved a sequence in between',
    run: two(async (a, b) => {
      const row = await a.query(insert('a'));
      await b.query(insert('b'));
      return since(row, a, LAST);
    }),
    differs: { code: 'REWIND_SESSION', because: 'the one real session has forgotten it' },
  },
  {
    name: 'currval() in a function, where another connection has called nextval() in between',
    run: two(async (a, b) => {
      await a.query(
        'create function current_pa() returns bigint language sql as $$ select currval($1) $$'.replace('()', '(text)'),
      );
      const row = await a.query(insert('a'));
      await b.query("select nextval('stamped_id_seq')");
      return since(row, a, "select current_pa('pa_id_seq') as n");
    }),
    differs: { code: 'REWIND_SESSION', because: 'the one real session has forgotten it' },
  },
  {
    name: 'setval() counts, DISCARD SEQUENCES forgets',
    run: two(async (a, b) => {
      const row = await a.query(insert('a'));
      await a.query('discard sequences');
      const discarded = [await since(row, a, LAST), await since(row, a, CURRENT)];
      await b.query("select setval('pa_id_seq', 5000)");
      const five = await b.query<{ n: string }>(CURRENT);
      await a.query('select 1');
      return [discarded, five.rows, await since(row, a, CURRENT)];
    }),
  },
];
