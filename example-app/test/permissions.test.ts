import assert from 'node:assert/strict';
import { db } from '../src/db';
import { LastAdmin, grantRole, may, permissionsOf, resignAsAdmin, revokeRole, rolesOf } from '../src/permissions';
import { createUser } from '../src/users';
import { ada, ben, cleo } from './support/seeded';

describe('permissions', () => {
  it('adds up what all roles of a user allow', async () => {
    assert.deepEqual(await rolesOf(ada), ['admin', 'support']);
    assert.deepEqual(await permissionsOf(ada), ['orders.cancel', 'orders.read', 'products.edit', 'users.edit']);
  });

  it('allows a customer nothing', async () => {
    assert.deepEqual(await permissionsOf(cleo), []);
  });

  it('knows the roles there are', async () => {
    await assert.rejects(grantRole(cleo, 'king'), /no role "king"/);
  });

  it('takes granting a role twice for granting it once', async () => {
    await grantRole(cleo, 'packer');
    await grantRole(cleo, 'packer');
    assert.deepEqual(await rolesOf(cleo), ['packer']);
  });

  it('leaves the other roles when one is revoked', async () => {
    await revokeRole(ada, 'admin');
    assert.deepEqual(await rolesOf(ada), ['support']);
  });

  // What `before` writes is there for all tests of the describe, and gone after it.
  describe('of a new colleague', () => {
    let eve: number;

    before(async () => {
      eve = (await createUser({ email: 'eve@shop.example', name: 'Eve' })).id;
      await grantRole(eve, 'support');
    });

    it('lets Eve cancel orders', async () => {
      assert.equal(await may(eve, 'orders.cancel'), true);
    });

    it('does not let Eve edit products', async () => {
      assert.equal(await may(eve, 'products.edit'), false);
    });

    it('lets Eve do nothing once she has left support', async () => {
      await revokeRole(eve, 'support');
      assert.deepEqual(await permissionsOf(eve), []);
    });

    it('has Eve back in support in the next test', async () => {
      assert.deepEqual(await rolesOf(eve), ['support']);
    });

    describe('who is promoted', () => {
      before(() => grantRole(eve, 'admin'));

      it('lets Eve edit products', async () => {
        assert.equal(await may(eve, 'products.edit'), true);
      });

      it('leaves Eve what she was allowed before', async () => {
        assert.deepEqual(await rolesOf(eve), ['admin', 'support']);
      });

      describe('and takes the first morning off', () => {
        beforeEach(() => revokeRole(eve, 'support'));

        it('has one role', async () => {
          assert.deepEqual(await rolesOf(eve), ['admin']);
        });

        it('gets the other one back', async () => {
          await grantRole(eve, 'support');
          assert.deepEqual(await rolesOf(eve), ['admin', 'support']);
        });
      });
    });

    describe('who is not promoted', () => {
      it('has the one role', async () => {
        assert.deepEqual(await rolesOf(eve), ['support']);
      });
    });
  });

  it('has no colleague Eve outside her describe', async () => {
    assert.deepEqual(await db('users').where({ name: 'Eve' }), []);
  });

  // Serializable transactions, two of them at once: that takes real connections and real commits.
  describe('of admins who resign @truncate', () => {
    it('keeps the last admin', async () => {
      await resignAsAdmin(ada);
      await assert.rejects(resignAsAdmin(ben), LastAdmin);
      assert.deepEqual(await rolesOf(ben), ['admin']);
    });

    it('keeps one of two who resign at once', async () => {
      const outcomes = await Promise.allSettled([resignAsAdmin(ada), resignAsAdmin(ben)]);
      assert.deepEqual(outcomes.map((o) => o.status).sort(), ['fulfilled', 'rejected']);
      const admins = (await Promise.all([rolesOf(ada), rolesOf(ben)])).flat().filter((role) => role === 'admin');
      assert.equal(admins.length, 1);
    });
  });
});
