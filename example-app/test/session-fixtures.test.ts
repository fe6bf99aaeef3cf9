import assert from 'node:assert/strict';
import { db } from '../src/db';
import { createUser } from '../src/users';
import { SEEDED_USERS, ada } from './support/seeded';
import { committedRows } from './support/second-connection';

// The seeds are the session's fixtures: written once, and there for every test, whatever the tests before it did.
describe('the session fixtures', () => {
  it('can be destroyed by a test that commits @truncate', async () => {
    await db.raw('truncate users, products, roles, vouchers cascade');
    assert.equal(await committedRows('users'), 0);
    assert.equal(await committedRows('user_roles'), 0);
  });

  it('are there for a later one that commits @truncate', async () => {
    assert.equal(await committedRows('users'), SEEDED_USERS);
    assert.equal(await committedRows('user_roles'), 3);
    assert.equal(await committedRows('products'), 4);
  });

  it('are there for a later one that is rolled back', async () => {
    assert.equal((await db('users').where({ id: ada }).first('name')).name, 'Ada');
    assert.equal((await db('roles').select('id')).length, 3);
  });

  it('can be changed row by row @truncate', async () => {
    await db('users').update({ name: 'Nobody' });
    await db('user_roles').delete();
    await db('users').where({ id: ada }).delete();
    assert.equal(await committedRows('users'), SEEDED_USERS - 1);
  });

  it('have every row as it was @truncate', async () => {
    assert.deepEqual(await db('users').orderBy('id').pluck('name'), ['Ada', 'Ben', 'Cleo', 'Dan']);
  });

  // Sequences are set back, too, so ids may be written into a test of this kind.
  describe('and the ids that come after them @truncate', () => {
    it('start after the seeds', async () => {
      const eve = await createUser({ email: 'eve@mail.example', name: 'Eve' });
      const fay = await createUser({ email: 'fay@mail.example', name: 'Fay' });
      assert.deepEqual([eve.id, fay.id], [SEEDED_USERS + 1, SEEDED_USERS + 2]);
    });

    it('start there again', async () => {
      const gil = await createUser({ email: 'gil@mail.example', name: 'Gil' });
      assert.equal(gil.id, SEEDED_USERS + 1);
    });
  });
});
