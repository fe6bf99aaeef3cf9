// What a restore says it did: the rows that were truly different, and no others.
import assert from 'node:assert/strict';
import type { Client } from 'pg';
import type { Restored, Snapshot } from '../../lib/snapshot';
import { type Ground, contents, differences, ground, servers } from './support';
import { full } from '../support/tiers';

// Some columns have the names of what our functions call theirs.
const SCHEMA = `
  create type mood as enum ('sad', 'ok');
  create table keyed (id int primary key, code text unique, own int, n int, at_level int, expected int, strangers mood, j json);
  create table keyless (a int, j json, "a, b" text);
  create table child (id int generated always as identity primary key, keyed_id int references keyed on delete cascade);
  create table empty (v int);
  create table split (n int) partition by list (n); -- into nothing yet
  create table reserved (name text primary key, n int generated always as identity);
  create table afterwards (id int primary key);
  create table parent (id int primary key, code text unique);
  create table pointing (code text primary key references parent (code) on delete restrict on update restrict);
  insert into afterwards values (1);
  insert into parent values (1, 'a'), (2, 'b');
  insert into pointing values ('a');
  insert into keyed select g, 'c' || g, 0, 0, 0, 0, 'ok', '{"a":  1}' from generate_series(1, 200) g;
  insert into keyless select g % 3, '{"a":  1}', 'x' from generate_series(1, 100) g;
  insert into child (keyed_id) select g from generate_series(1, 200) g;
  insert into reserved (name) values ('a'), ('b');
`;

type Report = Record<string, { removed: number; added: number }>;

const CASES: Record<string, [sql: string, report: Report]> = {
  'a statement that changes nothing': ['update keyed set n = n where false; delete from keyless where false', {}],
  'a write to a table that has no partition': ['delete from split', {}],
  'rows written as they were': [
    'update keyed set n = n; update keyless set a = a; update child set keyed_id = keyed_id',
    {},
  ],
  'rows changed and changed back': ['update keyed set n = n + 1; update keyed set n = n - 1', {}],
  'rows deleted and written again': [
    `begin; create temp table k on commit drop as select * from keyless; delete from keyless; insert into keyless select * from k; commit`,
    {},
  ],
  'a row that is different': [`update keyed set n = 1 where id = 7`, { keyed: { removed: 1, added: 1 } }],
  'a row that differs in whitespace only': [
    `update keyed set j = '{"a":1}' where id = 7; update keyless set j = '{"a":1}' where ctid = (select min(ctid) from keyless)`,
    { keyed: { removed: 1, added: 1 }, keyless: { removed: 1, added: 1 } },
  ],
  'rows that are new': [
    `insert into keyed (id) values (1001), (1002); insert into keyless values (7, null, null), (7, null, null), (0, '{"a":  1}', 'x'); insert into empty values (1)`,
    { keyed: { removed: 2, added: 0 }, keyless: { removed: 3, added: 0 }, empty: { removed: 1, added: 0 } },
  ],
  'rows that are gone': [
    `delete from child where id > 190; delete from keyed where id > 198; delete from keyless where a = 1`,
    { child: { removed: 0, added: 10 }, keyed: { removed: 0, added: 2 }, keyless: { removed: 0, added: 34 } },
  ],
  'some of each': [
    `delete from child where id > 198; delete from keyed where id = 200; update keyed set n = 1 where id < 4; insert into keyed (id) values (1001);
     update keyed set own = own`,
    { child: { removed: 0, added: 2 }, keyed: { removed: 4, added: 4 } },
  ],
  'unique values that were swapped': [
    `update keyed set code = 'tmp' where id = 1; update keyed set code = 'c1' where id = 2; update keyed set code = 'c2' where id = 1`,
    { keyed: { removed: 2, added: 2 } },
  ],
  'a number that was given out anew': [
    `delete from reserved where name = 'a'; insert into reserved (name) values ('a')`,
    { reserved: { removed: 1, added: 1 } },
  ],
  'a number that was given out anew, before a table that can be changed in place': [
    `delete from reserved where name = 'a'; insert into reserved (name) values ('a'); insert into afterwards values (2)`,
    { reserved: { removed: 1, added: 1 }, afterwards: { removed: 1, added: 0 } },
  ],
  'a row that another one points to, and one that has taken its place': [
    `delete from pointing; delete from parent where id = 1; insert into parent values (3, 'a'); insert into pointing values ('a')`,
    { parent: { removed: 1, added: 1 } },
  ],
};

for (const server of servers()) {
  for (const role of ['superuser', 'owner'] as const) {
    for (const journalAbove of [20_000, 0]) {
      const means = journalAbove ? 'copies' : 'journals';
      describe(`the report of a restore, on ${server.name}, as ${role}, with ${means}${full(role !== 'superuser')}`, () => {
        for (const age of ['younger', 'older'] as const) {
          describe(`with a transaction that is ${age} than the seed`, () => {
            let place: Ground;
            let snapshot: Snapshot;
            let app: Client;
            let baseline: Record<string, string>;
            before(async () => {
              place = await ground({ server: server.url(), role }, '');
              const other = await place.connect();
              // While it runs, whatever is written later looks new to a restore.
              if (age === 'older') await other.query('begin; select pg_current_xact_id()');
              app = await place.connect();
              await app.query(SCHEMA);
              snapshot = await place.snapshot({ journalAbove });
              await snapshot.take();
              if (age === 'younger') await other.query('begin; select pg_current_xact_id()');
              baseline = await contents(place.observer);
            });
            after(() => place.drop());

            for (const [name, [sql, report]] of Object.entries(CASES)) {
              it(`counts ${name}`, async () => {
                await app.query(sql);
                const restored = await snapshot.restore();
                assert.deepEqual(differences(baseline, await contents(place.observer)), []);
                assert.deepEqual(rows(restored), report);
              });
            }

            it('leaves equal rows where they are', async () => {
              const where = async (): Promise<unknown[]> =>
                (await app.query('select id, ctid, xmin from keyed where id between 20 and 180 order by id')).rows;
              await app.query('update keyed set n = n where id between 20 and 180');
              const before = await where();
              await app.query('update keyed set n = 1 where id < 3; delete from keyless where a = 1');
              await snapshot.restore();
              assert.deepEqual(await where(), before);
              assert.deepEqual(differences(baseline, await contents(place.observer)), []);
            });
          });
        }
      });
    }
  }
}

function rows({ tables }: Restored): Report {
  return Object.fromEntries(
    tables.map(({ name, removed, added }) => [name.replace(/^public\./, ''), { removed, added }]),
  );
}
