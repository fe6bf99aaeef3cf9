// DDL: noticed and named when a test does it, out of the way when the app's tools do.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import createKnex, { type Knex } from 'knex';
import type { Client } from 'pg';
import type { Snapshot } from '../../lib/snapshot';
import { full } from '../support/tiers';
import { type Ground, contents, differences, ground, servers } from './support';

const SCHEMA = `
  create type mood as enum ('sad', 'ok');
  create domain posint as int check (value > 0);
  create table users (id serial primary key, name text unique not null, mood mood, n posint);
  create table notes (id int generated always as identity primary key, user_id int references users on delete cascade, body text);
  create table parts (id int primary key) partition by range (id);
  create table parts_1 partition of parts for values from (0) to (10);
  create function f() returns int language sql as 'select 1';
  insert into users (name, mood, n) values ('ann', 'ok', 1), ('bob', 'sad', 2);
  insert into notes (user_id, body) values (1, 'hello');
  insert into parts values (1);
  grant usage on schema public to APP_ROLE;
`;

for (const server of servers()) {
  for (const role of ['superuser', 'owner'] as const) {
    describe(`a change of the schema, on ${server.name}, as ${role}`, () => {
      let place: Ground;
      let snapshot: Snapshot;
      let app: Client;
      beforeEach(async () => {
        place = await ground({ server: server.url(), role }, SCHEMA);
        snapshot = await place.snapshot();
        await snapshot.take();
        app = await place.connect();
      });
      afterEach(() => place.drop());

      for (const [i, [ddl, words]] of (
        [
          ['create table newt (id serial)', 'table public.newt was created'],
          ['alter table users add column extra int', 'table public.users was altered (now: column extra integer)'],
          ['alter table notes drop column body', 'table public.notes was altered (before: column body text)'],
          [
            `alter table users alter name set default 'd'`,
            `table public.users was altered (now: column name text not null default 'd'::text; before: column name text not null)`,
          ],
          ['alter table notes rename to remarks', 'table public.notes is now public.remarks'],
          ['drop table notes', 'table public.notes was dropped'],
          [`alter type mood add value 'new'`, `type public.mood was altered (now: label 'new')`],
          ['create function ff() returns int language sql as $$ select 1 $$', 'function public.ff() was created'],
          [
            'create or replace function f() returns int language sql as $$ select 2 $$',
            'function public.f() was altered',
          ],
          ['grant select on users to public', 'table public.users was altered'],
          ['create index on notes (body)', 'table public.notes was altered (now: index CREATE INDEX notes_body_idx'],
          ['create view v as select 1 as x', 'view public.v was created'],
          ['create table parts_2 partition of parts for values from (10) to (20)', 'table public.parts_2 was created'],
          ['create schema other', 'schema other was created'],
          [
            'create trigger t before update on notes for each row execute function suppress_redundant_updates_trigger()',
            'table public.notes was altered (now: trigger O CREATE TRIGGER t BEFORE UPDATE',
          ],
          ['create policy p on notes using (true)', 'table public.notes was altered (now: policy p'],
          [
            'create rule r as on delete to notes do also nothing',
            'table public.notes was altered (now: rule O CREATE RULE r',
          ],
          [
            'alter table notes add check (id > 0)',
            'table public.notes was altered (now: constraint notes_id_check CHECK',
          ],
          ['alter table notes enable row level security', 'row security'],
          ['alter table notes set (fillfactor = 50)', '{fillfactor=50}'],
          [
            'alter table parts detach partition parts_1',
            'table public.parts_1 was altered (before: parent public.parts FOR',
          ],
          [
            'alter sequence users_id_seq increment 2',
            'sequence public.users_id_seq was altered (now: sequence integer 1 2',
          ],
          [
            'alter domain posint add check (value < 99)',
            'type public.posint was altered (now: constraint posint_check1',
          ],
          [
            `do $$ begin for n in 10..32 loop execute format('create schema s%s', n); end loop; end $$`,
            'schema s29 was created; and 3 more',
          ],
          [
            'drop table notes; create table notes (id int)',
            'table public.notes was created; table public.notes was dropped',
          ],
        ] as const
      ).entries()) {
        it(`is named once: ${ddl}${full(role === 'superuser' && i % 2 > 0)}`, async () => {
          await app.query(ddl);
          assert.ok((await snapshot.touched()).includes('the schema'));
          const { schemaChange } = await snapshot.restore();
          assert.ok(schemaChange?.includes(words), schemaChange);
          assert.equal((await snapshot.restore()).schemaChange, undefined);
        });
      }

      describe(`, whatever else${full(role === 'superuser')},`, () => {
        it('is none if it is rolled back, undone by the test, or temporary', async () => {
          for (const sql of [
            'begin; create table rb (x int); rollback',
            'create table rb (x int); drop table rb',
            'alter table users add column x int; alter table users drop column x',
            'create temp table rb (x int)',
            'truncate notes restart identity',
            `comment on table users is 'x'`,
          ]) {
            await app.query(sql);
            assert.equal((await snapshot.restore()).schemaChange, undefined, sql);
            assert.deepEqual(await snapshot.verify(), [], sql);
          }
        });

        it('is none where a materialized view is refreshed, which gives it a new TOAST table', async () => {
          await app.query('create materialized view names as select name from users');
          await snapshot.take();
          await app.query('refresh materialized view names');
          assert.deepEqual(await snapshot.touched(), ['materialized view public.names']);
          await snapshot.restore();
          assert.deepEqual(await snapshot.touched(), []);
        });

        it('does not keep what else the test did from being undone', async () => {
          const before = await contents(place.observer);
          await app.query(`
          alter table users add column extra int; delete from users; insert into users (name, extra) values ('x', 1);
          create table newt (id int); insert into newt values (1)`);
          await snapshot.restore();
          assert.deepEqual(
            (await app.query<{ name: string; extra: number | null }>('select name, extra from users order by id')).rows,
            [
              { name: 'ann', extra: null },
              { name: 'bob', extra: null },
            ],
          );
          assert.deepEqual(differences(before, await contents(place.observer)).sort(), ['newt', 'users']);
          await app.query(`insert into newt values (2); delete from users`);
          await snapshot.restore();
          assert.equal((await app.query('select from newt')).rowCount, 1, 'a new table stays as the test left it');
          assert.equal((await app.query('select from users')).rowCount, 2);
        });

        it('that nothing can be put back into leaves that table as it is, and restores the others', async () => {
          await app.query(`alter table notes alter body type int using 1, alter body set not null; update notes set body = 2;
          delete from notes; insert into users (name) values ('cy')`);
          assert.match((await snapshot.restore()).schemaChange ?? '', /table public.notes was altered/);
          assert.equal((await app.query('select from users')).rowCount, 2);
          await app.query("insert into users (name) values ('cy'); insert into notes (body) values (3)");
          await snapshot.restore();
          assert.equal((await app.query('select from users')).rowCount, 2);
        });

        it('is noticed after restores that had nothing to do, and by a transaction that was running then', async () => {
          for (let i = 0; i < 3; i++) assert.equal((await snapshot.restore()).schemaChange, undefined);
          await app.query('begin; create table newt (id int)');
          for (let i = 0; i < 3; i++) assert.equal((await snapshot.restore()).schemaChange, undefined);
          await app.query('commit');
          assert.match((await snapshot.restore()).schemaChange ?? '', /table public.newt was created/);
          assert.equal((await snapshot.restore()).schemaChange, undefined);
          await app.query('drop table newt');
          assert.equal((await snapshot.restore()).schemaChange, undefined);
          await app.query('create view v as select 1 as x');
          assert.match((await snapshot.restore()).schemaChange ?? '', /view public.v was created/);
        });

        it('that drops a column loses its values, and no more', async () => {
          await app.query('delete from users');
          await snapshot.restore();
          await app.query('alter table users drop column mood; delete from users');
          await snapshot.restore();
          assert.deepEqual((await app.query('select name, n from users order by id')).rows, [
            { name: 'ann', n: 1 },
            { name: 'bob', n: 2 },
          ]);
        });

        it('by fixtures that switch triggers off and on is healed', async () => {
          const before = await contents(place.observer);
          await app.query(
            `alter table notes disable trigger user; delete from notes; alter table notes enable trigger user`,
          );
          assert.equal((await snapshot.restore()).schemaChange, undefined);
          assert.deepEqual(differences(before, await contents(place.observer)), []);
          await app.query(`insert into notes (body) values ('counted again')`);
          assert.deepEqual(await snapshot.touched(), ['public.notes', 'sequence public.notes_id_seq']);
          await app.query('alter table notes disable trigger user; delete from notes');
          await snapshot.restore();
          await place.observer.query(`set session_replication_role = 'replica'; delete from notes`);
          assert.deepEqual(await snapshot.touched(), ['public.notes'], 'in any session');
          await snapshot.restore();
          assert.deepEqual(differences(before, await contents(place.observer)), []);
        });

        it('by another role, whose tables are not ours to watch, is named, and keeps nothing from being restored', async () => {
          await place.observer.query(`create table theirs (id int); insert into theirs values (1); delete from users`);
          assert.match((await snapshot.restore()).schemaChange ?? '', /table public.theirs was created/);
          assert.equal((await app.query('select from users')).rowCount, 2);
        });

        for (const [what, ddl] of [
          ['a column dropped and added', 'alter table notes drop column body; alter table notes add column body text'],
          ['a table written anew', 'alter table notes alter body type text using upper(body)'],
          [
            'names of columns that were swapped',
            'alter table swaps rename a to c; alter table swaps rename b to a; alter table swaps rename c to b',
          ],
        ] as const) {
          it(`that leaves no trace but in the rows is undone there: ${what}`, async () => {
            await app.query(
              `create table swaps (id int primary key, a text, b text); insert into swaps values (1, 'a', 'b')`,
            );
            await snapshot.take();
            const rows = async (): Promise<unknown> =>
              (await app.query('select * from users, notes, swaps order by users.id')).rows;
            const before = await rows();
            await app.query(ddl);
            assert.notDeepEqual(await rows(), before);
            assert.equal((await snapshot.restore()).schemaChange, undefined);
            assert.deepEqual(await rows(), before);
            assert.deepEqual(await snapshot.verify(), []);
            await app.query(ddl);
            await snapshot.push();
            const suite = await rows();
            await app.query('delete from notes; delete from swaps');
            await snapshot.restore();
            assert.deepEqual(await rows(), suite);
            await snapshot.pop();
            assert.deepEqual(await rows(), before);
            await snapshot.close();
            await app.query(ddl);
            const between = await rows();
            await snapshot.take();
            await app.query('delete from notes; delete from swaps');
            await snapshot.restore();
            assert.deepEqual(await rows(), between);
          });
        }

        for (const [what, ddl] of [
          ['a column dropped and added', 'alter table notes drop column body; alter table notes add column body text'],
          [
            'rows written while triggers were off',
            'alter table notes disable trigger user; delete from notes; alter table notes enable trigger user',
          ],
        ] as const) {
          it(`that a journal can't undo is named: ${what}`, async () => {
            await snapshot.close();
            const journalled = await place.snapshot({ journalAbove: 0, kept: 'ignore' });
            await journalled.take();
            const before = await contents(place.observer);
            await app.query('alter table notes disable trigger user; alter table notes enable trigger user');
            await app.query('vacuum full notes');
            assert.equal((await journalled.restore()).schemaChange, undefined, 'no row was changed');
            await app.query(`insert into notes (body) values ('in the journal')`);
            await journalled.restore();
            assert.deepEqual(differences(before, await contents(place.observer)), []);
            await app.query(ddl);
            assert.match(
              (await journalled.restore()).schemaChange ?? '',
              /public.notes was altered, or its triggers were off, and not all of its rows can be brought back/,
            );
            assert.equal((await journalled.restore()).schemaChange, undefined);
            assert.deepEqual(
              (await journalled.verify()).map((d) => d.name),
              ['public.notes'],
            );
          });
        }

        it('made by before hooks is part of their checkpoint', async () => {
          await app.query(
            `create table fixture (id serial primary key, v text); insert into fixture (v) values ('a'); alter table notes add column extra mood; update notes set extra = 'ok'`,
          );
          await snapshot.push();
          await app.query(`truncate fixture; delete from notes; insert into users (name) values ('cy')`);
          const restored = await snapshot.restore();
          assert.equal(restored.schemaChange, undefined);
          assert.deepEqual((await app.query('select v from fixture')).rows, [{ v: 'a' }]);
          assert.deepEqual((await app.query('select body, extra from notes')).rows, [{ body: 'hello', extra: 'ok' }]);
          await app.query('drop table fixture; alter table notes drop column extra');
          assert.equal((await snapshot.pop()).schemaChange, undefined, 'the after hook has undone it');
          assert.deepEqual(await snapshot.verify(), []);
        });

        it('that before hooks leave behind is named when their checkpoint goes', async () => {
          await app.query('create table fixture (id int)');
          await snapshot.push();
          assert.match((await snapshot.pop()).schemaChange ?? '', /table public.fixture was created/);
        });

        it('between runs makes the next baseline', async () => {
          await snapshot.close();
          await app.query(`
          alter table users drop column mood, add column age int default 7, alter n type text; drop table notes; drop type mood;
          create table newt (id int primary key); insert into newt values (1)`);
          const next = await place.snapshot();
          assert.equal(await next.recover(), undefined);
          await next.take();
          const baseline = await contents(place.observer);
          await app.query(`update users set age = 1, n = 'text'; truncate newt`);
          assert.equal((await next.restore()).schemaChange, undefined);
          assert.deepEqual(differences(baseline, await contents(place.observer)), []);
          assert.deepEqual(await next.verify(), []);
        });
      });
    });
  }
}

