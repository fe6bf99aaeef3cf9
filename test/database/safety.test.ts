// Which databases may be written to.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Client } from 'pg';
import { type DatabaseInfo, assertTestDatabase, describeDatabase } from '../../lib/database';
import type { RewindError } from '../../lib/errors';
import type { Query } from '../../lib/sql';
import { type TestDatabase, createDatabase } from '../support/database';

const LOOKS_REAL: DatabaseInfo = {
  name: 'shop',
  address: '10.1.2.3',
  port: 5433,
  user: 'app',
  superuser: false,
  version: 180001,
  sizeBytes: 12_345_678_901,
  tables: 41,
  embedded: false,
};

const named = (name: string): DatabaseInfo => ({ ...LOOKS_REAL, name });

describe('a database may be written to', () => {
  for (const name of [
    'test',
    'tests',
    'testing',
    'shop_test',
    'test-2',
    'test2',
    'shop_test3',
    'TEST',
    'ShopTest',
    'shopTestsDb',
    'my.test.db',
    'TestDB',
    'тест_test',
    'Shop2Test',
    'shop2_test',
    'DBTest',
    'shopTEST',
    'shop-TESTING',
  ]) {
    it(`if it is named ${name}`, () => assertTestDatabase(named(name)));
  }

  for (const name of [
    'shop',
    'latest',
    'contest',
    'attestation',
    'greatest_hits',
    'shop_latest',
    'testament',
    'protest',
    'Latest',
    'LATEST',
    'CONTEST',
    'détest',
    'de\u0301test',
    'la2test',
    'LA2TEST',
    '1ATEST',
    '2test',
    '最test',
    '',
  ]) {
    it(`not if it is named ${JSON.stringify(name)} and nothing else speaks for it`, () =>
      assert.rejects(assertTestDatabase(named(name)), { code: 'REWIND_UNSAFE_DATABASE' }));
  }

  it('not if "test" is only a part of a word, whatever the word', () =>
    fc.assert(
      fc.asyncProperty(fc.stringMatching(/^[a-z0-9]{1,5}$/), fc.stringMatching(/^[a-z]{0,5}$/), async (head, tail) => {
        await assert.rejects(assertTestDatabase(named(`${head}test${tail}`)), { code: 'REWIND_UNSAFE_DATABASE' });
      }),
    ));

  it('if it is on the embedded server, whatever its name', () => assertTestDatabase({ ...LOOKS_REAL, embedded: true }));

  it('if the config allows it', async () => {
    await assertTestDatabase(LOOKS_REAL, (info) => info.name === 'shop' && info.tables === 41);
    await assertTestDatabase(LOOKS_REAL, async () => Promise.resolve(true));
  });

  it('not if the config does not allow it', async () => {
    await assert.rejects(
      assertTestDatabase(LOOKS_REAL, () => false),
      { code: 'REWIND_UNSAFE_DATABASE' },
    );
    await assert.rejects(
      assertTestDatabase(LOOKS_REAL, () => Promise.resolve(false)),
      { code: 'REWIND_UNSAFE_DATABASE' },
    );
  });

  for (const answer of [1, 'false', {}, ['shop'], null, undefined, new Boolean(true)]) {
    it(`not if the config says ${JSON.stringify(answer)}, which is a mistake in the config`, () =>
      assert.rejects(
        assertTestDatabase(LOOKS_REAL, () => Promise.resolve(answer as boolean)),
        { code: 'REWIND_CONFIG', problem: /allowDatabase said neither true nor false of database "shop": / },
      ));
  }

  it('not if the config throws, which is a mistake in the config', () =>
    assert.rejects(
      assertTestDatabase(LOOKS_REAL, () => {
        throw new Error('oops');
      }),
      { code: 'REWIND_CONFIG', problem: /allowDatabase threw for database "shop": oops/ },
    ));
});

describe('the refusal of a database', () => {
  const refusal = async (info: DatabaseInfo): Promise<RewindError> =>
    assertTestDatabase(info).then(
      () => assert.fail('not refused'),
      (error: unknown) => error as RewindError,
    );

  it('says what was seen, and how to allow it', async () => {
    const { problem, remedy } = await refusal(LOOKS_REAL);
    assert.equal(
      problem,
      'Database "shop" does not look like a test database, and nothing was written to it. Seen on the live connection: ' +
        'database "shop", at 10.1.2.3:5433, role "app", 12.3 GB, 41 tables.',
    );
    assert.match(remedy, /allowDatabase: \(info\) => info\.name === "shop"/);
    assert.match(remedy, /"shop_test"/);
  });

  it('says so of a superuser, a unix socket, IPv6, an empty database', async () => {
    const local = {
      ...LOOKS_REAL,
      superuser: true,
      address: undefined,
      port: undefined,
      sizeBytes: 7_654_321,
      tables: 1,
    };
    assert.match((await refusal(local)).problem, /on a unix socket, role "app" \(superuser\), 7\.7 MB, 1 table\.$/);
    assert.match((await refusal({ ...LOOKS_REAL, address: '::1' })).problem, /at \[::1\]:5433/);
    assert.match((await refusal({ ...LOOKS_REAL, sizeBytes: 999, tables: 0 })).problem, /999 bytes, 0 tables\.$/);
  });
});

describe('the description of a database', () => {
  let database: TestDatabase;
  let client: Client;
  const query: Query = (sql, values) => client.query(sql, values as unknown[]) as never;
  before(async () => {
    database = await createDatabase(`
      create table a (); create schema s; create table s.b (x int) partition by list (x);
      create table s.b1 partition of s.b for values in (1); create view v as select 1;
      create schema rewind; create table rewind.ours ();
      create schema pgnot; create table pgnot.c ();`);
    client = new Client({ connectionString: database.url });
    await client.connect();
  });
  after(async () => {
    await client.end();
    await database.drop();
  });

  it('is what the live connection says', async () => {
    const info = await describeDatabase(query);
    const url = new URL(database.url);
    assert.equal(info.name, database.name);
    assert.equal(info.user, url.username);
    assert.equal(info.superuser, true);
    assert.equal(info.tables, 4);
    assert.ok(info.version >= 100000 && info.version < 1000000);
    assert.ok(info.sizeBytes > 1_000_000 && info.sizeBytes < 1_000_000_000);
    if (url.searchParams.get('host')?.startsWith('/')) assert.equal(info.address, undefined);
  });

  it('is not led astray by what the session has changed: search_path, role', async () => {
    await client.query(`
      create function public.current_setting(text) returns text language sql as $$ select 'mocha-rewind-embedded' $$;
      set search_path = public, pg_catalog; create role rw_plain_${database.name}; set role rw_plain_${database.name};
      `);
    try {
      const own = await describeDatabase(query);
      assert.equal(own.user, `rw_plain_${database.name}`);
      assert.equal(own.superuser, false);
      assert.equal(
        own.embedded,
        new URL(database.url).searchParams.get('host')?.includes('mocha-rewind-run-') ?? false,
      );
    } finally {
      await client.query(`reset role; reset search_path; drop role rw_plain_${database.name}`);
    }
  });
});
