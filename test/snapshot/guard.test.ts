// The baseline is in the database that tests clean and drop things in.
import assert from 'node:assert/strict';
import { RewindError } from '../../lib/errors';
import type { Snapshot } from '../../lib/snapshot';
import { serverUrl } from '../support/database';
import { type Ground, contents, differences, ground } from './support';

const SCHEMA = `
  create table users (id serial primary key, name text); insert into users (name) values ('ann');
  create table big (id int primary key); insert into big select generate_series(1, 3000);
`;

for (const role of ['superuser', 'owner'] as const) {
  describe(`the schema of ours, as ${role}`, () => {
    let place: Ground;
    let snapshot: Snapshot;
    beforeEach(async () => {
      place = await ground({ server: serverUrl(), role }, SCHEMA);
      snapshot = await place.snapshot({ journalAbove: 1000 });
      await snapshot.take();
    });
    afterEach(() => place.drop());

    it('is not emptied by who cleans all schemas', async () => {
      const baseline = await contents(place.observer);
      const app = await place.connect();
      const { rows } = await app.query<{ name: string }>(
        `select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname not in ('pg_catalog', 'information_schema')`,
      );
      const ours = rows.map(({ name }) => name).filter((name) => name.startsWith('rewind.'));
      assert.ok(ours.some((name) => /copy_/.test(name)) && ours.some((name) => /journal_\d/.test(name)));
      await app.query(`insert into users (name) values ('bob'); delete from big where id = 1`);
      const refused = /leave that out of what you clean/i;
      for (const name of ours) {
        await assert.rejects(app.query(`truncate ${name} cascade`), refused);
        await assert.rejects(app.query(`delete from ${name}`), refused);
      }
      await assert.rejects(app.query(`truncate ${rows.map(({ name }) => name).join()} restart identity`), refused);
      await snapshot.restore();
      assert.deepEqual(differences(baseline, await contents(place.observer)), []);
      assert.deepEqual(await snapshot.verify(), []);
    });

    it('that was dropped is missed, and what to do is said', async () => {
      await (await place.connect()).query('drop schema rewind cascade');
      await assert.rejects(
        snapshot.restore(),
        (error) => error instanceof RewindError && /has dropped schema "rewind".*@schema/.test(error.message),
      );
    });
  });
}
