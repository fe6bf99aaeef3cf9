// A server that is killed, with and without fsync: once it runs again, the next run starts on the baseline.
import assert from 'node:assert/strict';
import type { Client } from 'pg';
import type { Snapshot } from '../../lib/snapshot';
import type { OwnConnection } from '../../lib/sql';
import { type FrailServer, startFrailServer } from '../support/frail-server';
import { createDatabase } from '../support/database';
import { type Outcome, assertGreen, run } from '../support/run';
import { full } from '../support/tiers';
import { USERS } from '../support/users';
import { type Ground, contents, differences, ground, own } from './support';

const SCHEMA = `
  create table users (id serial primary key, name text unique not null);
  create table notes (id int generated always as identity primary key, user_id int references users on delete cascade, body text);
  create table keyless (line text);
  create unlogged table sessions (id int primary key, x text);
  create table big (id int primary key, x text);
  create table last (id int primary key);
  create materialized view names as select name from users;
  insert into users (name) values ('ann'), ('bob');
  insert into notes (user_id, body) values (1, 'hello');
  insert into keyless values ('a'), ('a');
  insert into sessions select i, 'x' from generate_series(1, 50) i;
  insert into big select i, repeat('x', 200) from generate_series(1, 1200) i;
  insert into last values (1);
  refresh materialized view names;
  select lo_from_bytea(99001, '\\xdeadbeef');
`;

/** A test's work, in all tables but the last. */
const WORK = `
  delete from notes; update users set name = name || '!'; insert into users (name) values ('cy'); truncate keyless;
  update big set x = 'y'; delete from sessions where id < 10; update last set id = 2; select lo_unlink(99001);
  select nextval('notes_id_seq')`;

interface Scene {
  readonly place: Ground;
  readonly snapshot: Snapshot;
  readonly app: Client;
  /** The snapshot of another run of the same, which dies with the server. */
  nextRun(): Promise<Snapshot>;
  /** Resolves when the step waits for a lock that `sql` has taken: there it is killed. */
  stop(step: () => Promise<unknown>, sql: string): Promise<void>;
}

const LAST = 'lock table last in row exclusive mode';

/** Ways to the moment at which the server is killed: each in a database of its own, all by the same death. */
const MOMENTS: Record<string, (scene: Scene) => Promise<unknown>> = {
  'in a committing test, when it has committed': ({ app }) => app.query(WORK),
  'in a committing test, before it has committed': ({ app }) => app.query(`begin; ${WORK}`),
  'in a committing test, which commits one thing after the other': async ({ app, place }) => {
    await app.query(WORK);
    for (const name of ['a', 'b']) {
      const writer = await place.connect();
      const write = async (n: number): Promise<unknown> =>
        (await writer.query(
          `insert into users (name) values ('${name}${n}'); update big set x = 'w' where id = ${n}`,
        )) && write(n + 1);
      void write(1).catch(() => {});
    }
  },
  'in a committing test above a checkpoint': async ({ app, snapshot }) => {
    await app.query(WORK);
    await snapshot.push();
    await app.query(`truncate users cascade; delete from big where id < 100`);
  },
  'in a committing test after a restore': async ({ app, snapshot }) => {
    await app.query(WORK);
    await snapshot.restore();
    await app.query(`update big set x = 'z' where id < 3; insert into last values (7)`);
  },
  'when a restore is over': async ({ app, snapshot }) => {
    await app.query(WORK);
    await snapshot.restore();
  },
  'in a restore, at its first table': async ({ app, snapshot, stop }) => {
    await app.query(WORK);
    await stop(() => snapshot.restore(), 'lock table users in row exclusive mode');
  },
  'in a restore, at a journal': async ({ app, snapshot, stop }) => {
    await app.query(WORK);
    await stop(() => snapshot.restore(), 'lock table big in row exclusive mode');
  },
  'in a restore, at its last table': async ({ app, snapshot, stop }) => {
    await app.query(WORK);
    await stop(() => snapshot.restore(), LAST);
  },
  'in a restore, with all tables back': async ({ app, snapshot, stop }) => {
    await app.query(`${WORK}; refresh materialized view names`);
    await stop(() => snapshot.restore(), 'refresh materialized view names');
  },
  'while a checkpoint is made': async ({ app, snapshot, stop }) => {
    await app.query(WORK);
    await stop(() => snapshot.push(), LAST);
  },
  'while a checkpoint is dropped': async ({ app, snapshot, stop }) => {
    await app.query(WORK);
    await snapshot.push();
    await app.query('delete from big where id < 100');
    await stop(() => snapshot.pop(), LAST);
  },
  'while the run after a killed one recovers': async ({ app, snapshot, nextRun, stop }) => {
    await app.query(WORK);
    await snapshot.close();
    const next = await nextRun();
    await stop(() => next.recover(), LAST);
  },
  'while the baseline is taken': async ({ snapshot, nextRun, stop }) => {
    await snapshot.remove();
    await snapshot.close();
    const next = await nextRun();
    await stop(() => next.take(), LAST);
  },
  'between two runs': ({ snapshot }) => snapshot.close(),
};

