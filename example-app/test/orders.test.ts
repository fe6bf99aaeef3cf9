import assert from 'node:assert/strict';
import { db } from '../src/db';
import { type Order, cancelOrder, findOrder, placeOrder, swapLines } from '../src/orders';
import { isUniqueViolation } from '../src/pg-errors';
import { OutOfStock, UnknownProduct, stockOf } from '../src/stock';
import { cleo, dan } from './support/seeded';

const TEA_FOR_TWO = [
  { sku: 'mug', quantity: 2 },
  { sku: 'teapot', quantity: 1 },
  { sku: 'spoon', quantity: 2 },
];

const rowsIn = async (table: string): Promise<number> => (await db(table).select(db.raw('1'))).length;

describe('orders', () => {
  it('has no order before the first one', async () => {
    assert.equal(await rowsIn('orders'), 0);
    assert.equal(await rowsIn('order_lines'), 0);
  });

  it('adds up the lines', async () => {
    const order = await placeOrder({ userId: cleo, lines: TEA_FOR_TWO });
    assert.equal(order.totalCents, 2 * 950 + 3_200 + 2 * 150);
    assert.deepEqual(order.lines, TEA_FOR_TWO);
  });

  it('takes what is ordered from the stock', async () => {
    await placeOrder({ userId: cleo, lines: TEA_FOR_TWO });
    assert.deepEqual(
      await Promise.all(['mug', 'teapot', 'spoon', 'samovar'].map((sku) => stockOf(sku))),
      [18, 4, 98, 1],
    );
  });

  it('writes one mail with the sum', async () => {
    const order = await placeOrder({ userId: dan, lines: [{ sku: 'mug', quantity: 1 }] });
    const mails = await db('outbox').select('recipient', 'subject', 'body');
    assert.deepEqual(mails, [{ recipient: dan, subject: `Your order ${order.id}`, body: 'You pay 9.50.' }]);
  });

  it('leaves nothing behind when one line is out of stock', async () => {
    const lines = [
      { sku: 'mug', quantity: 2 },
      { sku: 'samovar', quantity: 2 },
    ];
    await assert.rejects(placeOrder({ userId: cleo, lines }), OutOfStock);
    assert.equal(await stockOf('mug'), 20);
    assert.equal(await rowsIn('orders'), 0);
    assert.equal(await rowsIn('outbox'), 0);
  });

  it('knows which products there are', async () => {
    await assert.rejects(placeOrder({ userId: cleo, lines: [{ sku: 'unicorn', quantity: 1 }] }), UnknownProduct);
    await assert.rejects(stockOf('unicorn'), UnknownProduct);
  });

  it('takes an order after a refused one', async () => {
    await assert.rejects(placeOrder({ userId: cleo, lines: [{ sku: 'samovar', quantity: 2 }] }), OutOfStock);
    await placeOrder({ userId: cleo, lines: [{ sku: 'samovar', quantity: 1 }] });
    assert.equal(await stockOf('samovar'), 0);
  });

  it('is undone with the transaction it was placed in', async () => {
    const changedMind = new Error('changed my mind');
    await assert.rejects(
      db.transaction(async (trx) => {
        const order = await placeOrder({ userId: cleo, lines: TEA_FOR_TWO }, trx);
        assert.ok(await findOrder(order.id, trx));
        throw changedMind;
      }),
      changedMind,
    );
    assert.equal(await rowsIn('orders'), 0);
    assert.equal(await stockOf('mug'), 20);
  });

  describe('with a voucher', () => {
    const lines = [{ sku: 'teapot', quantity: 1 }];
    const usesLeft = async (code: string): Promise<number> => (await db('vouchers').where({ code }).first()).uses_left;

    it('costs less', async () => {
      const order = await placeOrder({ userId: cleo, lines, voucher: 'WELCOME' });
      assert.deepEqual([order.voucher, order.totalCents], ['WELCOME', 2_880]);
      assert.equal(await usesLeft('WELCOME'), 99);
    });

    // The inner transaction has written the voucher into the order before it fails: that part alone is rolled back.
    it('is placed at the full price when the voucher is used up', async () => {
      const order = await placeOrder({ userId: cleo, lines, voucher: 'USED-UP' });
      assert.deepEqual([order.voucher, order.totalCents], [null, 3_200]);
      assert.equal(await stockOf('teapot'), 4);
      assert.equal(await usesLeft('USED-UP'), 0);
    });

    it('is placed at the full price when nobody knows the voucher', async () => {
      const order = await placeOrder({ userId: cleo, lines, voucher: 'INVENTED' });
      assert.deepEqual([order.voucher, order.totalCents], [null, 3_200]);
    });
  });

  describe('that were placed', () => {
    let order: Order;

    before(async () => {
      order = await placeOrder({ userId: cleo, lines: TEA_FOR_TWO });
    });

    it('can be cancelled, which fills the shelf again', async () => {
      assert.equal(await cancelOrder(order.id), true);
      assert.equal((await findOrder(order.id))?.status, 'cancelled');
      assert.equal(await stockOf('mug'), 20);
    });

    it('can be cancelled once', async () => {
      await cancelOrder(order.id);
      assert.equal(await cancelOrder(order.id), false);
      assert.equal(await stockOf('mug'), 20);
    });

    it('are open in the next test', async () => {
      assert.equal((await findOrder(order.id))?.status, 'open');
      assert.equal(await stockOf('mug'), 18);
    });

    it('can have two lines change places', async () => {
      await swapLines(order.id, 0, 2);
      assert.deepEqual(
        (await findOrder(order.id))?.lines.map((line) => line.sku),
        ['spoon', 'teapot', 'mug'],
      );
    });

    // A deferred constraint is checked at the commit, and there it has to fail although nothing is really committed.
    it('can not have two lines in one place', async () => {
      let reachedTheEnd = false;
      const clash = db.transaction(async (trx) => {
        await trx('order_lines').where({ order_id: order.id, sku: 'spoon' }).update({ position: 0 });
        reachedTheEnd = true;
      });
      await assert.rejects(clash, isUniqueViolation);
      assert.equal(reachedTheEnd, true);
      assert.equal((await findOrder(order.id))?.lines[2]?.sku, 'spoon');
    });

    it('go with the user', async () => {
      await db('users').where({ id: cleo }).delete();
      assert.equal(await findOrder(order.id), undefined);
      assert.equal(await rowsIn('order_lines'), 0);
    });
  });
});
