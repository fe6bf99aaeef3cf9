// Journals of large tables: what each row was, whatever a test did to it, to the table, or past its rights.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Client } from 'pg';
import type { Snapshot } from '../../lib/snapshot';
import { type Ground, contents, differences, ground, servers, versionOf } from './support';
import { SELF_WRITING } from './zoo';
import { full } from '../support/tiers';

// It comes without types.
const { from } = createRequire(__filename)('pg-copy-streams') as { from(sql: string): NodeJS.WritableStream };

const SCHEMA = `
  create table big (id int primary key, x text);
  insert into big select g, repeat('x', 1000) from generate_series(1, 2000) g;
  create table tree (id int primary key, x text) partition by range (id);
  create table tree_1 partition of tree for values from (0) to (1000);
  create table tree_2 partition of tree for values from (1000) to (9000);
  insert into tree select * from big;
  grant all on big to APP_ROLE;
`;

for (const server of servers()) {
  for (const role of ['superuser', 'owner'] as const) {
    describe(`a journal, on ${server.name}, as ${role}${full(role !== 'superuser')}`, () => {
      let place: Ground;
      let snapshot: Snapshot;
      let app: Client;
      let baseline: Record<string, string>;
      beforeEach(async () => {
        place = await ground({ server: server.url(), role }, SCHEMA);
        snapshot = await place.snapshot({ journalAbove: 1000, patienceMs: 300 });
        await snapshot.take();
        assert.deepEqual(await journalled(), ['public.big', 'public.tree']);
        baseline = await contents(place.observer);
        app = await place.connect();
      });
      afterEach(() => place.drop());
      const journalled = async (): Promise<readonly string[]> => (await snapshot.status()).journalled;
      const isBaseline = async (): Promise<void> => {
        assert.deepEqual(differences(baseline, await contents(place.observer)), []);
        assert.deepEqual(await snapshot.verify(), []);
      };
      /** Where the column has another name, its old image can't be written down. */
      const RENAMED = `alter table big rename x to y; update big set y = 'lost' where id = 1; alter table big rename y to x`;

      for (const table of ['big', 'tree']) {
        for (const [ddl, left, length] of [
          ['add column y int', '1,2,3', 1000],
          [`add column y int not null default 1; alter table ${table} alter y drop default`, '1,3', 1],
          [`drop constraint ${table}_pkey`, '1,3', 1],
        ] as const) {
          it(`of a table that was altered undoes what still fits: alter table ${table} ${ddl}`, async () => {
            await app.query(`delete from ${table} where id = 3`);
            await snapshot.restore(); // has made its function
            await app.query(
              `alter table ${table} ${ddl}; update ${table} set x = 'x' where id = 1; delete from ${table} where id = 2`,
            );
            for (const told of [new RegExp(`table public.${table} was altered`), /^$/]) {
              assert.match((await snapshot.restore()).schemaChange ?? '', told);
              const { rows } = await app.query<{ ids: string; length: number }>(
                `select string_agg(id::text, ',' order by id) as ids, length(min(x)) from ${table} where id < 4`,
              );
              assert.deepEqual(rows, [{ ids: left, length }]);
            }
          });
        }
      }

      it('of a table whose alteration was undone has lost nothing', async () => {
        for (const [ddl, undo] of [
          ['drop constraint big_pkey', 'add primary key (id)'],
          ['add column y int not null default 1; alter table big alter y drop default', 'drop column y'],
        ]) {
          await app.query(`alter table big ${ddl}; delete from big where id < 5`);
          await snapshot.restore();
          await app.query(`alter table big ${undo}; update big set x = 'x' where id = 6`);
          await snapshot.restore();
          await isBaseline();
        }
      });

      it('that could not be written is told once, and leaves the statement alone', async () => {
        await app.query(RENAMED);
        const { schemaChange } = await snapshot.restore();
        assert.equal(
          schemaChange,
          'public.big was altered, or its triggers were off, and not all of its rows can be brought back',
        );
        assert.equal((await snapshot.restore()).schemaChange, undefined);
        await app.query(`update big set x = 'y' where id = 2`);
        await snapshot.restore();
        assert.deepEqual((await app.query('select id from big where length(x) < 1000')).rows, [{ id: 1 }]);
      });

      it('that could not be written between two runs is begun anew', async () => {
        await snapshot.close();
        await app.query(RENAMED);
        await snapshot.take();
        baseline = await contents(place.observer);
        await isBaseline();
        await app.query(`delete from big`);
        assert.equal((await snapshot.restore()).schemaChange, undefined);
        await isBaseline();
      });

      it('gives place to copies, and they to it, as the table shrinks and grows from run to run', async () => {
        for (const [sql, isJournalled] of [
          [`${RENAMED.replaceAll('big', 'tree')}; delete from tree where id % 100 > 0`, false],
          [`insert into tree_2 select g, 'x' from generate_series(2001, 8000) g`, true],
          [`${RENAMED.replaceAll('big', 'tree')}; delete from tree where id % 100 > 0`, false],
        ] as const) {
          await snapshot.close();
          await app.query(sql);
          await snapshot.take();
          assert.equal((await journalled()).includes('public.tree'), isJournalled);
          baseline = await contents(place.observer);
          await app.query(
            `update tree set x = 'y' where id = 100; delete from tree where id in (200, 1200); insert into tree values (201, 'y')`,
          );
          await snapshot.restore();
          await isBaseline();
          await app.query('delete from tree_1 where id = 300; delete from tree_2 where id = 1300');
          await snapshot.restore();
          await isBaseline();
        }
      });

      it('is undone when a transaction that writes to it has been ended', async () => {
        const leaking = await place.connect();
        await leaking.query(`begin; insert into big values (0, 'leaked')`);
        const { blockers } = await snapshot.restore();
        assert.deepEqual(
          blockers.map(({ ended }) => ended),
          [true],
        );
        await isBaseline();
      });

      it('is not settled, by a checkpoint or by the next run, while somebody is writing to it', async () => {
        const steps: Record<string, () => Promise<unknown>> = {
          checkpoint: () => snapshot.push(),
          run: async () => {
            await snapshot.close();
            await snapshot.take();
          },
        };
        for (const step of Object.values(steps)) {
          const late = await place.connect();
          await late.query(`begin; insert into big values (0, 'late')`);
          await step();
          await assert.rejects(late.query('commit'), 'its session has been ended');
          await isBaseline();
        }
      });

      it('keeps what the checkpoints below need, though it has grown large', async () => {
        await app.query(`update big set x = 'suite' where id <= 10`);
        await snapshot.push();
        const suite = await contents(place.observer);
        await app.query(`update big set x = repeat('y', 1000)`);
        await snapshot.restore();
        assert.deepEqual(differences(suite, await contents(place.observer)), []);
        await snapshot.pop();
        await isBaseline();
      });

      it('has what triggers, cascades and rules write to the very table that a statement writes to', async () => {
        await place.drop();
        place = await ground({ server: server.url(), role }, SELF_WRITING);
        snapshot = await place.snapshot({ journalAbove: 1 });
        await snapshot.take();
        const tables = ['later', 'latest', 'nodes', 'ranked', 'ruled', 'slices', 'stamped'];
        assert.deepEqual(
          await journalled(),
          tables.map((name) => `public.${name}`),
        );
        baseline = await contents(place.observer);
        app = await place.connect();
        const copy = async (table: string, rows: string): Promise<void> => {
          const stream = from(`copy ${table} from stdin`);
          app.query(stream as never);
          await pipeline(Readable.from(rows), stream);
        };
        const statements = [
          `insert into stamped (v) values ('new')`,
          `update stamped set v = 'changed' where id = 7`,
          `with gone as (delete from stamped where id < 4 returning *), changed as (update stamped set v = 'w' where id < 7 and id > 3 returning *)
             insert into stamped (id, v) select id + 100, v from changed union all select id, 'again' from gone where id > 50`,
          `with a as (update latest set v = 'a' where id = 1), b as (update latest set v = 'b' where id = 2) insert into latest values (3, 'c'), (30, 'd')`,
          `insert into latest values (2, 'replaced'), (3, 'replaced'), (2, 'again')`,
          `insert into latest values (4, 'x') on conflict (id) do update set v = 'y'`,
          `update ranked set id = id + 100 where id = 3; delete from ranked where id = 5; insert into ranked values (0)`,
          'delete from nodes where id = 2; insert into nodes values (9, 1)',
          'update nodes set id = 20 where id = 2',
          'update later set v = 5 where id = 1; insert into later values (9, 3)',
          `insert into ruled values (7, 'n'), (8, 'm'); delete from ruled`,
          'insert into slices values (0, 9) on conflict (id) do update set v = 8; update slices set v = 7 where id in (1, 20)',
          'truncate stamped restart identity; insert into stamped (id, v) values (3, $$a$$), (77, $$b$$)',
          ...((await versionOf(server.url())) < 150000
            ? []
            : [
                `merge into latest l using generate_series(3, 9) g on l.id = g
               when matched and l.id = 3 then delete when matched then update set v = 'm' when not matched then insert values (g, 'n')`,
              ]),
        ];
        const changes: [string, () => Promise<unknown>][] = statements.map((sql) => [sql, () => app.query(sql)]);
        changes.push(
          ['copy', () => copy('stamped (v)', 'copied\nmore\n')],
          ['copy over rows', () => copy('latest (id, v)', '2\tcopied\n3\tmore\n9\tx\n')],
        );
        for (const [what, change] of changes) {
          await change();
          const wrong = differences(baseline, await contents(place.observer)).map((name) => name.replace(/_\d$/, ''));
          const expected = tables.filter((name) => wrong.includes(name)).map((name) => `public.${name}`);
          assert.notDeepEqual(expected, [], what);
          const seen = (await snapshot.look([])).differences.map(({ name }) => name);
          assert.deepEqual(seen, expected, what);
          await snapshot.restore();
          assert.deepEqual(differences(baseline, await contents(place.observer)), [], what);
        }
        for (const [, change] of changes.slice(0, 6)) await change();
        await snapshot.push();
        const suite = await contents(place.observer);
        for (const [, change] of changes.slice(3)) await change();
        await snapshot.restore();
        assert.deepEqual(differences(suite, await contents(place.observer)), []);
        await snapshot.pop();
        await isBaseline();
      });

      it('that would not be exact is none: the table is copied, and named with the reason', async () => {
        await place.drop();
        place = await ground(
          { server: server.url(), role },
          `create table keyless (v int); create table unlogged_one (id int primary key); alter table unlogged_one set unlogged;
           create table parent (id int primary key); create table child () inherits (parent); create table odd (id int primary key, n int);
           create table fine (id int primary key); create table few (v int);
           insert into keyless select generate_series(1, 9); insert into unlogged_one select generate_series(1, 9); insert into fine select generate_series(1, 9);
           insert into parent select generate_series(1, 9); insert into odd select g, g from generate_series(1, 9) g; insert into few values (1);
           alter table odd add check (n > 5) not valid`,
        );
        snapshot = await place.snapshot({ journalAbove: 5 });
        await snapshot.take();
        assert.deepEqual(await journalled(), ['public.fine']);
        assert.deepEqual(place.notes, [
          'copied as a whole, and read as a whole after each test that has written to it, for no journal would be exact: public.keyless (9 rows; no primary key), ' +
            'public.odd (9 rows; a constraint that is NOT VALID), public.parent (9 rows; inheritance), public.unlogged_one (9 rows; UNLOGGED)',
        ]);
        app = await place.connect();
        await snapshot.remove();
        await app.query(`create function f() returns trigger language plpgsql as $$ begin delete from fine where id = 2; return null; end $$;
          create trigger f before truncate on few for each statement execute function f()`);
        await snapshot.take();
        assert.deepEqual(await journalled(), []);
        assert.match(place.notes.join(), /public.fine \(9 rows; a trigger BEFORE TRUNCATE\)/);
        baseline = await contents(place.observer);
        await app.query(
          'insert into fine values (2) on conflict do nothing; insert into fine values (20); truncate fine, few',
        );
        await snapshot.restore();
        await isBaseline();
      });

      it('has the writes of sessions that fire no ordinary trigger, and of roles without rights on it', async function () {
        const stranger = await place.connect({ role: place.appRole });
        await stranger.query(`update big set x = 'y' where id = 3; delete from big where id = 4`);
        await snapshot.restore();
        await isBaseline();
        await place.observer.query(
          `set session_replication_role = 'replica'; delete from big where id = 5; update big set x = 'y' where id = 6; insert into big values (0, 'z')`,
        );
        await snapshot.restore();
        await isBaseline();
        await place.observer.query('truncate big');
        await snapshot.restore();
        await isBaseline();
      });
    });
  }
}
