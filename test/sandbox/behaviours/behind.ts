import type { Knex } from 'knex';
import { err, sleep, vs, type Behaviour } from '../arena';

interface Touched {
  readonly v: string;
  readonly made: Date;
  readonly changed: Date;
}

const touched = async (knex: Knex | Knex.Transaction): Promise<Touched[]> => knex('touched').orderBy('v');

/** What triggers, functions, views and operators of the app's do behind its statements. */
export const behind: Behaviour[] = [
  {
    name: 'the time of a trigger goes on, and agrees with the statement that fires it',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'a' });
      for (const v of ['a', 'b']) {
        await sleep(5);
        await knex('touched').insert({ v });
      }
      const [a, b] = await touched(knex);
      await sleep(5);
      await knex('touched').where({ v: 'a' }).update({ made: knex.fn.now() });
      const [changed] = await touched(knex);
      return [
        +b!.changed - +a!.changed >= 4,
        +changed!.changed - +b!.changed >= 4,
        +changed!.made === +changed!.changed,
      ];
    },
  },
  {
    name: 'the time of a trigger in a transaction is that of its beginning',
    run: async ({ knex }) => {
      await knex('touched').insert({ v: 'before' });
      await sleep(5);
      const now = await knex.transaction(async (t) => {
        await sleep(5);
        await t('touched').insert({ v: 'a' });
        await err(t.transaction(async (inner) => inner('touched').insert({ nope: 1 })));
        await sleep(5);
        await t('touched').insert({ v: 'b' });
        return (await t.raw('select now() as n')).rows[0].n as Date;
      });
      await sleep(5);
      await knex('touched').insert({ v: 'after' });
      await err(knex('touched').insert({ nope: 1 }));
      await sleep(5);
      await knex('touched').insert({ v: 'c' });
      const all = Object.fromEntries((await touched(knex)).map((row) => [row.v, +row.changed]));
      return [
        all.a === all.b,
        all.a === +now,
        all.a! - all.before! >= 4,
        all.after! - all.b! >= 9,
        all.c! > all.after!,
      ];
    },
  },
  {
    name: 'a trigger in a transaction that begins the test, beside other statements',
    run: async ({ knex }) => {
      const t = await knex.transaction();
      await t('touched').insert({ v: 'a', made: t.fn.now() });
      await sleep(5);
      await t('touched').update({ made: t.fn.now() });
      await t.raw('savepoint s');
      await t('touched').insert({ v: 'b', made: t.fn.now() });
      await t.raw('rollback to s');
      await sleep(5);
      await t('touched').insert({ v: 'c', made: t.fn.now() });
      await t.commit();
      await knex.raw("update touched set made = now(); insert into touched(v, made) values ('d', now())");
      return (await touched(knex)).map(({ v, made, changed }) => [v, +made === +changed]);
    },
  },
  {
    name: 'the time in functions that triggers call, comments and strings left alone',
    run: async ({ knex }) => {
      const [{ made }] = (await knex('touched').insert({ v: 'a' }).returning('made')) as [{ made: Date }];
      await sleep(5);
      await knex('touched').del();
      const [{ v, at }] = (await knex('logged')) as [{ v: string; at: Date }];
      return [v, +at - +made >= 4];
    },
  },
  {
    name: 'the time in functions that are called by name, prepared, from a cursor and in a DO block',
    run: async ({ knex }) => {
      const c = await knex.client.acquireConnection();
      await c.query("insert into pa(v) values ('a')");
      for (const query of [
        { text: 'select note($1)', values: ['plain'] },
        { name: 'noted', text: 'select note($1)', values: ['named'] },
        { name: 'noted', values: ['again'] },
        "do $$ begin perform note('do'); end $$",
        "prepare p as select note('executed')",
        'execute p',
      ]) {
        await sleep(3);
        await c.query(query);
      }
      await c.query('deallocate p');
      await knex.client.releaseConnection(c);
      const { rows } = await knex.raw(
        'select count(distinct at)::int as times, array_agg(v order by at) as v from logged',
      );
      return rows;
    },
  },
  {
    name: 'a trigger that was made, and one that was made again, in the test',
    run: async ({ knex }) => {
      await knex('touched').insert({ v: 'a' });
      await knex.raw(`create or replace function touch() returns trigger language plpgsql as
        $$ begin new.changed = now(); new.v = new.v || '!'; return new; end $$`);
      await sleep(5);
      await knex('touched').insert({ v: 'b' });
      await knex.raw(`create function stamp() returns trigger language plpgsql as
        $$ begin new.at = transaction_timestamp(); return new; end $$`);
      await knex.raw('create trigger stamp before insert on stamped for each row execute function stamp()');
      await sleep(5);
      await knex('stamped').insert({ v: 'c' });
      const [a, b] = await touched(knex);
      const [c] = await knex<{ at: Date }>('stamped');
      await knex.raw('drop function touch cascade');
      await knex('touched').insert({ v: 'd' });
      return [(await touched(knex)).map(({ v }) => v), +b!.changed - +a!.changed >= 4, +c!.at - +b!.changed >= 4];
    },
  },
  {
    name: 'a function that asks for the time, in a transaction that only reads, and after RESET ALL',
    run: async ({ knex }) => {
      await knex.raw(
        'create function age(t timestamptz) returns boolean language sql stable as $$ select now() > t $$',
      );
      await sleep(5);
      const before = new Date();
      await sleep(5);
      const read = await knex.transaction(async (t) => (await t.raw('select age(?) as old', [before])).rows, {
        readOnly: true,
      });
      const c = await knex.client.acquireConnection();
      await c.query('begin');
      await c.query("insert into touched(v) values ('a')");
      await c.query('reset all');
      await c.query("insert into touched(v) values ('b')");
      await c.query('commit');
      await knex.client.releaseConnection(c);
      const [a, b] = await touched(knex);
      return [read, +a!.changed === +b!.changed];
    },
  },
  {
    name: 'the time in streams and cursors goes on',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'a' });
      const times: number[] = [];
      for (let i = 0; i < 2; i++) {
        await sleep(5);
        for await (const { n } of knex.raw('select now() as n').stream() as AsyncIterable<{ n: Date }>) times.push(+n);
      }
      return times[1]! - times[0]! >= 4;
    },
  },
  {
    name: 'nobody else sees, or waits for, a function that asks for the time',
    run: async ({ knex, outside }) => {
      const source = "select prosrc from pg_proc where proname = 'touch'";
      const before = await outside(source);
      await knex('touched').insert({ v: 'a' });
      const after = await outside(source);
      await outside("select note('from outside')");
      await outside('truncate logged');
      return JSON.stringify(before) === JSON.stringify(after);
    },
  },
  {
    name: 'SET LOCAL in a function lasts until COMMIT',
    run: async ({ knex }) => {
      const tenant = async (k: Knex | Knex.Transaction): Promise<unknown> =>
        (await k.raw("select current_setting('app.tenant', true) as t")).rows[0].t || null;
      await knex.raw('select tenant(?)', ['alone']);
      const outside = await tenant(knex);
      const inside = await knex.transaction(async (t) => {
        await t('pa').insert({ v: 'a' });
        await t.raw('select tenant(?)', ['x']);
        const first = await tenant(t);
        await t.raw("select tenant('y'), late_path()");
        return [first, await tenant(t), (await t.raw('show search_path')).rows];
      });
      return [outside, inside, await tenant(knex), (await knex.raw('show search_path')).rows, await vs(knex)];
    },
  },
  {
    name: 'a function that sets whatever it is told to',
    run: async ({ knex }) => {
      await knex.raw(`create function sets(k text) returns text language sql as $$ select set_config(k, 'x', true) $$`);
      const e = await err(knex.transaction(async (t) => t.raw("select sets('app.x')")));
      await knex.raw('drop function sets');
      return e;
    },
    differs: { code: 'REWIND_UNSUPPORTED', because: 'what it sets would outlive its transaction' },
  },
  {
    name: 'a view that writes',
    run: async ({ knex }) => {
      await knex('adding').select();
      return [await err(knex('pa').insert({ v: 'by a view' })), await err(knex('nope')), await vs(knex)];
    },
  },
  {
    name: 'an operator that writes',
    run: async ({ knex }) => {
      await knex.raw("select 'a' === 'b'");
      return [await err(knex.raw('selct')), await err(knex('pa').insert({ v: 'b' })), await vs(knex)];
    },
  },
  {
    name: 'a cast that writes, and a domain whose check does',
    run: async ({ knex }) => {
      const seen: string[] = [];
      for (const sql of ["select 'cast'::text::label", "select 'check'::noted_text"]) {
        await knex.raw(sql);
        seen.push(await err(knex.raw('selct')));
      }
      const t = await knex.transaction();
      await t.raw("select cast('inside'::text as label)");
      await t.rollback();
      return [seen, await vs(knex)];
    },
  },
  {
    name: 'an INSERT into a column whose type a trigger of another table changes',
    run: async ({ knex }) => {
      const insert = async (id: unknown): Promise<string> => err(knex('tmp_guard').insert({ id }));
      const seen = [await insert(1), await insert(2)];
      await knex('retypes').insert({ v: 'text' });
      seen.push(await insert('x'), await insert('y'));
      await knex('retypes').insert({ v: 'int' });
      return [seen, await insert('x'), await insert(3)];
    },
  },
  {
    name: 'a view that writes, made in the test, in a transaction that is open beside another query',
    run: async ({ knex }) => {
      await knex.raw("create view later as select add_pa('later') as v");
      const t = await knex.transaction();
      await t('later').select();
      const seen = vs(knex);
      await sleep(20);
      await t.rollback();
      return [await seen, await vs(knex)];
    },
  },
];
