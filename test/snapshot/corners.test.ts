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

/** Names of columns that are more than a word: lists of them, ours, those of generated functions, parameters, quotes. */
const NAMES = [
  'city, state, zip',
  'state',
  'a, k, b',
  'rewind_level',
  'rewind_n',
  'rewind_sign',
  'rewind_image',
  'rewind_nth',
  'rewind__',
  '$b$',
  '$f$ $p$ $q$ $t$',
  '$1',
  '%s %1$s %%',
  `it's "quoted" \\`,
  't',
  's',
  'j',
  'n',
  'x',
  'own',
  'added',
  'expected',
  't::text',
  'ü'.repeat(31),
  'rewind_' + 'x'.repeat(56),
];
const quoted = NAMES.map((name) => `"${name.replaceAll('"', '""')}"`);
/** With and without a key, with a key of such names, with columns that are kept as text, with one that UPDATE can't set. */
const NAMED = `
  create type mood as enum ('sad', 'ok');
  create table keyed (k int primary key, ${quoted.map((name, i) => `${name} ${i % 2 ? 'text' : 'mood'}`).join()}, "$f$, $b$" int generated always as identity);
  create table keyless (${quoted.map((name) => `${name} text`).join()});
  create table by_names (v text, ${quoted.map((name) => `${name} int`).join()}, primary key (${quoted.join()}));
  create table "$f$ $b$ %s %1$s, rewind.copy_1" (k int primary key, "rewind_level" mood);
  insert into keyed values ${[1, 2, 3].map((k) => `(${k}, ${quoted.map((_, i) => (i % 2 ? `'v${i}'` : `'sad'`)).join()})`).join()};
  insert into keyless values ${[1, 2, 2].map((k) => `(${quoted.map((_, i) => `'${k}${i}'`).join()})`).join()};
  insert into by_names values ${[1, 2, 3].map((k) => `('v', ${quoted.map((_, i) => k + i).join()})`).join()};
  insert into "$f$ $b$ %s %1$s, rewind.copy_1" values (1, 'ok'), (2, null)`;
const EACH_CHANGED = quoted.map(
  (
    name,
    i,
  ) => `update keyed set ${name} = ${i % 2 ? `'z'` : `'ok'`} where k = 1; update keyless set ${name} = 'z' where ${quoted[0]} = '10';
    update by_names set v = 'z', ${name} = 90 where ${quoted[0]} = 1`,
);
const ALL_CHANGED = `${EACH_CHANGED.join(';')}; delete from keyed where k = 2; delete from keyless where ${quoted[1]} = '21';
  delete from by_names where ${quoted[0]} = 2; update keyed set "$f$, $b$" = default where k = 3;
  update "$f$ $b$ %s %1$s, rewind.copy_1" set rewind_level = 'sad' where k = 1; delete from "$f$ $b$ %s %1$s, rewind.copy_1" where k = 2`;

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

      for (const journalAbove of [20_000, 0]) {
        it(`columns whatever they are named, one at a time, with ${journalAbove ? 'copies' : 'journals'}`, async () => {
          place = await ground({ server: server.url(), role }, NAMED);
          const snapshot = await place.snapshot({ journalAbove });
          await snapshot.take();
          const baseline = await contents(place.observer);
          const app = await place.connect();
          for (const change of [...EACH_CHANGED, ALL_CHANGED]) {
            await app.query(change);
            assert.ok(differences(baseline, await contents(place.observer)).length >= 3, change);
            assert.ok((await snapshot.look([])).differences.length >= 3, change);
            await snapshot.plan();
            await snapshot.restore();
            assert.deepEqual(differences(baseline, await contents(place.observer)), [], change);
          }
          await app.query(ALL_CHANGED);
          await snapshot.repair(await snapshot.touched());
          assert.deepEqual(differences(baseline, await contents(place.observer)), ['"keyed_$f$, $b$_seq"']);
          assert.equal((await snapshot.verify()).length, 1);
        });
      }

      it('columns that a hook adds and drops, named like ours or like those of generated functions', async () => {
        place = await ground(
          { server: server.url(), role },
          'create table users (id int primary key); insert into users values (1)',
        );
        const snapshot = await place.snapshot();
        await snapshot.take();
        const app = await place.connect();
        await app.query(quoted.map((name) => `alter table users add column ${name} text default 'a'`).join(';'));
        await snapshot.push();
        const suite = await contents(place.observer);
        await app.query(`update users set ${quoted.map((name) => `${name} = 'z'`).join()}`);
        await snapshot.restore();
        assert.deepEqual(differences(suite, await contents(place.observer)), []);
        await app.query(quoted.map((name) => `alter table users drop column ${name}`).join(';'));
        await snapshot.pop();
        assert.deepEqual(await snapshot.verify(), []);
      });

      it('rows of a table whose triggers are named nearly like ours; one named exactly so is refused', async () => {
        const trigger = (name: string, does: string): string => `
          create or replace function ${name}() returns trigger language plpgsql as $$ begin ${does}; return new; end $$;
          create trigger "${name}" before insert on users for each row execute function ${name}(); alter table users enable always trigger "${name}"`;
        place = await ground(
          { server: server.url(), role },
          `create table users (id int primary key, v text); insert into users values (1, 'a');
           ${trigger('rewind_counts', `new.v := new.v || '!'`)}`,
        );
        const snapshot = await place.snapshot();
        await snapshot.take();
        const app = await place.connect();
        await app.query('delete from users');
        await snapshot.restore();
        assert.deepEqual((await app.query('select v from users')).rows, [{ v: 'a' }]);
        await app.query(trigger('rewind_counted', 'null'));
        assert.match((await snapshot.restore()).schemaChange ?? '', /trigger A CREATE TRIGGER rewind_counted/);
        await snapshot.remove();
        await app.query(trigger('rewind_journal_insert', 'null'));
        await assert.rejects(
          snapshot.take(),
          /trigger rewind_journal_insert of public.users is named like one of ours[^]*Rename that trigger/,
        );
      });

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

      it('nothing of extensions and of other roles, and says so', async () => {
        place = await ground({ server: server.url(), role }, VIEWS);
        const { observer, appRole } = place;
        const snapshot = await place.snapshot();
        await snapshot.take();
        assert.equal(place.notes.length, 0);
        await observer.query(`
          create table conf (id serial primary key, v text); alter extension plpgsql add table conf; alter extension plpgsql add sequence conf_id_seq;
          create sequence theirs; alter sequence theirs owner to ${appRole}; create materialized view seen as select 1 as x;
          grant create on schema public to ${appRole}; alter materialized view seen owner to ${appRole};
          create table audit (what text); alter table audit owner to ${appRole}`);
        await observer.query(`select lo_from_bytea(70003, 'a'); alter large object 70003 owner to ${appRole}`);
        try {
          await snapshot.remove();
          await snapshot.take();
          const members = 'not restored: public.conf, public.conf_id_seq of plpgsql (members of extensions)';
          const others =
            'not restored: large object 70003, public.audit, public.seen, public.theirs (owned by another role)';
          assert.deepEqual(
            place.notes.filter((sentence) => sentence.startsWith('not restored')),
            role === 'superuser' ? [members] : [others, members],
          );
        } finally {
          await observer.query(
            `alter extension plpgsql drop table conf; alter extension plpgsql drop sequence conf_id_seq; drop owned by ${appRole}`,
          );
        }
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
