// What hooks of committing suites leave, when no test is there to be told.
import assert from 'node:assert/strict';
import { run } from '../support/run';
import { MANAGED, eachWithUsers } from '../support/users';

describe('a hook of a committing suite', () => {
  const given = eachWithUsers();

  it('that changes the schema after the tests, or leaves a transaction open before or after them, is named', async () => {
    const outcome = await run(
      {
        'a.spec.js': `
          const { Client } = require('pg');
          const leaveOpen = async (application_name) => {
            const client = new Client({ connectionString: process.env.DATABASE_URL, application_name });
            client.on('error', () => {});
            await client.connect();
            await client.query("begin; insert into users (name) values ('open')");
          };
          describe('begins @truncate', () => {
            before(async () => { await db('users').insert({ name: 'suite' }); await leaveOpen('begun before'); });
            it('with what its hook committed', async () => assert.equal(await names(), 'ann,bob,suite'));
          });
          describe('one @truncate', () => {
            after(() => db.schema.alterTable('notes', (t) => t.string('title')));
            it('commits', () => db('users').insert({ name: 'cy' }));
          });
          describe('two @truncate', () => {
            after(() => leaveOpen('leaking'));
            it('commits', () => db('users').first());
          });
          describe('three @truncate', () => {
            it('starts from the baseline', async () => assert.equal(await names(), 'ann,bob'));
          });`,
      },
      { database: given.database, config: MANAGED },
    );
    const told = Object.values(outcome.failed).join('\n');
    assert.match(told, /REWIND_SCHEMA_CHANGED: suite "one @truncate" changed the schema.*column title/, outcome.output);
    assert.match(
      told,
      /REWIND_LEFT_OPEN: "two @truncate commits" or suite "two @truncate" left a transaction open .*leaking.*insert into users/,
    );
    assert.match(
      told,
      /REWIND_LEFT_OPEN: suite "begins @truncate" left a transaction open .*begun before.*insert into users/,
    );
    assert.equal(outcome.passed.length, 4);
    assert.notEqual(outcome.code, 0);
  });

  it('of an unmanaged one may change the schema, and it is said @full', async () => {
    const outcome = await run(
      { 'a.spec.js': `it('migrates @unmanaged', () => db.schema.createTable('mine', (t) => t.increments()));` },
      { database: given.database, config: MANAGED, args: ['--parallel'] },
    );
    assert.equal(outcome.code, 0, outcome.output);
    assert.match(
      outcome.stderr,
      /"migrates @unmanaged" changed the schema, which a restore can't undo: .*public\.mine/,
    );
  });
});
