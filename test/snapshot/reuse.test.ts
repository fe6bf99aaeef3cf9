// What stays in the database from run to run, what it is worth, and how it goes away.
import assert from 'node:assert/strict';
import { RewindError } from '../../lib/errors';
import type { Snapshot, SnapshotOptions } from '../../lib/snapshot';
import { serverUrl } from '../support/database';
import { type Ground, contents, differences, ground, own } from './support';

const SCHEMA = `
  create table users (id serial primary key, name text unique not null);
  create table notes (id int generated always as identity primary key, user_id int references users on delete cascade, body text);
  create table big (id int primary key, v text);
  create sequence cached cache 10;
  insert into users (name) values ('ann'), ('bob');
  insert into notes (user_id, body) values (1, 'hello');
  insert into big select g, 'row ' || g from generate_series(1, 3000) g;
`;

describe('a kept snapshot', () => {
  let place: Ground;
  beforeEach(async () => {
    place = await ground({ server: serverUrl(), role: 'superuser' }, SCHEMA);
  });
  afterEach(() => place.drop());
  const take = async (options: Partial<SnapshotOptions> = {}): Promise<Snapshot> => {
    const snapshot = await place.snapshot(options);
    await snapshot.recover();
    await snapshot.take();
    return snapshot;
  };
  /** Identifies each copy, and the transactions that wrote its rows. */
  const copies = async (): Promise<Record<string, string>> => {
    const { rows } = await place.observer.query<{ name: string; copy: string; oid: number }>(
      'select name, copy, copy::regclass::oid as oid from rewind.relation where copy is not null',
    );
    const out: Record<string, string> = {};
    for (const { name, copy, oid } of rows) {
      const found = await place.observer.query<{ x: string }>(
        `select string_agg(distinct xmin::text, ',') as x from ${copy}`,
      );
      out[name] = `${oid} ${found.rows[0]?.x}`;
    }
    return out;
  };

  it('is used again, and only what changed since is copied', async () => {
    await (await take()).close();
    const first = await copies();
    await place.observer.query(`update users set name = 'cy' where id = 1; select nextval('users_id_seq')`);
    const next = await take();
    const second = await copies();
    assert.equal(second['public.notes'], first['public.notes']);
    assert.equal(second['public.big'], first['public.big']);
    assert.notEqual(second['public.users'], first['public.users']);
    const baseline = await contents(place.observer);
    await place.observer.query('truncate users cascade');
    await next.restore();
    assert.deepEqual(differences(baseline, await contents(place.observer)), []);
  });

  it('may be taken anew, with another number of rows in a table that was restored before', async () => {
    const snapshot = await take();
    for (let n = 0; n < 3; n++) {
      await place.observer.query(`insert into users (name) values ('new ${n}')`);
      await snapshot.take();
      const baseline = await contents(place.observer);
      await place.observer.query(`update users set name = 'x' where id = 1; delete from users where id = 2`);
      await snapshot.restore();
      assert.deepEqual(differences(baseline, await contents(place.observer)), []);
    }
  });

  for (const [why, first, second] of [
    ['asked to', {}, { kept: 'ignore' }],
    ['its fingerprint is another', { fingerprint: 'a' }, { fingerprint: 'b' }],
  ] as const) {
    it(`is made anew when ${why}`, async () => {
      await (await take(first)).close();
      const before = await copies();
      await take(second);
      for (const [name, copy] of Object.entries(await copies())) assert.notEqual(copy, before[name]);
    });
  }

  it('is made anew in a database that was restored from a dump, where its oids mean nothing', async () => {
    await (await take()).close();
    const before = await copies();
    await place.observer.query('update rewind.state set self = 1');
    const next = await take();
    for (const [name, copy] of Object.entries(await copies())) assert.notEqual(copy, before[name]);
    assert.deepEqual(await next.verify(), []);
  });

  it('is left behind by forget(), with the contents as they are', async () => {
    const snapshot = await take();
    await place.observer.query(`insert into users (name) values ('suite')`);
    await snapshot.push();
    await snapshot.forget();
    assert.deepEqual({ taken: snapshot.taken, depth: snapshot.depth }, { taken: false, depth: 0 });
    await place.observer.query(`insert into users (name) values ('dirty')`);
    await snapshot.close();
    const next = await place.snapshot();
    assert.equal(await next.recover(), undefined);
    await next.take();
    await place.observer.query('delete from users');
    await next.restore();
    assert.equal((await place.observer.query('select from users')).rowCount, 4);
  });

  it('is not used again after forget() where checkpoints were above it: nothing counts what they had noted', async () => {
    const snapshot = await take({ fingerprint: 'a' });
    await place.observer.query(`update big set v = 'suite' where id = 1`);
    await snapshot.push();
    await snapshot.forget();
    await snapshot.close();
    const next = await place.snapshot({ fingerprint: 'a' });
    assert.equal(await next.holdsKept(), false);
    await next.take();
    assert.deepEqual(await next.verify(), []);
    await place.observer.query(`delete from big where id = 1`);
    await next.restore();
    assert.deepEqual((await place.observer.query('select v from big where id = 1')).rows, [{ v: 'suite' }]);
  });

  it('never journals unlogged tables: a crash of the server empties them, and no trigger sees it', async () => {
    await place.observer.query(
      'create unlogged table fleeting (id int primary key); insert into fleeting select generate_series(1, 3000)',
    );
    const snapshot = await take({ journalAbove: 1000 });
    assert.deepEqual((await snapshot.status()).journalled, ['public.big']);
  });

  it('journals large tables instead of copying them, and keeps the journal from run to run', async () => {
    await (await take({ journalAbove: 1000 })).close();
    assert.equal((await copies())['public.big'], undefined);
    await place.observer.query(`update big set v = 'between runs' where id = 1`);
    const next = await take({ journalAbove: 1000 });
    assert.deepEqual((await next.status()).journalled, ['public.big']);
    const baseline = await contents(place.observer);
    await place.observer.query(
      `update big set v = 'x' where id < 3; delete from big where id = 5; insert into big values (0, 'new')`,
    );
    assert.equal((await next.verify())[0]?.name, 'public.big');
    const { tables } = await next.restore();
    assert.deepEqual(tables, [{ name: 'public.big', removed: 3, added: 3 }]);
    assert.deepEqual(differences(baseline, await contents(place.observer)), []);
    assert.deepEqual(await next.verify(), []);
  });

  it('leaves to an extension what belongs to it', async () => {
    const members = ['table member', 'sequence member_seq', 'function member()'];
    await place.observer.query(`
      create table member (id int); create sequence member_seq; create function member() returns int language sql as 'select 1';
      ${members.map((member) => `alter extension plpgsql add ${member}`).join(';')}`);
    const snapshot = await take();
    await place.observer.query(`insert into member values (1); select nextval('member_seq')`);
    assert.deepEqual(await snapshot.touched(), []);
    await place.observer.query(
      `alter table member add column x int; create or replace function member() returns int language sql as 'select 2'`,
    );
    assert.equal((await snapshot.restore()).schemaChange, undefined);
    assert.equal((await place.observer.query('select from member')).rowCount, 1);
  });

  it('says what it is, what it would do, and what it can’t', async () => {
    const snapshot = await take();
    const { takenAt, bytes, ...status } = await snapshot.status();
    assert.deepEqual(status, { state: 'running', tables: 3, journalled: [] });
    assert.ok(takenAt instanceof Date && bytes > 0);
    await place.observer.query('delete from notes');
    assert.match(
      await snapshot.plan(),
      /^-- public\.notes\n[^]*lock table only public\.notes[^]*delete from only public\.notes t/,
    );
    assert.deepEqual(place.notes, [
      'not restored in sessions that hold values in their cache: public.cached (sequences with CACHE above 1)',
    ]);
  });

  it('goes away without a trace', async () => {
    const traces = async (): Promise<unknown[]> =>
      (
        await place.observer.query(
          `select nspname as name from pg_namespace where nspname ~ 'rewind' union all select tgname from pg_trigger where tgname ~ 'rewind'
           union all select evtname from pg_event_trigger union all select proname from pg_proc where proname ~ 'rewind'
           union all select relname from pg_class where relname ~ 'rewind'`,
        )
      ).rows;
    const snapshot = await take({ journalAbove: 1000 });
    assert.notDeepEqual(await traces(), []);
    await snapshot.remove();
    assert.deepEqual(await traces(), []);
    assert.equal((await snapshot.status()).state, 'none');
    await snapshot.take();
    await place.observer.query('drop schema rewind cascade');
    assert.deepEqual(await traces(), [], 'or in one statement, by hand');
  });

  it('is not mixed up with a schema of the app that happens to have its name', async () => {
    await place.observer.query('create schema rewind; create table rewind.tapes (id int)');
    const snapshot = await place.snapshot();
    assert.equal(await snapshot.recover(), undefined);
    await assert.rejects(
      snapshot.take(),
      (error: unknown) => error instanceof RewindError && /not ours/.test(error.problem),
    );
    assert.equal((await place.observer.query('select from rewind.tapes')).rowCount, 0);
  });

  it('tells a role that may not make one what it needs', async () => {
    const url = new URL(place.url);
    url.username = place.appRole;
    const snapshot = await place.snapshot({ connect: () => own(url.href) });
    await assert.rejects(
      snapshot.take(),
      (error: unknown) =>
        error instanceof RewindError &&
        error.code === 'REWIND_PRIVILEGE' &&
        error.remedy.includes(`GRANT CREATE ON DATABASE ${place.database} TO ${place.appRole};`),
    );
  });
});

describe('what a restore does not promise', () => {
  it('the order of rows without ORDER BY: what was changed comes back last', async () => {
    const place = await ground({ server: serverUrl(), role: 'superuser' }, SCHEMA);
    try {
      const snapshot = await place.snapshot();
      await snapshot.take();
      await place.observer.query(`update users set name = 'x' where id = 1`);
      await snapshot.restore();
      const { rows } = await place.observer.query<{ id: number }>('select id from users');
      assert.deepEqual(
        rows.map((r) => r.id),
        [2, 1],
      );
    } finally {
      await place.drop();
    }
  });
});
