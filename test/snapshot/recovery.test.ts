// A run that dies at any moment: the next one starts on the baseline.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import type { Client } from 'pg';
import type { Snapshot } from '../../lib/snapshot';
import type { OwnConnection } from '../../lib/sql';
import { type Ground, contents, differences, ground, own } from './support';
import { serverUrl } from '../support/database';
import { full } from '../support/tiers';

const SCHEMA = `
  create table users (id serial primary key, name text unique not null);
  create table notes (id int generated always as identity primary key, user_id int references users on delete cascade, body text);
  create table log (line text);
  insert into users (name) values ('ann'), ('bob');
  insert into notes (user_id, body) values (1, 'hello');
  insert into log values ('a'), ('a');
  select lo_from_bytea(99001, '\\xdeadbeef');
`;

/** What a run does to the database, step by step: baseline, suites, tests. */
async function story(snapshot: Snapshot, app: Client): Promise<void> {
  await snapshot.recover();
  await snapshot.take();
  await app.query(`insert into users (name) values ('test 1'); delete from notes; select lo_unlink(99001)`);
  await snapshot.touched();
  await snapshot.restore();
  await app.query(
    `insert into users (name) values ('suite'); update log set line = 'suite'; select setval('users_id_seq', 500)`,
  );
  await snapshot.push();
  await app.query('truncate users cascade');
  await snapshot.restore();
  await app.query(`insert into notes (body) values ('inner suite')`);
  await snapshot.push();
  await app.query(`update users set name = name || '!'; delete from log`);
  await snapshot.restore();
  await app.query(`insert into log values ('left over')`);
  await snapshot.pop();
  await snapshot.pop();
  await app.query(`insert into users (name) values ('test 2')`);
  await snapshot.restore();
  await snapshot.close();
}

describe('a run that is killed', () => {
  // One statement of four each, and in `test:full` the other three.
  for (const [role, rest, mark] of [
    ['superuser', [1], ''],
    ['owner', [2], ''],
    ['superuser', [2, 3, 0], full()],
    ['owner', [1, 3, 0], full()],
  ] as const) {
    it(`leaves the baseline to the next run, whichever statement was the last one sent (${role}, ${rest.join(', ')} of four)${mark}`, async function () {
      this.timeout(120_000);
      let points = 0;
      for (let dead = false, n = 1; !dead; n++) {
        if (!rest.some((some) => some === n % 4)) continue;
        const place = await ground({ server: serverUrl(), role }, SCHEMA);
        try {
          const baseline = await contents(place.observer);
          // With a baseline of an earlier run, and without.
          if (n % 2) await (await kept(place)).close();
          dead = !(await dieAfter(n, place));
          points++;
          const next = await place.snapshot();
          await next.recover();
          assert.deepEqual(differences(baseline, await contents(place.observer)), [], `killed after statement ${n}`);
          await next.take();
          assert.deepEqual(await next.verify(), [], `killed after statement ${n}`);
          const app = await place.connect();
          await app.query(`truncate users cascade; insert into log values ('next run')`);
          await next.restore();
          assert.deepEqual(differences(baseline, await contents(place.observer)), [], `killed after statement ${n}`);
        } finally {
          await place.drop();
        }
      }
      assert.ok(points >= 5 * rest.length, `${points} points`);
    });
  }

  it('is told from one that ended well', async () => {
    const place = await ground({ server: serverUrl(), role: 'superuser' }, SCHEMA);
    try {
      const first = await kept(place);
      assert.equal((await first.status()).state, 'running');
      await first.close();
      const second = await place.snapshot();
      assert.equal((await second.status()).state, 'kept');
      assert.equal(await second.recover(), undefined);
      const app = await place.connect();
      await app.query(`insert into users (name) values ('between runs')`);
      assert.equal(await second.recover(), undefined, 'what changes between runs belongs to the next baseline');
      assert.equal((await app.query('select from users')).rowCount, 3);
    } finally {
      await place.drop();
    }
  });

  it('is no other than one that ends with rows it has not restored, or above its baseline', async () => {
    const place = await ground({ server: serverUrl(), role: 'superuser' }, SCHEMA);
    try {
      const baseline = await contents(place.observer);
      for (const isCheckpoint of [false, true]) {
        const snapshot = await kept(place);
        await place.observer.query(`insert into notes (body) values ('left')`);
        if (isCheckpoint) await snapshot.push();
        await snapshot.close();
        const next = await place.snapshot();
        assert.equal((await next.status()).state, 'running');
        await next.recover();
        assert.deepEqual(differences(baseline, await contents(place.observer)), []);
        await next.close();
      }
    } finally {
      await place.drop();
    }
  });

  it('is recovered after a SIGKILL of the whole process', async function () {
    this.timeout(30_000);
    const place = await ground({ server: serverUrl(), role: 'superuser' }, SCHEMA);
    try {
      const baseline = await contents(place.observer);
      const child = spawn(
        process.execPath,
        ['--require', 'ts-node/register/transpile-only', path.join(__dirname, 'killed.ts'), place.url],
        {
          stdio: ['ignore', 'pipe', 'inherit'],
        },
      );
      await new Promise<void>((resolve) => child.stdout.once('data', () => resolve()));
      child.kill('SIGKILL');
      await new Promise((resolve) => child.once('exit', resolve));
      assert.notDeepEqual(differences(baseline, await contents(place.observer)), []);
      const next = await place.snapshot();
      assert.deepEqual(await next.recover(), { schemaChange: undefined });
      assert.equal((await next.status()).state, 'kept');
      assert.deepEqual(differences(baseline, await contents(place.observer)), []);
    } finally {
      await place.drop();
    }
  });

  it('is recovered when the server has lost its counters too', async () => {
    const place = await ground({ server: serverUrl(), role: 'superuser' }, SCHEMA);
    try {
      const baseline = await contents(place.observer);
      const dying = await kept(place);
      const app = await place.connect();
      await app.query(`update users set name = name || '?'; truncate log`);
      // What crash recovery does to unlogged relations.
      await place.observer.query(`
        set rewind.working = 'on'; truncate rewind.alive;
        do $$ declare s regclass; begin
          for s in select oid from pg_class where relnamespace = 'rewind'::regnamespace and relkind = 'S' and relpersistence = 'u' loop
            perform setval(s, 1, false);
          end loop;
        end $$`);
      const restored = await dying.restore();
      assert.ok(['public.log', 'public.users'].every((name) => restored.tables.some((t) => t.name === name)));
      assert.deepEqual(differences(baseline, await contents(place.observer)), []);
      await app.query(`insert into log values ('x')`);
      assert.deepEqual(await dying.touched(), ['public.log'], 'counting goes on');
    } finally {
      await place.drop();
    }
  });
});

