import assert from 'node:assert/strict';
import { db } from '../../src/db';
import { placeOrder } from '../../src/orders';
import { bestSellers, turnoverCents } from '../../src/reports';

// From before mocha-rewind: it empties the tables itself, before every test. The rule in rewind.config.ts leaves it
// alone, and lets it run after everything else.
describe('reports', () => {
  let customer: number;

  beforeEach(async () => {
    await db.raw('truncate orders, order_lines, outbox, products, users restart identity cascade');
    [{ id: customer }] = await db('users').insert({ email: 'gus@mail.example', name: 'Gus' }).returning('id');
    await db('products').insert([
      { sku: 'kettle', name: 'Kettle', price_cents: 2_000, stock: 50 },
      { sku: 'tray', name: 'Tray', price_cents: 1_000, stock: 50 },
    ]);
  });

  const sell = (sku: string, quantity: number) => placeOrder({ userId: customer, lines: [{ sku, quantity }] });

  it('have nothing to say before the first order', async () => {
    assert.deepEqual(await bestSellers(10), []);
    assert.equal(await turnoverCents(), 0);
  });

  it('put the best seller first', async () => {
    await sell('kettle', 1);
    await sell('tray', 2);
    await sell('kettle', 4);
    assert.deepEqual(await bestSellers(10), [
      { sku: 'kettle', pieces: 5 },
      { sku: 'tray', pieces: 2 },
    ]);
  });

  it('stop at the limit', async () => {
    await sell('kettle', 1);
    await sell('tray', 2);
    assert.deepEqual(await bestSellers(1), [{ sku: 'tray', pieces: 2 }]);
  });

  it('don’t count what was cancelled', async () => {
    await sell('kettle', 1);
    const { id } = await sell('tray', 2);
    await db('orders').where({ id }).update({ status: 'cancelled' });
    assert.equal(await turnoverCents(), 2_000);
  });

  it('count the ids from 1, as they always did', async () => {
    assert.equal((await sell('kettle', 1)).id, 1);
  });
});
