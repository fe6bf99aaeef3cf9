// What is committed from outside, told from what a sandbox writes: seen without a lock, and repaired under its transaction.
import assert from 'node:assert/strict';
import type { Client } from 'pg';
import { RewindError } from '../../lib/errors';
import type { Snapshot } from '../../lib/snapshot';
import { type Ground, type Role, contents, differences, ground, servers, versionOf } from './support';
import { full } from '../support/tiers';

const SCHEMA = `
  create table users (id serial primary key, name text unique not null, age int);
  create table notes (id int generated always as identity primary key, user_id int references users on delete cascade, body text);
  create table keyless (x json);
  create table parts (id int primary key, x text) partition by range (id);
  create table parts_1 partition of parts for values from (0) to (100);
  create table big (id int primary key, x text);
  insert into users (name) values ('ann'), ('bob');
  insert into notes (user_id, body) values (1, 'a'), (2, 'b');
  insert into keyless values ('{}'), ('{"a": 1}');
  insert into parts values (1, 'x');
  insert into big select i, 'x' from generate_series(1, 500) i;
  create materialized view names as select name from users;
  select lo_from_bytea(99001, '\\x01'), lo_from_bytea(99002, '\\x02');
`;

for (const server of servers()) {
  for (const role of ['superuser', 'granted', 'owner'] satisfies Role[]) {
    describe(`writes from outside, on ${server.name} as ${role}${full(role !== 'superuser')}`, () => {
      let place: Ground;
      let snapshot: Snapshot;
      let baseline: Record<string, string>;
      let sandbox: Client;
      let app: Client;
      before(async function () {
        if (role === 'granted' && (await versionOf(server.url())) < 150000) this.skip(); // GRANT ON PARAMETER
      });
      beforeEach(async () => {
        place = await ground({ server: server.url(), role }, SCHEMA);
        snapshot = await place.snapshot({ journalAbove: 400 });
        await snapshot.take();
        baseline = await contents(place.observer);
        sandbox = await place.connect();
        await sandbox.query(`set rewind.sandbox = 'on'`);
        app = await place.connect();
      });
      afterEach(() => place.drop());
      const pids = async (): Promise<number[]> => {
        const { rows } = await sandbox.query<{ pid: number }>('select pg_backend_pid() as pid');
        return rows.map(({ pid }) => pid);
      };
      const look = async (): ReturnType<Snapshot['look']> => snapshot.look(await pids());

      it('are counted once each time, those of a sandbox are not', async () => {
        assert.equal(await snapshot.wroteOutside(), false);
        await sandbox.query(
          `begin; insert into users (name) values ('cy'); truncate notes; update big set x = 'y'; rollback`,
        );
        assert.equal(await snapshot.wroteOutside(), false);
        await app.query(`update users set name = name`);
        assert.equal(await snapshot.wroteOutside(), true);
        assert.equal(await snapshot.wroteOutside(), false);
        await app.query(`begin; delete from big; rollback`);
        assert.equal(await snapshot.wroteOutside(), true);
        await app.query(`delete from big`);
        await snapshot.restore();
        assert.equal(await snapshot.wroteOutside(), false);
        await app.query(`insert into users (name) values ('cy')`);
        await snapshot.push();
        assert.equal(await snapshot.wroteOutside(), false);
        await snapshot.pop();
        assert.equal(await snapshot.wroteOutside(), false);
        await sandbox.query('begin; create table mine (id int); drop table mine; rollback');
        assert.equal(await snapshot.wroteOutside(), false);
        await app.query('create table theirs (id int)');
        // Who can't have event triggers finds it when he looks for other reasons.
        assert.equal(await snapshot.wroteOutside(), role === 'superuser');
      });

      it('are late where their transaction is older than the last restore, by the real clock', async function () {
        if ((await versionOf(server.url())) < 150000) this.skip();
        const late = async (): Promise<boolean> => (await snapshot.restore()).lateSince !== undefined;
        await place.observer.query(
          `create schema frozen; grant usage on schema frozen to public;
           create function frozen.now() returns timestamptz language sql as $$ select '2020-01-01'::timestamptz $$`,
        );
        await app.query('set search_path = frozen, public, pg_catalog');
        assert.equal((await app.query(`select now() < '2021-01-01' as frozen`)).rows[0].frozen, true);
        await snapshot.restore();
        await app.query(`begin; insert into users (name) values ('cy'); commit`);
        assert.equal(await late(), false);
        await app.query('begin; select from users');
        assert.equal(await late(), false, 'it has not written yet');
        await app.query(`insert into users (name) values ('cy'); commit`);
        assert.equal(await late(), true);
        assert.equal(await late(), false, 'told once');
        await place.observer.query(`select setval('rewind.restored_at', 1, false)`);
        await app.query(`insert into users (name) values ('cy')`);
        assert.equal(await late(), false, 'unknown, as after a crash of the server');
      });

      it('are seen by contents, table by table, whatever they were', async () => {
        await sandbox.query(
          `begin; insert into users (name) values ('cy'); delete from keyless; update big set x = 'z' where id = 9`,
        );
        await app.query(`
          insert into users (name) values ('di'), ('ed'); delete from notes where id = 1;
          insert into keyless values ('[]'); insert into parts values (2, 'y'); update parts set x = 'z' where id = 1;
          delete from big where id = 7; insert into big values (7, 'x'), (501, 'x'), (502, 'x'); delete from big where id = 501`);
        assert.deepEqual(await look(), {
          open: false,
          differences: [
            { name: 'public.big', extra: 1, missing: 0 },
            { name: 'public.keyless', extra: 1, missing: 0 },
            { name: 'public.notes', extra: 0, missing: 1 },
            { name: 'public.parts_1', extra: 2, missing: 1 },
            { name: 'public.users', extra: 2, missing: 0 },
          ],
        });
        assert.equal(await snapshot.wroteOutside(), false);
      });

      it('that changed a row of a large table count as one that is gone and one that is new', async () => {
        await app.query(`update big set x = 'y' where id <= 3; delete from big where id = 3`);
        assert.deepEqual((await look()).differences, [{ name: 'public.big', extra: 2, missing: 3 }]);
      });

      it('are not there as long as their transaction is open, or after it was rolled back', async () => {
        await app.query(`begin; insert into users (name) values ('di')`);
        assert.deepEqual(await look(), { open: true, differences: [] });
        await app.query('rollback');
        assert.deepEqual(await look(), { open: false, differences: [] });
        await sandbox.query(`begin; insert into users (name) values ('di')`);
        assert.deepEqual(await look(), { open: false, differences: [] });
      });

      it('to what a sandbox has locked for itself are looked at later', async () => {
        await app.query(`insert into notes (body) values ('x')`);
        await sandbox.query('begin; truncate notes');
        assert.deepEqual(await look(), { open: true, differences: [] });
        await sandbox.query('rollback');
        assert.deepEqual((await look()).differences, [{ name: 'public.notes', extra: 1, missing: 0 }]);
      });

      it('are repaired while a sandbox holds other rows, and its own stay', async () => {
        await sandbox.query(`begin; insert into users (name) values ('cy'); insert into notes (body) values ('c')`);
        await app.query(
          `insert into users (name) values ('di'); delete from users where id = 1; update parts set x = 'y'`,
        );
        const names = (await look()).differences.map(({ name }) => name);
        assert.deepEqual(names, ['public.notes', 'public.parts_1', 'public.users']);
        const repaired = await snapshot.repair(names);
        // Who can't switch triggers off has to lock the tables.
        assert.equal(repaired, role !== 'owner');
        if (repaired) {
          const { rows } = await sandbox.query('select name from users order by name');
          assert.deepEqual(
            rows.map(({ name }: { name: string }) => name),
            ['ann', 'bob', 'cy'],
          );
        }
        await sandbox.query('rollback');
        assert.equal(await snapshot.repair(names), true);
        assert.deepEqual(await look(), { open: false, differences: [] });
        await snapshot.restore(); // the sequences
        assert.deepEqual(differences(baseline, await contents(place.observer)), []);
      });

      it('are repaired in tables without a key, and in large ones', async () => {
        await app.query(
          `delete from keyless where x::text = '{}'; update big set x = 'y'; insert into big values (501, 'y')`,
        );
        assert.equal(await snapshot.repair(['public.big', 'public.keyless']), true);
        assert.deepEqual(await look(), { open: false, differences: [] });
        assert.deepEqual(differences(baseline, await contents(place.observer)), []);
      });

      it('are left as they are where a sandbox has locked a row of them', async () => {
        await sandbox.query(`begin; select from users where id = 2 for key share`);
        await app.query('update users set age = 1 where id = 2');
        // An owner changes the row in place, which such a lock allows; else it is deleted, and comes from the copy.
        const repaired = role === 'owner';
        assert.equal(await snapshot.repair(['public.users']), repaired);
        assert.equal((await sandbox.query('select age from users where id = 2')).rows[0]?.age, repaired ? null : 1);
        await sandbox.query('rollback');
        assert.equal(await snapshot.repair(['public.users']), true);
      });

      it('are seen and repaired where no trigger counts them: in large objects and materialized views', async () => {
        const names = ['large object 99001', 'large object 99003', 'materialized view public.names'];
        await sandbox.query(`begin; select lo_unlink(99001); insert into users (name) values ('sandbox')`);
        await app.query(`refresh materialized view names`);
        assert.equal(await snapshot.wroteOutside(), true);
        assert.deepEqual(await look(), { open: false, differences: [] }, 'the same was in it before');
        assert.equal(await snapshot.wroteOutside(), false);
        await sandbox.query('rollback');
        await app.query(`select lo_unlink(99001)`);
        assert.equal(await snapshot.wroteOutside(), true);
        await app.query(`select lo_from_bytea(99003, '\\x03')`);
        assert.equal(await snapshot.wroteOutside(), true);
        await app.query(
          `begin; insert into users (name) values ('x'); refresh materialized view names; delete from users where name = 'x'; commit`,
        );
        await snapshot.wroteOutside();
        assert.deepEqual(
          (await look()).differences.map(({ name }) => name),
          names,
        );
        assert.equal(await snapshot.repair(names), true);
        assert.deepEqual(await look(), { open: false, differences: [] });
        await app.query(`select lo_put(99002, 0, '\\xff')`);
        assert.deepEqual(
          (await look()).differences.map(({ name }) => name),
          ['large object 99002'],
        );
        await snapshot.restore();
        await snapshot.wroteOutside();
        assert.equal(await snapshot.wroteOutside(), false);
        assert.deepEqual(differences(baseline, await contents(place.observer)), []);
      });

      it('are undone to the present checkpoint, not to the baseline', async () => {
        await app.query(`insert into users (name) values ('level')`);
        await snapshot.push();
        await app.query(`update users set name = 'x' where name = 'level'; insert into users (name) values ('y')`);
        assert.deepEqual((await look()).differences, [{ name: 'public.users', extra: 2, missing: 1 }]);
        assert.equal(await snapshot.repair(['public.users']), true);
        assert.deepEqual(
          (await app.query('select name from users order by id')).rows.map(({ name }: { name: string }) => name),
          ['ann', 'bob', 'level'],
        );
        await snapshot.restore();
        await snapshot.pop();
        assert.deepEqual(differences(baseline, await contents(place.observer)), []);
      });

      it('that can’t be repaired, not for a lock but for what the table has become, are an error that names it', async () => {
        await app.query(
          `alter table users add late int not null default 0; alter table users alter late drop default; delete from users where id = 1`,
        );
        await assert.rejects(snapshot.repair(['public.users', 'public.notes']), (error) => {
          assert.ok(error instanceof RewindError && error.code === 'REWIND_RESTORE', String(error));
          assert.match(error.problem, /^public\.users, public\.notes can't be repaired: null value in column "late"/);
          return true;
        });
      });

      it('that change the schema are told once, and end the worth of what would be kept', async () => {
        await snapshot.close();
        const options = { journalAbove: 400, fingerprint: 'migrations' };
        for (const [sql, told, isKept] of [
          ['select 1', undefined, true],
          ['alter table big add column y int', 'table public.big was altered (now: column y integer)', false],
        ] as const) {
          snapshot = await place.snapshot(options);
          await snapshot.take();
          await app.query(sql);
          assert.equal((await look()).schemaChange, told);
          assert.equal((await look()).schemaChange, undefined);
          assert.equal((await snapshot.restore()).schemaChange, undefined);
          await snapshot.close();
          snapshot = await place.snapshot(options);
          assert.equal(await snapshot.holdsKept(), isKept);
          await snapshot.close();
        }
      });

      it('to a table that was altered are for the next restore to report', async () => {
        await app.query(`alter table users drop column age; delete from users where id = 1`);
        assert.deepEqual(
          (await look()).differences.filter(({ name }) => name === 'public.users'),
          [],
        );
      });
    });
  }
}
