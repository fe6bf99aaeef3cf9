// Materialized views: refreshed after what they read from, compared by all of their columns.
import assert from 'node:assert/strict';
import type { Client } from 'pg';
import type { Snapshot } from '../../lib/snapshot';
import { type Ground, contents, differences, ground, servers } from './support';
import { full } from '../support/tiers';

/** Made in an order in which none can be refreshed: what they read has been replaced since, and their oids are the other way round. */
const SCHEMA = `
  create schema app;
  create table q (id int primary key, v text); insert into q values (1, 'a');
  create view w as select 1 as t, v from q; create materialized view top as select t, v from w;
  create view w2 as select 1 as t, v from q; create materialized view middle as select t, v from w2;
  create materialized view app."Bottom" as select 1 as t, v from q; create unique index on app."Bottom" (t);
  create or replace view w as select t, v from middle;
  create or replace view w2 as select t, v from app."Bottom";
  create materialized view alone as select id as t, v as s from q;
`;

for (const server of servers()) {
  for (const role of ['superuser', 'owner'] as const) {
    describe(`materialized views, on ${server.name}, as ${role}${full(role !== 'superuser')}`, () => {
      let place: Ground;
      let snapshot: Snapshot;
      let app: Client;
      let baseline: Record<string, string>;
      const arrange = async (sql = SCHEMA): Promise<void> => {
        place = await ground({ server: server.url(), role }, sql);
        snapshot = await place.snapshot();
        await snapshot.take();
        baseline = await contents(place.observer);
        app = await place.connect();
      };
      afterEach(() => place.drop());
      const changed = async (): Promise<string[]> => differences(baseline, await contents(place.observer)).sort();

      it('that read one another are brought back, whichever were refreshed', async () => {
        await arrange();
        const all = ['app."Bottom"', 'middle', 'top', 'alone'];
        for (const refreshed of [all, ['alone'], all.slice(0, 1), all.slice(0, 2)]) {
          await app.query(`update q set v = 'z'; ${refreshed.map((v) => `refresh materialized view ${v}`).join(';')}`);
          assert.deepEqual(await changed(), [...refreshed, 'q'].sort());
          await snapshot.restore();
          assert.deepEqual(await changed(), []);
          assert.deepEqual(await snapshot.verify(), []);
        }
        await app.query(
          `update q set v = 'z'; refresh materialized view concurrently app."Bottom"; refresh materialized view middle`,
        );
        await snapshot.restore();
        assert.deepEqual(await changed(), []);
        assert.deepEqual(place.notes, []);
      });

      it('are compared by all of their columns, one named t among them', async () => {
        await arrange();
        await app.query(`update q set v = 'z'; refresh materialized view alone; update q set v = 'a'`);
        const seen = [{ name: 'materialized view public.alone', extra: 1, missing: 1 }];
        assert.deepEqual((await snapshot.look([])).differences, seen);
        assert.deepEqual(await snapshot.verify(), seen);
        assert.equal(await snapshot.repair(['materialized view public.alone']), true);
        assert.deepEqual(await changed(), []);
      });

      it('that read themselves, by a view, end the search for what they read', async () => {
        await arrange(`${SCHEMA} create or replace view w as select t, v || '!' as v from top`);
        await app.query('refresh materialized view top');
        await snapshot.restore();
        assert.match(place.notes.join(), /refreshed materialized view public.top, which gave it other rows/);
      });

      it('that have been given another name are found by it, and those that are gone are let go', async () => {
        await arrange();
        await app.query(
          `update q set v = 'z'; refresh materialized view alone; alter materialized view alone rename to other; drop materialized view top`,
        );
        assert.match((await snapshot.restore()).schemaChange ?? '', /is now public.other/);
        await snapshot.verify();
        assert.deepEqual((await app.query('select * from other')).rows, [{ t: 1, s: 'a' }]);
      });

      for (const [kind, sql] of [
        ['had other rows to give', `create materialized view mv as select * from q; update q set v = 'b'`],
        ['never gives the same rows', 'create materialized view mv as select clock_timestamp() as t'],
      ] as const) {
        it(`whose query ${kind} are named once, and compared with what they are from then on`, async () => {
          await arrange(`create table q (id int primary key, v text); insert into q values (1, 'a'); ${sql}`);
          for (let i = 0; i < 2; i++) {
            await app.query('refresh materialized view mv');
            await snapshot.restore();
            assert.deepEqual(await snapshot.verify(), []);
          }
          assert.deepEqual(place.notes, [
            'a restore has refreshed materialized view public.mv, which gave it other rows than it had: it was stale before, or its query does not give the same rows each time',
          ]);
        });
      }
    });
  }
}
