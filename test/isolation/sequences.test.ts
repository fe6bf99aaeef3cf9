import assert from 'node:assert/strict';
import { type TestDatabase, createDatabase } from '../support/database';
import { assertGreen, run } from '../support/run';

describe('sequences', () => {
  let database: TestDatabase;
  beforeEach(async () => {
    database = await createDatabase(
      "create table users (id serial primary key, name text); insert into users (name) values ('ann')",
    );
  });
  afterEach(() => database.drop());
  const insert = "const [{ id }] = await db('users').insert({ name: 'cy' }).returning('id');";

  it('are back before the first truncating test, too: rolled-back tests before it have used them', async () => {
    const outcome = await run(
      {
        'a.spec.js': `
          it('rolls back', async () => { ${insert} });
          it('commits @truncate', async () => { ${insert} assert.equal(id, 2); });
          it('commits again @truncate', async () => { ${insert} assert.equal(id, 2); });`,
      },
      { database },
    );
    assertGreen(outcome);
    assert.equal(outcome.passed.length, 3);
    assert.deepEqual(await database.query('select last_value::int, is_called from users_id_seq'), [
      { last_value: 1, is_called: true },
    ]);
  });

  it('are where root-level hooks left them, where those have written', async () => {
    const outcome = await run(
      {
        'a.spec.js': `
          before(() => db('users').insert({ name: 'root' }));
          it('rolls back', async () => { ${insert} });
          it('commits @truncate', async () => { ${insert} assert.ok(id > 2); });
          it('commits again @truncate', async () => { ${insert} assert.ok(id > 2); });`,
      },
      { database },
    );
    assertGreen(outcome);
    assert.deepEqual(await database.query('select last_value::int, is_called from users_id_seq'), [
      { last_value: 1, is_called: true },
    ]);
  });
});
