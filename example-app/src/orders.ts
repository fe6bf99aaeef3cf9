import type { Knex } from 'knex';
import { db } from './db';
import { afterDiscount, formatCents } from './money';
import { writeMail } from './outbox';
import { isCheckViolation, isForeignKeyViolation } from './pg-errors';
import { putBack, takeFromStock } from './stock';

export interface OrderLine {
  sku: string;
  quantity: number;
}

export interface NewOrder {
  userId: number;
  lines: OrderLine[];
  voucher?: string;
}

export interface Order {
  id: number;
  userId: number;
  status: 'open' | 'cancelled';
  voucher: string | null;
  lines: OrderLine[];
  totalCents: number;
}

/** All or nothing: the order, its lines, what it takes from the stock, and the mail that confirms it. */
export async function placeOrder(order: NewOrder, on: Knex = db): Promise<Order> {
  return on.transaction(async (trx) => {
    const [{ id }] = await trx('orders').insert({ user_id: order.userId }).returning('id');
    for (const [position, line] of order.lines.entries()) {
      const price = await takeFromStock(line.sku, line.quantity, trx);
      await trx('order_lines').insert({ order_id: id, position, ...line, price_cents: price });
    }
    if (order.voucher) await redeemVoucher(order.voucher, id, trx);
    const placed = await findOrder(id, trx);
    if (!placed) throw new Error(`order ${id} is gone`);
    await writeMail(
      { recipient: order.userId, subject: `Your order ${id}`, body: `You pay ${formatCents(placed.totalCents)}.` },
      trx,
    );
    return placed;
  });
}

/** A voucher that doesn't exist or is used up is no reason to lose the order: only this inner part is undone. */
async function redeemVoucher(code: string, orderId: number, order: Knex.Transaction): Promise<void> {
  try {
    await order.transaction(async (trx) => {
      await trx('orders').where({ id: orderId }).update({ voucher_code: code });
      await trx('vouchers').where({ code }).decrement('uses_left', 1);
    });
  } catch (error) {
    if (!isCheckViolation(error) && !isForeignKeyViolation(error)) throw error;
  }
}

export async function findOrder(id: number, on: Knex = db): Promise<Order | undefined> {
  const order = await on('orders')
    .leftJoin('vouchers', 'code', 'voucher_code')
    .where({ id })
    .first('id', 'user_id', 'status', 'voucher_code', 'percent');
  if (!order) return undefined;
  const lines = await on('order_lines').where({ order_id: id }).orderBy('position');
  const sum = lines.reduce((total: number, line) => total + line.total_cents, 0);
  return {
    id: order.id,
    userId: order.user_id,
    status: order.status,
    voucher: order.voucher_code,
    lines: lines.map(({ sku, quantity }) => ({ sku, quantity })),
    totalCents: afterDiscount(sum, order.percent ?? 0),
  };
}

/** Puts everything back on the shelf. False if there is no such open order. */
export async function cancelOrder(id: number, on: Knex = db): Promise<boolean> {
  return on.transaction(async (trx) => {
    const cancelled = await trx('orders').where({ id, status: 'open' }).update({ status: 'cancelled' });
    if (cancelled === 0) return false;
    for (const { sku, quantity } of (await findOrder(id, trx))?.lines ?? []) await putBack(sku, quantity, trx);
    return true;
  });
}

/** The constraint on positions is deferred to the commit, because halfway through two lines share a position. */
export async function swapLines(orderId: number, a: number, b: number, on: Knex = db): Promise<void> {
  await on.transaction(async (trx) => {
    const lineAt = async (position: number): Promise<string> => {
      const line = await trx('order_lines').where({ order_id: orderId, position }).first('sku');
      if (!line) throw new Error(`order ${orderId} has no line at position ${position}`);
      return line.sku as string;
    };
    const [first, second] = [await lineAt(a), await lineAt(b)];
    await trx('order_lines').where({ order_id: orderId, sku: first }).update({ position: b });
    await trx('order_lines').where({ order_id: orderId, sku: second }).update({ position: a });
  });
}
