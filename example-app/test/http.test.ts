import assert from 'node:assert/strict';
import { db } from '../src/db';
import { queueLength } from '../src/queue';
import { stockOf } from '../src/stock';
import { ada, ben, cleo, dan } from './support/seeded';
import { committedRows } from './support/second-connection';
import { type Shop, openShop } from './support/shop-server';

// The server runs in this process, so what it writes is rolled back like anything else.
describe('the API', () => {
  let shop: Shop;
  before(async () => {
    shop = await openShop();
  });
  after(() => shop.close());

  describe('/users', () => {
    it('creates a user, who can be read then', async () => {
      const { status, body } = await shop.ask(0, 'POST', '/users', { email: 'eve@mail.example', name: 'Eve' });
      assert.equal(status, 201);
      assert.equal((await shop.ask(0, 'GET', `/users/${String(body.id)}`)).body.name, 'Eve');
    });

    it('refuses an address that is taken', async () => {
      const { status, body } = await shop.ask(0, 'POST', '/users', { email: 'ada@shop.example', name: 'Ada' });
      assert.equal(status, 409);
      assert.match(String(body.error), /already is a user/);
    });

    it('refuses what is no address', async () => {
      assert.equal((await shop.ask(0, 'POST', '/users', { email: 'eve', name: 'Eve' })).status, 400);
      assert.equal((await db('users').where({ name: 'Eve' })).length, 0);
    });

    it('knows nobody by an unknown id', async () => {
      assert.equal((await shop.ask(0, 'GET', '/users/999')).status, 404);
    });
  });

  describe('/orders', () => {
    const lines = [{ sku: 'mug', quantity: 2 }];

    it('places an order, and has it packed', async () => {
      const { status, body } = await shop.ask(cleo, 'POST', '/orders', { lines });
      assert.deepEqual([status, body.totalCents], [201, 1_900]);
      assert.equal(await queueLength(), 1);
    });

    it('wants to know whose order it is', async () => {
      assert.equal((await shop.ask(0, 'POST', '/orders', { lines })).status, 401);
    });

    it('refuses more than there is', async () => {
      const tooMany = [{ sku: 'samovar', quantity: 2 }];
      assert.equal((await shop.ask(cleo, 'POST', '/orders', { lines: tooMany })).status, 409);
      assert.equal(await queueLength(), 0);
    });

    it('sells the last piece once, whoever asks @truncate', async () => {
      const last = { lines: [{ sku: 'samovar', quantity: 1 }] };
      const answers = await Promise.all([cleo, dan].map((user) => shop.ask(user, 'POST', '/orders', last)));
      assert.deepEqual(answers.map((answer) => answer.status).sort(), [201, 409]);
      assert.deepEqual([await committedRows('orders'), await committedRows('jobs')], [1, 1]);
    });

    describe('of Cleo', () => {
      let path: string;
      before(async () => {
        const { body } = await shop.ask(cleo, 'POST', '/orders', { lines });
        path = `/orders/${String(body.id)}`;
      });

      it('can be read by her', async () => {
        assert.deepEqual((await shop.ask(cleo, 'GET', path)).body.lines, lines);
      });

      it('can be read by support', async () => {
        assert.equal((await shop.ask(ada, 'GET', path)).status, 200);
      });

      it('can not be read by Dan', async () => {
        assert.equal((await shop.ask(dan, 'GET', path)).status, 403);
      });

      it('can be cancelled by an admin', async () => {
        assert.equal((await shop.ask(ben, 'DELETE', path)).status, 204);
        assert.equal(await stockOf('mug'), 20);
      });

      it('can not be cancelled by herself', async () => {
        assert.equal((await shop.ask(cleo, 'DELETE', path)).status, 403);
        assert.equal(await stockOf('mug'), 18);
      });
    });
  });

  describe('/products', () => {
    it('lets an admin change a price', async () => {
      assert.equal((await shop.ask(ada, 'PUT', '/products/mug/price', { cents: 1_000 })).status, 204);
      const { body } = await shop.ask(cleo, 'POST', '/orders', { lines: [{ sku: 'mug', quantity: 1 }] });
      assert.equal(body.totalCents, 1_000);
    });

    it('lets nobody else change a price', async () => {
      assert.equal((await shop.ask(cleo, 'PUT', '/products/mug/price', { cents: 1 })).status, 403);
    });

    for (const [sku, stock] of Object.entries({ mug: 20, teapot: 5, spoon: 100, samovar: 1 })) {
      it(`has ${stock} × ${sku}`, async () => {
        assert.deepEqual((await shop.ask(0, 'GET', `/products/${sku}/stock`)).body, { stock });
      });
    }
  });

  it('has nothing anywhere else', async () => {
    assert.equal((await shop.ask(0, 'GET', '/admin.php')).status, 404);
  });
});
