// One instance that can't connect fails the tests that use it, as in production, and no other.
import assert from 'node:assert/strict';
import { type TestDatabase, createDatabase, urlOf } from '../support/database';
import { type Outcome, assertGreen, run } from '../support/run';

const TOOLS = `
const { knex } = require('knex');
const { Client } = require('pg');
const elsewhere = (change) => { const url = new URL(process.env.DATABASE_URL); change(url); return url.href; };
const at = (connection) => knex({ client: 'pg', connection });
const down = at({ host: '127.0.0.1', port: 1, user: 'postgres', database: 'down_test' });
const gone = at(elsewhere((url) => (url.pathname = '/gone_test')));
const stranger = at(elsewhere((url) => (url.username = 'no_such_role')));
const doomed = at(elsewhere((url) => (url.pathname = '/' + process.env.DOOMED)));
const admin = async (sql) => {
  const client = new Client({ connectionString: elsewhere((url) => (url.pathname = '/postgres')) });
  await client.connect();
  await client.query(sql).finally(() => client.end());
};
const fails = (db, code) => assert.rejects(async () => db.raw('select 1'), { code });
`;

const SPEC = `${TOOLS}
let works = 0;
const works_ = () => it('works ' + works++, async () => { await db('users').insert({ name: 'cy' }); });
const each = () => {
  it('meets a role that is not there', () => fails(stranger, '28000')); works_();
  it('meets a server that is down', () => fails(down, 'ECONNREFUSED')); works_();
  it('meets a database that is not there', () => fails(gone, '3D000')); works_();
  it('meets one beside another that works', async () => {
    await db('users').insert({ name: 'cy' });
    await fails(down, 'ECONNREFUSED');
    await db('users').insert({ name: 'di' });
  });
};
describe('rolled back', () => {
  each();
  it('tells of a server that is down', () => down.raw('select 1'));
  it('tells of a database that is not there', () => gone.raw('select 1')); works_();
  it('tells of a role that is not there', () => stranger.raw('select 1'));
  it('uses a database', () => doomed.raw('create table t (id int)'));
  it('loses it', () => admin('drop database ' + process.env.DOOMED + ' with (force)')); works_();
  it('misses it', () => fails(doomed, '3D000')); works_();
});
describe('committing @truncate', () => {
  works_(); each();
  it('still misses it', () => fails(doomed, '3D000')); works_();
  it('finds it again', () => admin('create database ' + process.env.DOOMED)); works_();
  it('uses it again', () => doomed.raw('select 1'));
  it('loses it again', () => admin('drop database ' + process.env.DOOMED + ' with (force)')); works_();
});`;

describe('an instance that can’t connect', () => {
  let database: TestDatabase;
  let outcome: Outcome;
  before(async () => {
    database = await createDatabase('create table users (name text primary key)');
    const doomed = await createDatabase();
    try {
      outcome = await run({ 'a.spec.js': SPEC }, { database, env: { DOOMED: doomed.name } });
    } finally {
      await doomed.drop();
      await database.drop();
    }
  });

  it('fails the tests that use it as it does in production, rolled back and committing, and no other', () => {
    const told = ['a server that is down', 'a database that is not there', 'a role that is not there'].map(
      (what) => `rolled back tells of ${what}`,
    );
    assert.deepEqual(Object.keys(outcome.failed), told, outcome.output);
    assert.equal(outcome.passed.length, outcome.ran.length - told.length);
  });

  it('says what to do where a test fails with it', () => {
    const { failed } = outcome;
    assert.match(
      failed['rolled back tells of a server that is down'] ?? '',
      /^select 1 - connect ECONNREFUSED[^]*mocha-rewind: REWIND_CONNECTION: No connection to database "down_test"[^]*Is the server running/,
    );
    assert.match(
      failed['rolled back tells of a database that is not there'] ?? '',
      /^select 1 - database "gone_test" does not exist[^]*Create it \(createdb gone_test\)/,
    );
  });

  it('is told what is likely first: that the server is there, where it does not let the user in', () => {
    const message = outcome.failed['rolled back tells of a role that is not there'] ?? '';
    assert.match(message, /role "no_such_role" does not exist[^]*\n {2}The server is there[^]*mend user and password/);
    assert.doesNotMatch(message, /Is the server running/);
  });

  it('of a database that was dropped under the run is told once, at its end', () => {
    const told = outcome.stderr
      .split('\n')
      .filter((line) => /rewind: .*No connection to database "rw_test_/.test(line));
    assert.equal(told.length, 1, outcome.stderr);
  });
});

describe('an instance of the config', () => {
  const config = (...named: string[]): string =>
    `{ knex: { ${named.join(', ')} }, migrate: (db) => db.raw('create table if not exists users (name text primary key)') }`;
  const DOWN = `down: require('knex').knex({ client: 'pg', connection: process.env.DOWN_URL })`;
  const go = async (text: string): Promise<Outcome> => {
    const database = await createDatabase();
    try {
      const spec = `it('works', async () => { await db('users').insert({ name: 'cy' }); }); it('works too @truncate', async () => { await db('users').insert({ name: 'di' }); });`;
      const env = { DOWN_URL: urlOf('down_test', 'postgres://127.0.0.1:1/x') };
      return await run({ 'a.spec.js': spec }, { database, config: text, env });
    } finally {
      await database.drop();
    }
  };

  it('is told at the end, where it can’t connect and another one can', async () => {
    const outcome = await go(config(`main: require('./db')`, DOWN));
    assertGreen(outcome);
    assert.deepEqual(outcome.passed, ['works', 'works too @truncate']);
    assert.match(outcome.stderr, /rewind: No connection to database "down_test"/);
  });

  it('ends the run before its first test, where it is the only one', async () => {
    const outcome = await go(config(DOWN));
    assert.deepEqual(outcome.passed, []);
    assert.match(Object.values(outcome.failed).join(), /^REWIND_CONNECTION: No connection to database "down_test"/);
  });
});