/** Where no run is on, what a crash empties is gone, as it is without us. */
const EMPTIED: readonly string[] = ['while the baseline is taken', 'between two runs'];

// With fsync, each database costs the server seconds when it starts again.
const names = Object.keys(MOMENTS);
for (const [fsync, role, moments] of [
  ['off', 'owner', names],
  ['on', 'superuser', names.filter((_, i) => i % 4 === 0)],
] as const) {
  describe(`a server that is killed, with fsync ${fsync}${full(fsync === 'on')}`, function () {
    this.timeout(240_000);
    let server: FrailServer;
    before(async () => {
      server = await startFrailServer(`fsync=${fsync}`);
    });
    after(() => server.stop());

    describe(`lets the next run start on the baseline, as ${role}`, () => {
      const places = new Map<string, { readonly place: Ground; readonly baseline: Record<string, string> }>();
      before(async () => {
        for (const moment of moments) {
          const place = await ground({ server: server.url, role }, SCHEMA);
          places.set(moment, { place, baseline: await contents(place.observer) });
          await MOMENTS[moment]?.(await scene(place));
        }
        await server.kill();
        await server.start();
      });
      after(async () => {
        for (const { place } of places.values()) await place.drop();
      });

      for (const moment of moments) {
        it(moment, async () => {
          const { place, baseline } = places.get(moment) ?? assert.fail();
          await place.reconnect();
          const next = await place.snapshot({ journalAbove: 1000 });
          await next.recover();
          const lost = differences(baseline, await contents(place.observer));
          assert.deepEqual(lost, EMPTIED.includes(moment) ? ['sessions'] : []);
          assert.equal(await next.holdsKept(), !EMPTIED.includes(moment));
          await next.take();
          assert.deepEqual(await next.verify(), []);
          const again = await contents(place.observer);
          const app = await place.connect();
          await app.query(`${WORK}; insert into keyless values ('b')`);
          await next.restore();
          assert.deepEqual(await next.verify(), []);
          assert.deepEqual(differences(again, await contents(place.observer)), []);
        });
      }
    });

    if (fsync === 'on') return;
    // Of a whole run.
    it('fails a run, and the next one passes', async () => {
      const database = await createDatabase(USERS, { server: server.url });
      const spec = (until: string): Promise<Outcome> =>
        run(
          {
            'a.spec.js': `
              const find = async () => { assert.equal(await names(), 'ann,bob'); await db('users').del(); };
              it('comes first @truncate', find);
              it('comes next @truncate', async () => { await find(); await db.raw("set application_name = 'there'"); while (${until}) await db('users'); });
              it('comes last @truncate', find);`,
          },
          { database },
        );
      const killed = spec('true');
      while ((await database.query(`select from pg_stat_activity where application_name = 'there'`)).length === 0)
        await new Promise((resolve) => setTimeout(resolve, 50));
      await server.kill();
      const { code, failed, output } = await killed;
      assert.ok(code !== 0 && failed['comes next @truncate'], output);
      await server.start();
      assertGreen(await spec('false'));
      assert.equal((await database.query('select from users')).length, 2);
    });
  });
}

async function scene(place: Ground): Promise<Scene> {
  const open = (): Promise<Snapshot> => {
    let isOpen = false;
    const connect = async (): Promise<OwnConnection> => {
      if (isOpen) throw new Error('it has died with its server');
      isOpen = true;
      const connection = await own(place.url);
      // No lock is too long to wait for.
      const query: OwnConnection['query'] = (sql, values) =>
        connection.query(sql.includes(`'lock_timeout'`) ? 'select' : sql, values);
      return { ...connection, query };
    };
    return place.snapshot({ journalAbove: 1000, connect });
  };
  const snapshot = await open();
  await snapshot.take();
  return {
    place,
    snapshot,
    app: await place.connect(),
    nextRun: open,
    async stop(step, sql) {
      const holder = await place.connect();
      await holder.query(`begin; ${sql}`);
      let ended = false;
      step().then(
        () => (ended = true),
        () => (ended = true),
      );
      while (!(await isWaiting(place))) assert.ok(!ended, 'it has waited for nothing');
    },
  };
}

async function isWaiting({ observer }: Ground): Promise<boolean> {
  const { rowCount } = await observer.query(
    `select from pg_stat_activity where datname = current_database() and application_name = 'mocha-rewind' and wait_event_type = 'Lock'`,
  );
  return rowCount === 1;
}
