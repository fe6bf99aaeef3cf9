// Other sessions: those that hold on to what has to be restored, those that write late, and another run.
import assert from 'node:assert/strict';
import type { Client } from 'pg';
import { RewindError } from '../../lib/errors';
import type { Snapshot } from '../../lib/snapshot';
import { serverUrl } from '../support/database';
import { type Ground, contents, differences, ground } from './support';
import { full } from '../support/tiers';

const SCHEMA = `
  create table users (id serial primary key, name text unique not null);
  create table notes (id int generated always as identity primary key, user_id int references users on delete cascade, body text);
  create table parts (id int primary key) partition by range (id);
  create table parts_1 partition of parts for values from (0) to (100);
  create table zz_last (id int primary key);
  insert into users (name) values ('ann'), ('bob');
`;

for (const role of ['superuser', 'owner'] as const) {
  describe(`other sessions, as ${role}${full(role !== 'superuser')}`, () => {
    let place: Ground;
    let snapshot: Snapshot;
    let baseline: Record<string, string>;
    beforeEach(async () => {
      place = await ground({ server: serverUrl(), role }, SCHEMA);
      snapshot = await place.snapshot({ patienceMs: 300 });
      await snapshot.take();
      baseline = await contents(place.observer);
    });
    afterEach(() => place.drop());
    const isBaseline = async (): Promise<void> =>
      assert.deepEqual(differences(baseline, await contents(place.observer)), []);

    it('that hold a transaction open are named, and ended when patience has run out', async () => {
      const leaking = await place.connect({ application: 'shop api' });
      await leaking.query('begin');
      await leaking.query(`update users set name = 'leaked' where id = 1`);
      const { blockers } = await snapshot.restore();
      assert.deepEqual(
        blockers.map(({ pid, openSince: _openSince, ...rest }) => ({ ...rest, pid: pid > 0 })),
        [
          {
            application: 'shop api',
            state: 'idle in transaction',
            query: `update users set name = 'leaked' where id = 1`,
            ended: true,
            pid: true,
          },
        ],
      );
      await assert.rejects(leaking.query('select 1'));
      await isBaseline();
    });

    it('that hold locks, but stand in nobody’s way, are left alone beside those that do', async () => {
      const [guilty, waiting, innocent, app] = await Promise.all([1, 2, 3, 4].map(() => place.connect()));
      assert.ok(guilty && waiting && innocent && app);
      await app.query(`update users set name = name || '!'`);
      await innocent.query(`begin; lock table users in row share mode; select from notes for update`);
      await guilty.query('begin; lock table users in share mode');
      const inLine = waiting.query(`update users set name = 'waits' where id = 1`);
      await waitingForLock(place, 'app');
      const { blockers } = await snapshot.restore();
      assert.deepEqual(
        blockers.filter((b) => b.ended).map((b) => b.query),
        ['begin; lock table users in share mode'],
      );
      await innocent.query('select 1');
      await inLine;
    });

    it('that only locked rows, or a table, are found too', async () => {
      const [rows, table, app] = [await place.connect(), await place.connect(), await place.connect()];
      await app.query(`update users set name = name || '!'; insert into notes (body) values ('x')`);
      await rows.query('begin; select * from users where id = 1 for update');
      await table.query('begin; lock table notes in share mode');
      const { blockers } = await snapshot.restore();
      assert.equal(blockers.filter((b) => b.ended).length, 2);
      await isBaseline();
    });

    it('that end in time are waited for, and left alone', async () => {
      place.notes.length = 0;
      const patient = await place.snapshot({ patienceMs: 10_000 });
      await snapshot.close();
      await patient.take();
      const slow = await place.connect();
      await slow.query(`begin; insert into users (name) values ('slow')`);
      const restoring = patient.restore();
      await waitingForLock(place, 'mocha-rewind');
      await slow.query('commit');
      const { blockers } = await restoring;
      assert.ok(blockers.every((b) => !b.ended));
      await slow.query('select 1');
      await isBaseline();
    });

    it('that had to be ended or waited for while the baseline was taken, or it was removed, are named', async () => {
      const named = (did: string, application: string, sql: string): string =>
        `${did}, because the snapshot needs a table that it had locked: session PID ("${application}", idle in transaction): ${sql}`;
      const steps: (() => Promise<unknown>)[] = [
        async () => {
          await snapshot.close();
          await snapshot.take();
        },
        () => snapshot.remove(),
        () => snapshot.take(),
      ];
      for (const step of steps) {
        place.notes.length = 0;
        const outside = await place.connect({ application: 'import' });
        await outside.query(`begin; insert into users (name) values ('an hour of work')`);
        await step();
        const told = place.notes.map((sentence) => sentence.replace(/session \d+/, 'session PID'));
        assert.deepEqual(told, [
          named('ended', 'import', `begin; insert into users (name) values ('an hour of work')`),
        ]);
        await assert.rejects(outside.query('commit'), 'it has been ended');
      }
      await snapshot.close();
      place.notes.length = 0;
      const patient = await place.snapshot({ patienceMs: 10_000 });
      const slow = await place.connect({ application: 'slow' });
      await slow.query(`begin; insert into users (name) values ('slow')`);
      const taking = patient.take();
      await waitingForLock(place, 'mocha-rewind');
      // Longer than two waits for a lock: see deadlock_timeout in lib/snapshot/session.ts.
      await place.observer.query(`select pg_sleep(${role === 'superuser' ? 1 : 3})`);
      await slow.query('commit');
      await taking;
      const told = place.notes.map((sentence) => sentence.replace(/session \d+/, 'session PID'));
      assert.deepEqual(told, [named('waited for', 'slow', `begin; insert into users (name) values ('slow')`)]);
    });

    it('that are writing when a checkpoint is made, or a baseline, are not in it', async () => {
      const takeAgain = async (): Promise<void> => {
        await snapshot.close();
        await snapshot.take();
      };
      for (const step of [() => snapshot.push(), takeAgain]) {
        const late = await place.connect();
        await late.query(`begin; insert into users (name) values ('late')`);
        await step();
        await assert.rejects(late.query('commit'), 'it has been ended');
        assert.deepEqual(await snapshot.verify(), []);
        assert.equal((await place.observer.query('select from users')).rowCount, 2);
      }
    });

    if (role === 'owner')
      it('that our role may not end are named, and not waited for for ever', async () => {
        const app = await place.connect();
        await app.query(`update users set name = name || '!'`);
        await place.observer.query('begin; lock table users in share mode');
        await assert.rejects(snapshot.restore(), (error: unknown) => {
          assert.ok(error instanceof RewindError && error.code === 'REWIND_RESTORE');
          assert.match(
            error.problem,
            /^A table could not be locked, because of session \d+ \("app"\): <insufficient privilege>$/,
          );
          return true;
        });
        await place.observer.query('rollback');
        await snapshot.restore();
        await isBaseline();
      });

    it('that only read are no trouble', async () => {
      const [reader, app] = [await place.connect(), await place.connect()];
      await reader.query('begin isolation level repeatable read; select * from users');
      await app.query('delete from users');
      assert.deepEqual((await snapshot.restore()).blockers, []);
      await isBaseline();
      assert.equal((await reader.query('select from users')).rowCount, 2);
    });

    it('that started before a restore and write after it are undone by the next', async () => {
      const [late, app] = [await place.connect(), await place.connect()];
      await late.query('begin; select pg_current_xact_id()');
      await app.query(`update users set name = 'x' where id = 1`);
      await snapshot.restore();
      await late.query(`update users set name = 'late' where id = 1; insert into notes (body) values ('late'); commit`);
      assert.deepEqual((await snapshot.touched()).slice(0, 2), ['public.notes', 'public.users']);
      await snapshot.restore();
      await isBaseline();
      await app.query(`update users set name = 'y' where id = 1`);
      await snapshot.restore();
      await isBaseline();
    });

    it('that were counted during a restore, and write when it is over, are not missed', async () => {
      const [app, holder, writer] = [await place.connect(), await place.connect(), await place.connect()];
      const patient = await place.snapshot({ patienceMs: 10_000 });
      await snapshot.close();
      await patient.take();
      await app.query('insert into parts values (1); insert into zz_last values (1)');
      await holder.query('begin; lock table zz_last in share mode');
      const restoring = patient.restore(); // has the partition's lock, waits for the last table's
      await waitingForLock(place, 'mocha-rewind');
      const writing = writer.query('insert into parts values (2)'); // counted on the parent, waits for the partition
      await waitingForLock(place, 'app');
      await holder.query('rollback');
      await restoring;
      await writing;
      assert.ok((await patient.touched()).includes('public.parts_1'));
      await patient.restore();
      await isBaseline();
    });

    it('that were counted on a partitioned table, and have yet to choose the partition, are waited for', async () => {
      const [holder, writer] = [await place.connect(), await place.connect()];
      const patient = await place.snapshot({ patienceMs: 10_000 });
      await snapshot.close();
      await patient.take();
      await holder.query('select pg_advisory_lock(1)');
      const writing = writer.query('insert into parts select 2 from (select pg_advisory_xact_lock(1)) held');
      await waitingForLock(place, 'app');
      const restoring = patient.restore();
      await waitingForLock(place, 'mocha-rewind');
      await holder.query('select pg_advisory_unlock(1)');
      await writing;
      await restoring;
      await patient.restore();
      await isBaseline();
    });

    it('that write all the time never spoil a baseline for good', async () => {
      let stop = false;
      const writers = await Promise.all([1, 2, 3].map(() => place.connect()));
      const writing = writers.map(async (client, w) => {
        for (let i = 0; !stop; i++) {
          await client
            .query(
              `insert into users (name) values ('w${w}-${i}'); delete from users where name like 'w${w}%' and id % 3 = 0`,
            )
            .catch(() => {});
        }
      });
      for (let i = 0; i < 40; i++) await snapshot.restore();
      stop = true;
      await Promise.all(writing);
      await snapshot.restore();
      await isBaseline();
      assert.deepEqual(await snapshot.verify(), []);
    });

    it('of another run are named after a wait, and their snapshot is left alone', async () => {
      const other = await place.snapshot({ patienceMs: 100 });
      for (const attempt of [() => other.take(), () => other.recover(), () => other.remove()]) {
        await assert.rejects(attempt, (error: unknown) => {
          assert.ok(error instanceof RewindError);
          assert.match(error.problem, /^Another run is using this database: session \d+ \("mocha-rewind"/);
          return true;
        });
      }
      const app: Client = await place.connect();
      await app.query('delete from users');
      await snapshot.restore();
      await isBaseline();
      await snapshot.close();
      await other.take();
      assert.equal(other.taken, true);
    });
  });
}

async function waitingForLock(place: Ground, application: string): Promise<void> {
  // Not for ever: on a slow machine the moment may have passed.
  for (let i = 0; i < 2000; i++) {
    const { rowCount } = await place.observer.query(
      `select from pg_stat_activity where datname = current_database() and application_name = $1 and wait_event_type = 'Lock'`,
      [application],
    );
    if (rowCount) return;
  }
}