describe('a lost connection', () => {
  it('is replaced, and the restore done', async () => {
    const place = await ground({ server: serverUrl(), role: 'superuser' }, SCHEMA);
    try {
      const baseline = await contents(place.observer);
      const snapshot = await kept(place);
      const app = await place.connect();
      await app.query(`insert into users (name) values ('suite')`);
      await snapshot.push();
      await app.query('truncate users cascade');
      await place.observer.query(
        `select pg_terminate_backend(pid, 2000) from pg_stat_activity where application_name = 'mocha-rewind' and datname = current_database()`,
      );
      await snapshot.restore();
      assert.equal((await app.query('select from users')).rowCount, 3);
      await place.observer.query(
        `select pg_terminate_backend(pid, 2000) from pg_stat_activity where application_name = 'mocha-rewind' and datname = current_database()`,
      );
      await snapshot.pop();
      assert.deepEqual(differences(baseline, await contents(place.observer)), []);
      const other = await place.snapshot({ patienceMs: 100 });
      await assert.rejects(other.take(), /Another run is using this database/);
      await snapshot.aside(async () => {});
      await assert.rejects(other.take(), /Another run is using this database/);
    } finally {
      await place.drop();
    }
  });
});

async function kept(place: Ground): Promise<Snapshot> {
  const snapshot = await place.snapshot();
  await snapshot.take();
  return snapshot;
}

/** Runs the story until our connection has sent so many statements, and cuts it off. False: the story ended before. */
async function dieAfter(n: number, place: Ground): Promise<boolean> {
  let left = n;
  let died = false;
  const dead = new Promise<never>(() => {});
  const app = await place.connect();
  const connect = async (): Promise<OwnConnection> => {
    if (died) return dead;
    const connection = await own(place.url);
    return {
      ...connection,
      query: (sql, values) => {
        if (died) return dead;
        const sent = connection.query(sql, values);
        if (--left > 0) return sent as never;
        // Sent, and nobody there for the answer: the server may or may not finish it.
        died = true;
        sent.catch(() => {});
        connection.cut();
        return dead;
      },
    };
  };
  const snapshot = await place.snapshot({ connect });
  const end = story(snapshot, app).catch(() => {});
  let ended = false;
  void end.then(() => (ended = true));
  while (!died && !ended) await new Promise((resolve) => setTimeout(resolve, 5));
  await app.end();
  return died;
}
