// What only some databases, or some versions of PostgreSQL, have: each on a database of its own.
import assert from 'node:assert/strict';
import { type Ground, type Role, contents, differences, ground, servers, versionOf } from './support';
import { full } from '../support/tiers';

interface Corner {
  readonly setup: string;
  readonly change: string;
  readonly journalAbove?: number;
  readonly since?: number;
  readonly role?: Role;
  /** What else the restore has to say. */
  readonly schemaChange?: RegExp;
  /** What can't be brought back. */
  readonly lost?: string[];
}

const WITH_PUBLICATION = `
  create table users (id int primary key, name text); insert into users values (1, 'ann'), (2, 'bob');
  create table log (line text); insert into log values ('x');
  create table nothing (id int primary key, v text); insert into nothing values (1, 'a'); alter table nothing replica identity nothing;
  create publication everything for all tables`;
const PUBLISHED = `update users set name = 'x' where id = 1; insert into log values ('y'); insert into nothing values (2, 'b')`;

const CORNERS: Record<string, Corner> = {
  'tables of a publication FOR ALL TABLES, some without a replica identity': {
    role: 'superuser',
    setup: WITH_PUBLICATION,
    change: PUBLISHED,
  },
  'large tables of a publication FOR ALL TABLES': {
    role: 'superuser',
    journalAbove: 0,
    setup: WITH_PUBLICATION,
    change: PUBLISHED,
  },
  'a unique column that is NOT NULL, but holds a null of before': {
    since: 180000,
    setup: `
      create table early (k int, v text); insert into early values (null, 'a'), (2, 'b');
      alter table early add constraint filled not null k not valid; create unique index on early (k)`,
    change: `delete from early where k = 2`,
  },
  'rows, where a sequence was given other bounds': {
    setup: `create table users (id int primary key); insert into users values (1); create sequence numbers; select nextval('numbers')`,
    change: `delete from users; alter sequence numbers minvalue 100 start 100 restart`,
    schemaChange: /sequence public.numbers was altered/,
    lost: ['numbers'],
  },
};

const VIEWS = `
  create table users (name text); insert into users values ('ann');
  create materialized view filled as select * from users;
  create materialized view empty as select * from users with no data;
`;

for (const server of servers()) {
  for (const role of ['superuser', 'owner'] as const) {
    describe(`a restore, on ${server.name}, as ${role}${full(role !== 'superuser')}, brings back`, () => {
      let version: number;
      let place: Ground | undefined;
      before(async () => {
        version = await versionOf(server.url());
      });
      afterEach(() => place?.drop());
      for (const [name, corner] of Object.entries(CORNERS)) {
        if (corner.role && corner.role !== role) continue;
        it(name, async function () {
          place = undefined;
          if (version < (corner.since ?? 0)) return this.skip();
          const {
            observer,
            connect,
            snapshot: open,
          } = (place = await ground({ server: server.url(), role }, corner.setup));
          const snapshot = await open({ journalAbove: corner.journalAbove ?? 20_000 });
          await snapshot.take();
          await snapshot.restore(); // has nothing to do, and remembers that
          const baseline = await contents(observer);
          await (await connect()).query(corner.change);
          assert.notDeepEqual(differences(baseline, await contents(observer)), []);
          const { schemaChange } = await snapshot.restore();
          if (corner.schemaChange) assert.match(schemaChange ?? '', corner.schemaChange);
          else assert.equal(schemaChange, undefined);
          const lost = corner.lost ?? [];
          assert.deepEqual(differences(baseline, await contents(observer)), lost);
          const missed = (await snapshot.verify()).map((d) => d.name);
          assert.deepEqual(missed.length, lost.length, String(missed));
        });
      }

      it('materialized views that were emptied, or filled for the first time', async () => {
        place = await ground({ server: server.url(), role }, VIEWS);
        const snapshot = await place.snapshot();
        await snapshot.take();
        const app = await place.connect();
        await app.query('refresh materialized view filled with no data; refresh materialized view empty');
        assert.deepEqual(
          (await snapshot.verify()).map((d) => d.name),
          ['materialized view public.empty', 'materialized view public.filled'],
        );
        await snapshot.restore();
        assert.deepEqual(await snapshot.verify(), []);
        assert.deepEqual((await app.query('select * from filled')).rows, [{ name: 'ann' }]);
        await assert.rejects(app.query('select * from empty'), /has not been populated/);
      });

      it('a large object without its grants, and says so', async () => {
        place = await ground({ server: server.url(), role }, VIEWS);
        const app = await place.connect();
        await app.query(
          `select lo_from_bytea(70001, 'a'); select lo_from_bytea(70002, 'b'); grant select on large object 70002 to public`,
        );
        await (await place.snapshot()).take();
        assert.match(place.notes.join(), /given to our own role, without grants, .*: 1 large objects/);
      });

      it('nothing of what a subscription brings, and says so', async () => {
        place = await ground({ server: server.url(), role }, VIEWS);
        await place.observer.query(
          `create subscription feed connection 'dbname=none' publication p with (connect = false, slot_name = none)`,
        );
        try {
          await (await place.snapshot()).take();
          assert.match(place.notes.join(), /neither noticed nor restored: what comes by subscription \(feed\)/);
        } finally {
          await place.observer.query('drop subscription feed');
        }
      });
    });
  }
}
