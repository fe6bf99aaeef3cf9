import Cursor from 'pg-cursor';
import { from, to } from 'pg-copy-streams';
import QueryStream from 'pg-query-stream';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { acquired } from './acquired';
import { err, vs, type Behaviour } from '../arena';

/** Rows in bulk: streams, cursors and COPY. */
export const transfers: Behaviour[] = [
  {
    name: 'pg-query-stream on an acquired client, and COPY through pipelines with a transaction around',
    run: async ({ knex }) =>
      acquired(knex, async (c) => {
        await c.query('begin');
        await pipeline(Readable.from(['a\n', 'b\n', 'c\n']), c.query(from('copy pa(v) from stdin')));
        const seen: string[] = [];
        const stream = c.query(new QueryStream('select v from pa where v > $1 order by v', ['a'], { batchSize: 1 }));
        for await (const row of stream as AsyncIterable<{ v: string }>) seen.push(row.v);
        let out = '';
        for await (const chunk of c.query(to('copy pa(v) to stdout'))) out += String(chunk);
        await c.query('commit');
        return [seen, out, await vs(knex)];
      }),
  },
  {
    name: 'a COPY of more than a socket takes at once',
    run: async ({ knex }) =>
      acquired(knex, async (c) => {
        const lines = Array.from({ length: 2_000 }, (_, i) => `${i} ${'x'.repeat(2000)}\n`);
        await pipeline(Readable.from(lines), c.query(from('copy pa(v) from stdin')));
        const seen = await knex('pa').count({ rows: '*' }).max({ last: 'v' });
        await knex('pa').del();
        return seen;
      }),
  },
  {
    name: 'CSV in with options, a bad line in it, and then a good one',
    run: async ({ knex }) =>
      acquired(knex, async (c) => {
        const load = async (text: string): Promise<string> =>
          err(
            pipeline(Readable.from([text]), c.query(from('copy items(sku, qty) from stdin with (format csv, header)'))),
          );
        const seen = [await load('sku,qty\na,1\nb,x\n'), await load('sku,qty\na,1\n"b,b",2\n')];
        return [seen, await knex('items').orderBy('sku').pluck('sku')];
      }),
  },
  {
    name: 'a stream that is piped through a transform which fails',
    run: async ({ knex }) => {
      await knex.raw("insert into pa(v) select 's' || g from generate_series(1, 300) g");
      let n = 0;
      const e = await err(
        pipeline(
          knex('pa').stream({ highWaterMark: 10 }),
          async function* (source: AsyncIterable<unknown>) {
            for await (const row of source) {
              if (++n === 25) throw Object.assign(new Error('full'), { code: 'FULL' });
              yield row;
            }
          },
          async (source: AsyncIterable<unknown>) => {
            for await (const _row of source);
          },
        ),
      );
      await knex('pa').insert({ v: 'after' });
      return [e, n, (await knex('pa').count())[0]];
    },
    may: 'REWIND_LEFT_OPEN',
  },
  {
    name: 'a cursor WITH HOLD outlives its transaction, and its session’s CLOSE',
    run: async ({ knex }) =>
      acquired(knex, async (c) => {
        await c.query("insert into pa(v) values ('a'), ('b'), ('c')");
        await c.query('begin');
        await c.query('declare held cursor with hold for select v from pa order by v');
        await c.query("insert into pa(v) values ('d')");
        const one = (await c.query('fetch 1 from held')).rows;
        await c.query('commit');
        const rest = (await c.query('fetch all from held')).rows;
        await c.query('close held');
        return [one, rest, await err(c.query('fetch 1 from held'))];
      }),
  },
  {
    name: 'a cursor WITH HOLD outside of a transaction, beside one that was declared and rolled back',
    run: async ({ knex }) =>
      acquired(knex, async (c) => {
        await c.query("insert into pa(v) values ('a'), ('b')");
        await c.query('declare held cursor with hold for select v from pa order by v');
        await c.query('begin');
        await c.query('declare other cursor with hold for select 1 as one');
        await c.query('rollback');
        const seen = [(await c.query('fetch 1 from held')).rows, await err(c.query('fetch 1 from other'))];
        await c.query('begin');
        await c.query('declare short cursor for select v from pa');
        await c.query("insert into pa(v) values ('c')");
        await c.query('commit');
        return [seen, (await c.query('fetch 1 from held')).rows, await err(c.query('fetch 1 from short'))];
      }),
  },
  {
    name: 'pg-cursor and a transaction on another client at the same time',
    run: async ({ knex }) => {
      await knex('pa').insert([{ v: 'a' }, { v: 'b' }, { v: 'c' }]);
      return acquired(knex, async (c) => {
        const cursor = c.query(new Cursor('select v from pa order by v'));
        const first: unknown = await cursor.read(1);
        await knex.transaction(async (t) => t('pa').insert({ v: 'aa' }));
        const rest: unknown = await cursor.read(10);
        await cursor.close();
        return [first, rest, await vs(knex)];
      });
    },
  },
];
