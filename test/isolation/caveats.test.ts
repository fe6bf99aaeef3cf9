// A failed test says what it was given otherwise than in production, where that was not refused.
import assert from 'node:assert/strict';
import { run } from '../support/run';
import { MANAGED, eachWithUsers } from '../support/users';

describe('what a rolled-back test can’t be given', () => {
  const given = eachWithUsers();

  it('is told where it fails, and only there', async () => {
    await given.database.query(`
      create table posts (id serial primary key, body text, at timestamptz default now());
      create view bodies as select body from posts;
      create view names_only as select name from users;
      create view "Fresh one" as select * from posts where at <= current_timestamp;
      create view fresh as select * from posts where at <= now();
      create function counted() returns bigint language plpgsql as
        $$ declare n bigint; begin execute 'select count(*) from posts where at <= now()' into n; return n; end $$;
      create policy late on posts using (at <= now());
    `);
    const outcome = await run(
      {
        'a.spec.js': `
          before(() => db('users').first());
          const fails = (title, work) => it(title, async () => { await work(); throw new Error('as it must'); });
          it('passes', async () => { await db('fresh'); await db.raw("notify a"); });
          fails('is told nothing', async () => {
            await db('users').insert({ name: 'now() and pg' });
            await db.raw("update users set name = 'refresh fresher'").catch(() => {});
            await db('posts').insert({ body: 'a' });
            await db('names_only').insert({ name: 'through a view' });
            await db.raw('select now(), clock_timestamp()');
            await db.raw('create table made (at timestamptz default now())');
          });
          fails('notifies', () => db.raw("select pg_notify('a', 'b')"));
          fails('reads a view', () => db('fresh'));
          fails('reads a view beside', () => db.raw('select now() from "Fresh one"'));
          fails('has a policy', () => db('posts'));
          fails('has a text executed', () => db.raw('select counted()'));
          fails('writes in a WITH', () => db.raw("with x as (insert into posts (body) values ('a') returning id) select id from x"));
          fails('writes a SELECT', () => db.raw("insert into posts (body) select name from users"));
          fails('writes through a view', () => db.raw("insert into bodies values ('b')"));
          fails('prepares', () => db.raw('select now() as n').options({ name: 'prepared' }));
          fails('has a literal', () => db.raw("select 'now'::timestamptz"));
          fails('does it again and again', async () => { for (let i = 0; i < 9; i++) await db.raw('notify a' + i); });
          describe('a hook', () => {
            before(async () => { await db.raw('notify hook'); throw new Error('as it must'); });
            it('is not reached', () => {});
          });
          fails('has its own time @truncate', () => db('fresh'));`,
      },
      { database: given.database, config: MANAGED },
    );
    const told = Object.fromEntries(
      Object.entries(outcome.failed).map(([title, message]) => [
        title,
        [...message.matchAll(/ - "(.{0,12}).*?" (sends a notification|asks for the time)/g)].map((m) =>
          m.slice(1).join('… '),
        ),
      ]),
    );
    assert.deepEqual(outcome.passed, ['passes'], outcome.output);
    assert.deepEqual(told, {
      'is told nothing': [],
      notifies: ['select pg_no… sends a notification'],
      'reads a view': ['select * fro… asks for the time'],
      'reads a view beside': ['select now()… asks for the time'],
      'has a policy': ['select * fro… asks for the time'],
      'has a text executed': ['select count… asks for the time'],
      'writes in a WITH': ['with x as (i… asks for the time'],
      'writes a SELECT': ['insert into … asks for the time'],
      'writes through a view': ['insert into … asks for the time'],
      prepares: ['select now()… asks for the time'],
      'has a literal': ["select 'now'… asks for the time"],
      'does it again and again': Array(3)
        .fill('notify a0… sends a notification')
        .map((s, i) => s.replace('0', String(i))),
      'a hook "before all" hook for "is not reached"': ['notify hook… sends a notification'],
      'has its own time @truncate': [],
    });
  });
});
