// Settings of a role or a database are those of our session too, and of the app's, in which our triggers run.
import assert from 'node:assert/strict';
import { type Ground, contents, differences, ground, servers, versionOf } from './support';
import { full } from '../support/tiers';

const SCHEMA = `
  create type mood as enum ('sad', 'NULL');
  create type mixed as (at date, f float8, b bytea, lasting interval, x xml, since timestamptz, price money, rel regclass, moods mood[]);
  create table notes (id serial primary key, body text, mixed mixed, x xml);
  create table lines (line text);
  create table moods (id int primary key, moods mood[], n int);
  insert into moods values (1, array['NULL', null]::mood[], 1), (2, null, 2), (3, array['sad']::mood[], 3);
  insert into lines values ('a\\b');
  insert into notes (body, mixed, x) values
    ('a\\b', row('2024-02-03', 0.1::float8 / 3, '\\x5c00ff', '-1 mon 2 days', 'a<b/>c', '2024-05-06 07:08:09+00', 1234.5::numeric::money, 'lines', array['NULL', null]::mood[]), 'a<b/>c'), ('b', null, null);
`;

const UNUSUAL = {
  statement_timeout: '200ms',
  lock_timeout: '1ms',
  idle_session_timeout: '200ms',
  default_transaction_read_only: 'on',
  default_transaction_isolation: 'serializable',
  datestyle: 'SQL, DMY',
  intervalstyle: 'sql_standard',
  extra_float_digits: '-10',
  bytea_output: 'escape',
  xmloption: 'document',
  standard_conforming_strings: 'off',
  quote_all_identifiers: 'on',
  array_nulls: 'off',
  timezone: 'America/New_York',
};

/** Operators and functions of the app’s with the names and types of PostgreSQL’s own, in front of these, that say the contrary. */
const SHADOWS = `
  create schema shadow; grant usage on schema shadow to public;
  create function shadow.never(int, int) returns boolean language sql immutable as 'select false';
  create function shadow.never(text, text) returns boolean language sql immutable as 'select false';
  create function shadow.always(record, record) returns boolean language plpgsql immutable as 'begin return true; end';
  create operator shadow.= (leftarg = int, rightarg = int, function = shadow.never);
  create operator shadow.= (leftarg = text, rightarg = text, function = shadow.never);
  create operator shadow.<> (leftarg = int, rightarg = int, function = shadow.never);
  create operator shadow.*= (leftarg = record, rightarg = record, function = shadow.always);
  create operator shadow.> (leftarg = int, rightarg = int, function = shadow.never);
  create function shadow.age(xid) returns int language sql as 'select 0';
  create function shadow.nextval(regclass) returns int8 language sql as 'select 1::int8';
`;

for (const server of servers()) {
  for (const role of ['superuser', 'owner'] as const) {
    describe(`settings of the database, on ${server.name}, as ${role}${full(role !== 'superuser')}`, () => {
      let place: Ground;
      let version: number;
      before(async () => {
        version = await versionOf(server.url());
      });
      beforeEach(async () => {
        place = await ground({ server: server.url(), role }, SCHEMA);
      });
      afterEach(() => place.drop());
      const set = async (name: string, value: string): Promise<void> => {
        await place.observer.query(`alter database ${place.database} set ${name} = ${value}`);
      };

      const ours = async (): Promise<unknown> =>
        (
          await place.observer.query(
            `select pid from pg_stat_activity where datname = current_database() and application_name = 'mocha-rewind'`,
          )
        ).rows;

      for (const journalAbove of [20_000, 0]) {
        it(`leave a restore exact, with ${journalAbove ? 'copies' : 'journals'}`, async () => {
          for (const [name, value] of Object.entries(UNUSUAL)) await set(name, `'${value}'`);
          const snapshot = await place.snapshot({ journalAbove });
          await snapshot.take();
          const baseline = await contents(place.observer);
          const app = await place.connect();
          await app.query(`begin read write; update notes set mixed = null, x = null where id = 1; delete from notes where id = 2;
            insert into notes (body) values ('c'); delete from lines; insert into lines values ('b'); commit`);
          await place.observer.query('select pg_sleep(0.3)');
          await snapshot.restore();
          assert.deepEqual(differences(baseline, await contents(place.observer)), []);
          assert.deepEqual(await snapshot.verify(), []);
        });
      }

      for (const journalAbove of [20_000, 0]) {
        it(`that differ from session to session leave a restore exact, with ${journalAbove ? 'copies' : 'journals'}`, async () => {
          await place.observer.query(SHADOWS);
          await set('search_path', 'shadow, pg_catalog, public');
          const snapshot = await place.snapshot({ journalAbove });
          await snapshot.take();
          const baseline = await contents(place.observer);
          for (const [zone, more] of [
            ['UTC', ''],
            ['Asia/Kolkata', 'set array_nulls = off; set quote_all_identifiers = on'],
            ['-5', `set datestyle = 'SQL'`],
          ]) {
            const app = await place.connect();
            await app.query(`set timezone = '${zone}'; set search_path = public; ${more}`);
            await app.query(`update notes set mixed = row('2023-02-04', 1, 'a', '1 day', 'x', '2024-05-06 07:08:09+00', 9.5::numeric::money, 'notes', '{sad}') where id = 1;
              update notes set mixed.f = 3 where id = 1; update moods set n = n + 1; update moods set moods = '{sad}' where id = 1; delete from moods where id = 3`);
            await app.end();
            if (zone === '-5') await snapshot.restore();
          }
          assert.deepEqual(differences(baseline, await contents(place.observer)), []);
          assert.deepEqual(await snapshot.verify(), []);
        });
      }

      it('do not end our session while it works or waits', async function () {
        if (version < 170000) return this.skip();
        await set('transaction_timeout', `'100ms'`);
        const snapshot = await place.snapshot({ patienceMs: 5000 });
        await snapshot.take();
        const baseline = await contents(place.observer);
        const session = await ours();
        const app = await place.connect();
        await app.query(`set transaction_timeout = 0; begin; delete from notes`);
        const committed = place.observer.query('select pg_sleep(0.4)').then(() => app.query('commit'));
        await snapshot.restore();
        await committed;
        assert.deepEqual(differences(baseline, await contents(place.observer)), []);
        assert.deepEqual(await ours(), session);
      });

      it('do not hide a change of the schema', async function () {
        if (version < 170000) return this.skip();
        await set('event_triggers', 'off');
        const snapshot = await place.snapshot();
        await snapshot.take();
        await (await place.connect()).query('create table newt (id int)');
        assert.match((await snapshot.restore()).schemaChange ?? '', /table public.newt was created/);
      });

      it('do not make work late that is not, where they lead to another clock', async () => {
        await place.observer.query(
          `create schema clock; grant usage on schema clock to public;
           create function clock.clock_timestamp() returns timestamptz language sql as $$ select timestamptz '2100-01-01' $$`,
        );
        await set('search_path', 'clock, pg_catalog, public');
        const snapshot = await place.snapshot();
        await snapshot.take();
        for (let i = 0; i < 2; i++) {
          await (await place.connect()).query('delete from lines');
          assert.equal((await snapshot.restore()).lateSince, undefined);
        }
      });
    });
  }
}
