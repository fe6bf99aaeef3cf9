import assert from 'node:assert/strict';
import { type TestDatabase, createDatabase } from '../support/database';
import { assertGreen, run } from '../support/run';

describe('unmanaged tests', () => {
  let database: TestDatabase;
  beforeEach(async () => {
    database = await createDatabase("create table users (name text); insert into users values ('ann')");
  });
  afterEach(() => database.drop());

  it('may build on each other, also where other tests need a snapshot', async () => {
    const outcome = await run(
      {
        'a.spec.js': `
          describe('in steps @unmanaged', () => {
            before(() => db('users').insert({ name: 'hook' }));
            it('one', () => db('users').insert({ name: 'one' }));
            it('two', async () => { assert.equal(await names(), 'ann,hook,one'); await db('users').insert({ name: 'two' }); });
          });
          it('commits @truncate', () => db('users').insert({ name: 'commits' }));
          it('finds the baseline', async () => assert.equal(await names(), 'ann'));`,
        'b.spec.js': `
          describe('another file @unmanaged', () => { it('goes on', async () => assert.equal(await names(), 'ann,hook,one,two')); });`,
      },
      { database },
    );
    assertGreen(outcome);
    assert.equal(outcome.passed.length, 5);
    assert.deepEqual(await database.query('select name from users'), [{ name: 'ann' }]);
  });
});
