import type { Knex } from 'knex';
import { db } from './db';

export interface Seller {
  sku: string;
  pieces: number;
}

/** The products of which most pieces were sold; cancelled orders don't count. */
export async function bestSellers(limit: number, on: Knex = db): Promise<Seller[]> {
  return on('order_lines')
    .join('orders', 'orders.id', 'order_id')
    .where({ status: 'open' })
    .groupBy('sku')
    .select<Seller[]>('sku', on.raw('sum(quantity)::integer as pieces'))
    .orderBy([{ column: 'pieces', order: 'desc' }, 'sku'])
    .limit(limit);
}

export async function turnoverCents(on: Knex = db): Promise<number> {
  const row = await on('order_lines')
    .join('orders', 'orders.id', 'order_id')
    .where({ status: 'open' })
    .sum({ cents: 'total_cents' })
    .first();
  return Number(row?.cents ?? 0);
}
