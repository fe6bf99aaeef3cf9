import assert from 'node:assert/strict';
import { TooLittleCredit, transferCredit } from '../src/credit';
import { db } from '../src/db';
import { cancelOrder, placeOrder } from '../src/orders';
import { OutOfStock, stockOf } from '../src/stock';
import { transaction } from '../src/transaction';
import { findUser } from '../src/users';
import { rendezvous } from './support/rendezvous';
import { ada, ben, cleo, dan } from './support/seeded';
import { onSecondConnection } from './support/second-connection';

const creditOf = async (...ids: number[]): Promise<(number | undefined)[]> =>
  (await Promise.all(ids.map((id) => findUser(id)))).map((user) => user?.credit_cents);

// Every test here needs several transactions at once, so the whole describe really commits.
describe('at the same time @truncate', () => {
  it('sells the last piece once', async () => {
    const order = (userId: number) => placeOrder({ userId, lines: [{ sku: 'samovar', quantity: 1 }] });
    const outcomes = await Promise.allSettled([order(cleo), order(dan), order(ada)]);
    const refused = outcomes.flatMap((o) => (o.status === 'rejected' ? [o.reason as unknown] : []));
    assert.equal(refused.length, 2);
    assert.ok(refused.every((error) => error instanceof OutOfStock));
    assert.equal(await stockOf('samovar'), 0);
    assert.equal((await db('orders').select('id')).length, 1);
  });

  it('has the last piece again in the next test', async () => {
    assert.equal(await stockOf('samovar'), 1);
    assert.deepEqual(await db('orders').select('id'), []);
  });

  it('tries a transaction again that lost in a deadlock', async () => {
    const bothHoldOne = rendezvous(2);
    let attempts = 0;
    const lockBoth = (first: string, second: string): Promise<void> =>
      transaction(async (trx) => {
        attempts++;
        await trx('products').where({ sku: first }).decrement('stock', 1);
        await bothHoldOne();
        await trx('products').where({ sku: second }).decrement('stock', 1);
      });
    await Promise.all([lockBoth('mug', 'teapot'), lockBoth('teapot', 'mug')]);
    assert.ok(attempts > 2, 'one of them had to try again');
    assert.deepEqual([await stockOf('mug'), await stockOf('teapot')], [18, 3]);
  });

  it('tries a serializable transaction again that read what another one changed', async () => {
    const bothHaveRead = rendezvous(2);
    let attempts = 0;
    const restock = (sku: string): Promise<void> =>
      transaction(
        async (trx) => {
          attempts++;
          const { sum } = (await trx('products').sum('stock as sum').first()) as { sum: string };
          await bothHaveRead();
          await trx('products')
            .where({ sku })
            .update({ stock: Number(sum) });
        },
        { isolationLevel: 'serializable' },
      );
    await Promise.all([restock('mug'), restock('teapot')]);
    assert.ok(attempts > 2, 'one of them had to try again');
    // The first one saw the seeds (126 pieces in all), the other one what the first had made of them.
    const outcome = `mug ${await stockOf('mug')}, teapot ${await stockOf('teapot')}`;
    assert.ok(['mug 126, teapot 232', 'mug 247, teapot 126'].includes(outcome), outcome);
  });

  it('lets two users pay the same third one', async () => {
    await Promise.all([transferCredit(ada, cleo, 3_000), transferCredit(ben, cleo, 1_000)]);
    assert.deepEqual(await creditOf(ada, ben, cleo), [7_000, 9_000, 4_000]);
  });

  it('waits for a row that another process has locked', async () => {
    await onSecondConnection(async (client) => {
      await client.query('begin');
      await client.query('update users set credit_cents = 500 where id = $1', [ada]);
      const transfer = assert.rejects(transferCredit(ada, ben, 600), TooLittleCredit);
      await someoneWaits();
      await client.query('commit');
      await transfer;
    });
    assert.deepEqual(await creditOf(ada, ben), [500, 10_000]);
  });

  it('cancels an order once', async () => {
    const { id } = await placeOrder({ userId: cleo, lines: [{ sku: 'mug', quantity: 5 }] });
    const cancelled = await Promise.all([cancelOrder(id), cancelOrder(id), cancelOrder(id)]);
    assert.deepEqual(cancelled.filter(Boolean), [true]);
    assert.equal(await stockOf('mug'), 20);
  });
});

describe('credit', () => {
  it('is nothing one can have less than none of', async () => {
    await assert.rejects(transferCredit(cleo, dan, 1), TooLittleCredit);
    assert.deepEqual(await creditOf(cleo, dan), [0, 0]);
  });

  it('is what it was before the describe above', async () => {
    assert.deepEqual(await creditOf(ada, ben, cleo, dan), [10_000, 10_000, 0, 0]);
  });
});

/** Resolves once a connection to this database is waiting for a lock. */
async function someoneWaits(): Promise<void> {
  const waiting = (): Promise<unknown[]> =>
    db('pg_stat_activity').where({ wait_event_type: 'Lock' }).whereRaw('datname = current_database()').select('pid');
  while ((await waiting()).length === 0);
}
