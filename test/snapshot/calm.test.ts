// A restore that has found nothing to do remembers where the server's log ended, and looks at nothing while it ends there.
import assert from 'node:assert/strict';
import type { Snapshot } from '../../lib/snapshot';
import type { Query } from '../../lib/sql';
import { serverUrl } from '../support/database';
import { type Ground, contents, differences, ground, own } from './support';

const SCHEMA = `
  create table users (id serial primary key, name text);
  insert into users (name) values ('ann'), ('bob');
  create sequence used;
  select nextval('used');
  create sequence unused;
`;

describe('a restore that has found nothing to do', () => {
  let place: Ground;
  let snapshot: Snapshot;
  let ours: Query;
  let baseline: Record<string, string>;

  const arrange = async (sql: string): Promise<void> => {
    place = await ground({ server: serverUrl(), role: 'superuser' }, sql);
    snapshot = await place.snapshot({
      connect: async () => {
        const connection = await own(place.url);
        ours = connection.query;
        return connection;
      },
    });
    await snapshot.take();
    baseline = await contents(place.observer);
  };
  afterEach(() => place.drop());

  /** Whether the next restore may take nothing for granted. */
  const isWary = async (): Promise<boolean> => {
    await snapshot.restore();
    await snapshot.restore();
    const { rows } = await ours<{ sign: string | null }>(`select current_setting('rewind.calm', true) as sign`);
    return !rows[0]?.sign;
  };
  const bringsBack = async (sql: string): Promise<void> => {
    await place.observer.query(sql);
    assert.notDeepEqual(differences(baseline, await contents(place.observer)), [], `${sql} changes something`);
    await snapshot.restore();
    assert.deepEqual(differences(baseline, await contents(place.observer)), [], sql);
  };

  it('notices the next number of a sequence, though most numbers are not written to the log', async () => {
    await arrange(SCHEMA);
    for (const sequence of ['users_id_seq', 'used', 'unused', 'used']) {
      assert.equal(await isWary(), false);
      await bringsBack(`select nextval('${sequence}')`);
    }
    assert.equal(await isWary(), false);
    await bringsBack(`select setval('used', 70)`);
    assert.equal(await isWary(), false);
    await bringsBack(`insert into users (name) values ('cy')`);
  });

  it('notices sequences above the baseline', async () => {
    await arrange(SCHEMA);
    await place.observer.query(`select nextval('used')`);
    await snapshot.push();
    baseline = await contents(place.observer);
    await snapshot.restore();
    await bringsBack(`select nextval('used')`);
    assert.equal(await isWary(), false);
    await bringsBack(`select nextval('used')`);
  });

  it('notices a sequence that CYCLEs, after it has gone round', async () => {
    await arrange(`${SCHEMA} create sequence round maxvalue 3 cycle; select nextval('round')`);
    assert.equal(await isWary(), true);
    await place.observer.query(`select nextval('round') from generate_series(1, 3)`);
    await snapshot.restore();
    await snapshot.restore();
    await bringsBack(`select nextval('round')`);
  });

  it('notices an unlogged sequence, and one that became unlogged', async () => {
    await arrange(`${SCHEMA} create unlogged sequence fleeting; select nextval('fleeting')`);
    assert.equal(await isWary(), true);
    await bringsBack(`select nextval('fleeting')`);
    await place.observer.query('drop sequence fleeting');
    await snapshot.restore();
    baseline = await contents(place.observer);
    assert.equal(await isWary(), false);
    await place.observer.query('alter sequence used set unlogged');
    await snapshot.restore();
    await snapshot.restore();
    await bringsBack(`select nextval('used')`);
  });

  it('notices what was written before it looked, and committed after', async () => {
    await arrange(SCHEMA);
    const other = await place.connect();
    await other.query(`begin; select lo_from_bytea(0, '\\x31')`);
    assert.equal(await isWary(), true);
    await other.query('commit');
    await snapshot.restore();
    assert.deepEqual(differences(baseline, await contents(place.observer)), []);
    await other.query('begin; create table new (id int)');
    await snapshot.restore();
    await other.query('commit');
    assert.match((await snapshot.restore()).schemaChange ?? '', /table public.new was created/);
  });
  it('does not give out a number twice that somebody has taken while it was set', async () => {
    await arrange(SCHEMA);
    const other = await place.connect();
    const next = async (): Promise<number> => {
      const { rows } = await other.query<{ n: string }>(`select nextval('used') as n`);
      return Number(rows[0]?.n);
    };
    await ours(`select setval('used', 5); select nextval('used')`);
    await ours('select rewind.note_sequences(0)');
    const taken = await next();
    await ours('select rewind.settle_sequences()');
    assert.equal(await next(), taken + 1);
    // With nobody in between, all are set.
    await ours('select rewind.note_sequences(0)');
    await ours('select rewind.settle_sequences()');
    const { rows } = await ours<{ logged: boolean }>(`select bool_and(logged) as logged from rewind.sequence_now`);
    assert.equal(rows[0]?.logged, true);
    assert.equal(await next(), taken + 2);
  });

  it('does not set sequences while somebody may be taking numbers', async () => {
    place = await ground({ server: serverUrl(), role: 'superuser' }, SCHEMA);
    const other = await place.connect();
    await other.query(`begin; select 1`);
    snapshot = await place.snapshot();
    await snapshot.take();
    const { rows } = await other.query<{ ahead: string }>('select log_cnt as ahead from used');
    assert.notEqual(Number(rows[0]?.ahead), 0);
    baseline = await contents(place.observer);
    await snapshot.restore();
    await snapshot.restore();
    await bringsBack(`select nextval('used')`);
  });
});
