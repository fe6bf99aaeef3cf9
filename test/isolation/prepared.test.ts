// PREPARE TRANSACTION from outside: its locks belong to no session, and outlive the server.
import assert from 'node:assert/strict';
import { Client } from 'pg';
import { type TestDatabase, createDatabase } from '../support/database';
import { type PlainServer, startPlainServer } from '../support/plain-server';
import { type Outcome, assertGreen, run } from '../support/run';
import { MANAGED, USERS } from '../support/users';

const PREPARED = `const { Client } = require('pg');
const prepare = async (gid, sql) => {
  const client = new Client({ connectionString: process.env.DATABASE_URL });
  await client.connect();
  await client.query('begin; ' + sql + "; prepare transaction '" + gid + "'");
  await client.end();
};`;

describe('a prepared transaction', function () {
  this.timeout(120_000);
  let server: PlainServer;
  let database: TestDatabase;
  before(async () => {
    server = await startPlainServer('max_prepared_transactions=5');
  });
  after(() => server.stop());
  beforeEach(async () => {
    database = await createDatabase(USERS, { server: server.url });
  });
  afterEach(async () => {
    for (const { gid } of await left()) await database.query(`rollback prepared '${gid}'`);
    await database.drop();
  });
  const left = (): Promise<{ gid: string }[]> =>
    database.query('select gid from pg_prepared_xacts where database = current_database()');
  const runs = (spec: string): Promise<Outcome> => run({ 'a.spec.js': PREPARED + spec }, { database, config: MANAGED });

  it('in the way of a restore is named, rolled back, and charged to the test that left it', async () => {
    const outcome = await runs(`
      before(() => db.raw('select 1'));
      it('prepares', async () => { await db('users').first(); await prepare('by a rolled-back one', "update users set name = 'x' where id = 1"); });
      it('waits', async () => { await db('users').where({ id: 1 }).update({ name: 'y' }); }).timeout(700);
      it('starts from the baseline @truncate', async () => { assert.equal(await names(), 'ann,bob'); await db('users').insert({ name: 'cy' }); });
      it('prepares @truncate', () => prepare('it is "mine"', "insert into users (name) values ('p')"));
      it('does so as well @truncate', async () => assert.equal(await names(), 'ann,bob'));
      it('prepares in its own @schema', () => prepare('in a clone', "insert into users (name) values ('p')"));
      it('has its own, too @schema', async () => assert.equal(await names(), 'ann,bob'));`);
    const told = Object.values(outcome.failed).join('\n');
    assert.match(
      outcome.failed['waits'] ?? '',
      /for a lock of a prepared transaction, "by a rolled-back one", of role "postgres", prepared at 20\d\d-/,
    );
    assert.match(
      told,
      /REWIND_LEFT_OPEN: "prepares" left a prepared transaction that .*: "by a rolled-back one", of role "postgres", prepared at 20/,
    );
    assert.match(
      outcome.failed['prepares @truncate'] ?? '',
      /REWIND_LEFT_OPEN: "prepares @truncate" left a prepared transaction .*: "it is "mine"", of role/,
    );
    for (const title of ['starts from the baseline @truncate', 'does so as well @truncate', 'has its own, too @schema'])
      assert.ok(outcome.passed.includes(title) && !(title in outcome.failed), outcome.output);
    assert.deepEqual(await left(), []);
    const clones = await database.query(
      'select from pg_database where starts_with(datname, current_database() || $$_$$)',
    );
    assert.equal(clones.length, 0);
  });

  it('of a killed run is rolled back by the next, and no other @full', async () => {
    const dying = `it('dies @truncate', async () => {
      await prepare('orphan', 'delete from users');
      process.kill(process.pid, 'SIGKILL');
    });`;
    await assert.rejects(runs(dying), /did not end/);
    assert.equal((await left()).length, 1);
    await database.query(`begin; select pg_current_xact_id(); prepare transaction 'innocent'`);
    assertGreen(
      await runs(`it('starts from the baseline @truncate', async () => assert.equal(await names(), 'ann,bob'));`),
    );
    assert.deepEqual(await left(), [{ gid: 'innocent' }], 'nothing is locked by that one');
  });

  it('is named where its database can’t be cloned @full', async () => {
    const client = new Client({ connectionString: database.url });
    await client.connect();
    await client.query(`begin; insert into users (name) values ('x'); prepare transaction 'in the way'`);
    await client.end();
    const outcome = await runs(`it('alters @schema', () => db('users'));`);
    assert.match(
      Object.values(outcome.failed).join(),
      /REWIND_CONNECTION: .*"alters @schema" needs.*prepared transaction 'in the way' \(postgres, since 20.*ROLLBACK PREPARED/,
    );
  });
});