describe("the app's tools", () => {
  let place: Ground;
  let snapshot: Snapshot;
  let knex: Knex;
  beforeEach(async () => {
    place = await ground({ server: servers()[0]!.url(), role: 'owner' }, SCHEMA);
    snapshot = await place.snapshot();
    await snapshot.take();
    knex = createKnex({ client: 'pg', connection: place.url, pool: { min: 0, max: 2 } });
  });
  afterEach(async () => {
    await knex.destroy();
    await place.drop();
  });

  it('migrate up and down over our triggers, types and domains included', async () => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'rewind-migrations-'));
    fs.writeFileSync(
      path.join(dir, '1.js'),
      `exports.up = async (knex) => {
         await knex.schema.alterTable('users', (t) => { t.string('email'); t.text('name').notNullable().alter(); });
         await knex.raw('alter table users alter id type bigint');
         await knex.schema.renameTable('notes', 'remarks');
         await knex.raw('update users set n = n + 10');
         await knex.raw('alter domain posint add constraint more check (value > 10)');
         await knex.raw('alter table users drop column mood');
         await knex.raw('drop type mood');
         await knex.schema.createTable('added', (t) => { t.increments(); });
       };
       exports.down = async (knex) => {
         await knex.schema.dropTable('added');
         await knex.schema.dropTable('remarks');
         await knex.raw('drop table users cascade; drop domain posint; drop table parts');
       };`,
    );
    try {
      const journals = await place.snapshot({ journalAbove: 1, kept: 'ignore' });
      await snapshot.close();
      await journals.take();
      assert.deepEqual((await journals.status()).journalled, ['public.users']);
      const migrations = { directory: dir };
      await knex.migrate.latest(migrations);
      await knex.migrate.rollback(migrations);
      assert.equal(await knex.schema.hasTable('users'), false);
      await journals.close();
      const next = await place.snapshot();
      await next.recover();
      await next.take();
      assert.deepEqual(await next.verify(), []);
    } finally {
      fs.rmSync(dir, { recursive: true });
    }
  });

  it('see their own tables and columns, and nothing of ours in their schema', async () => {
    assert.equal(await knex.schema.hasTable('users'), true);
    assert.deepEqual(Object.keys(await knex('users').columnInfo()), ['id', 'name', 'mood', 'n']);
    const { rows } = await knex.raw<{ rows: { table_name: string }[] }>(
      'select table_name from information_schema.tables where table_schema = current_schema() order by 1',
    );
    assert.deepEqual(
      rows.map((r) => r.table_name),
      ['notes', 'parts', 'parts_1', 'users'],
    );
    const plan = await knex.raw<{ rows: Record<string, string>[] }>(
      'explain (analyze, costs off, timing off, summary off) update users set n = n',
    );
    assert.doesNotMatch(JSON.stringify(plan.rows), /rewind/);
  });

  it('drop and make the schema anew', async () => {
    await knex.raw(
      'drop schema public cascade; create schema public; create table users (id int primary key); insert into users values (1)',
    );
    await snapshot.close();
    const next = await place.snapshot();
    await next.recover();
    await next.take();
    await knex('users').del();
    await next.restore();
    assert.deepEqual(await knex('users').select(), [{ id: 1 }]);
  });

  describe('can dump the app without us', () => {
    // An older pg_dump refuses a newer server.
    const run = (program: string, args: string[], input = ''): string => {
      const { stdout, stderr, status } = spawnSync(program, args, { encoding: 'utf8', input });
      assert.equal(status, 0, stderr);
      return stdout;
    };
    beforeEach(async function () {
      const found = spawnSync('pg_dump', ['--version'], { encoding: 'utf8' });
      const { rows } = await place.observer.query<{ version: number }>(
        `select current_setting('server_version_num')::int / 10000 as version`,
      );
      if (found.status !== 0 || !found.stdout.includes(` ${rows[0]?.version}.`)) this.skip();
    });

    it('after remove()', async () => {
      const dump = (): string => run('pg_dump', ['--schema-only', '--exclude-schema=rewind', place.url]);
      assert.match(dump(), /rewind_counter/, 'the triggers are on the app’s tables: they are in a dump while we are');
      await snapshot.remove();
      assert.doesNotMatch(dump(), /rewind/);
    });

    it('with a list of contents that leaves us out', () => {
      const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'rewind-dump-'));
      try {
        const [dump, list] = [path.join(directory, 'app.dump'), path.join(directory, 'list')];
        run('pg_dump', ['--format=custom', '--exclude-schema=rewind', `--file=${dump}`, place.url]);
        const contents = run('pg_restore', ['--list', dump]);
        assert.match(contents, /rewind_/);
        fs.writeFileSync(list, run('grep', ['-v', ' rewind_'], contents));
        const restored = run('pg_restore', [`--use-list=${list}`, '--file=-', dump]);
        assert.match(restored, /CREATE TABLE public.users/);
        assert.doesNotMatch(restored, /rewind/);
      } finally {
        fs.rmSync(directory, { recursive: true });
      }
    });
  });
});
