import Cursor from 'pg-cursor';
import { err, sleep, vs, type Behaviour } from '../arena';
import { acquired, two, type Connection } from './acquired';

interface Open {
  read(rows: number): Promise<unknown[]>;
  close(): Promise<void>;
}

const open = (c: Connection, sql: string): Open => c.query(new Cursor(sql) as Open);

/** Cursors that stay open while something else happens. */
export const cursors: Behaviour[] = [
  {
    name: 'only the rows that were read have called their function, where a cursor is closed early',
    run: async ({ knex }) => {
      await acquired(knex, async (c) => {
        const cursor = open(c, "select add_pa('r' || g) as v from generate_series(1, 9) g");
        await cursor.read(2);
        await cursor.close();
      });
      return vs(knex);
    },
  },
  {
    name: 'a table that was read by a cursor, closed early and in a transaction, can be changed and dropped',
    run: async ({ knex }) =>
      acquired(knex, async (c) => {
        const seen: unknown[] = [];
        for (const sql of ['truncate jobs', 'alter table jobs add more int', 'drop table jobs']) {
          await c.query('begin');
          await c.query("insert into jobs(name) values ('a'), ('b'), ('c')");
          const cursor = open(c, 'select name from jobs order by id');
          seen.push(await cursor.read(1));
          await cursor.close();
          seen.push(await err(c.query(sql)));
          await c.query('rollback');
        }
        return seen;
      }),
  },
  {
    name: 'what others do while a cursor is open: fail, write, roll back, set something',
    run: two(async (a, b, { knex }) => {
      await knex('pa').insert(['a', 'b', 'c', 'd', 'e'].map((v) => ({ v })));
      const cursor = open(a, "select v, '2024-01-01 00:00:00+00'::timestamptz::text as at from pa order by v");
      const seen: unknown[] = [await cursor.read(1)];
      seen.push(await err(b.query('select 1/0')));
      seen.push(await cursor.read(1));
      await b.query("set timezone = 'Asia/Tokyo'");
      await b.query('begin');
      await b.query("delete from pa where v = 'd'");
      await b.query('rollback');
      await b.query("insert into pa(v) values ('bb')");
      seen.push(await cursor.read(2), await cursor.read(9));
      await cursor.close();
      await b.query('reset timezone');
      return [seen, await vs(knex)];
    }),
  },
  {
    name: 'two cursors at once, page by page',
    run: two(async (a, b) => {
      const seen: unknown[] = [];
      const [one, other] = [a, b].map((c) => open(c, 'select g from generate_series(1, 5) g'));
      for (let i = 0; i < 3; i++) seen.push(await one?.read(2), await other?.read(2));
      await Promise.all([one?.close(), other?.close()]);
      return seen;
    }),
  },
  {
    name: 'an error behind some rows, in a transaction, with a statement of another client in between',
    run: two(async (a, b) => {
      await a.query('begin');
      const cursor = open(a, 'select 1 / (4 - g) as x from generate_series(1, 9) g');
      const seen: unknown[] = [await cursor.read(2)];
      seen.push((await b.query('select 1 as one')).rows);
      seen.push(await err(cursor.read(5)), await err(a.query('select 1')));
      await a.query('rollback');
      return seen;
    }),
  },
  {
    name: 'a cursor that nobody closes goes with its client',
    run: async ({ knex, makePool }) => {
      const pool = makePool();
      const c = await pool.connect();
      const cursor = c.query(new Cursor('select g from generate_series(1, 9) g'));
      const first: unknown = await cursor.read(1);
      c.release(true);
      await sleep(1);
      return [first, await vs(knex)];
    },
  },
  {
    name: 'a statement behind a cursor that is in no hurry',
    run: two(async (a, b) => {
      const cursor = open(a, 'select g from generate_series(1, 3) g');
      const first: unknown = await cursor.read(1);
      const log: unknown[] = [];
      const later = b.query('select 1').then(() => log.push('other'));
      await later;
      log.push(await cursor.read(9));
      await cursor.close();
      return [first, log];
    }),
  },
];
