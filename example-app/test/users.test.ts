import assert from 'node:assert/strict';
import { db } from '../src/db';
import { EmailTaken, createUser, deleteUser, findByEmail, findOrCreateUser, findUser, renameUser } from '../src/users';
import { SEEDED_USERS, ada, cleo } from './support/seeded';

const countUsers = async (): Promise<number> => (await db('users').select('id')).length;

// Nothing here cleans up, and every test starts on the seeds: each one runs in a transaction that is rolled back.
describe('users', () => {
  it('creates a user', async () => {
    const user = await createUser({ email: 'eve@mail.example', name: 'Eve' });
    assert.deepEqual(await findUser(user.id), { id: user.id, email: 'eve@mail.example', name: 'Eve', credit_cents: 0 });
    assert.equal(await countUsers(), SEEDED_USERS + 1);
  });

  it('does not have the users of other tests', async () => {
    assert.equal(await countUsers(), SEEDED_USERS);
    assert.equal(await findByEmail('eve@mail.example'), undefined);
  });

  it('takes each address once', async () => {
    await createUser({ email: 'eve@mail.example', name: 'Eve' });
    await assert.rejects(createUser({ email: 'eve@mail.example', name: 'Another Eve' }), EmailTaken);
  });

  it('takes addresses to be the same whatever their case', async () => {
    await assert.rejects(createUser({ email: 'ADA@Shop.example', name: 'Another Ada' }), EmailTaken);
  });

  it('goes on after an error of the database, as the app does', async () => {
    // In a plain transaction every query after the failed one would be refused, too.
    const known = await findOrCreateUser({ email: 'cleo@mail.example', name: 'Somebody' });
    assert.equal(known.id, cleo);
    const added = await findOrCreateUser({ email: 'fay@mail.example', name: 'Fay' });
    assert.equal((await findUser(added.id))?.name, 'Fay');
    assert.equal(await countUsers(), SEEDED_USERS + 1);
  });

  it('renames a user', async () => {
    assert.equal((await renameUser(ada, 'Ada L.'))?.name, 'Ada L.');
    assert.equal((await findUser(ada))?.name, 'Ada L.');
  });

  it('has the old name in the next test', async () => {
    assert.equal((await findUser(ada))?.name, 'Ada');
  });

  it('has nobody to rename under an unknown id', async () => {
    assert.equal(await renameUser(999, 'Nobody'), undefined);
  });

  it('deletes a user with all roles', async () => {
    assert.equal(await deleteUser(ada), true);
    assert.deepEqual(await db('user_roles').where({ user_id: ada }), []);
    assert.equal(await deleteUser(ada), false);
  });

  it('finds several users at once', async () => {
    const found = await Promise.all(
      ['ada@shop.example', 'dan@mail.example', 'x@mail.example'].map((e) => findByEmail(e)),
    );
    assert.deepEqual(
      found.map((user) => user?.name),
      ['Ada', 'Dan', undefined],
    );
  });
});
