import type { Knex } from 'knex';
import { db } from './db';
import { isCheckViolation } from './pg-errors';

export class OutOfStock extends Error {
  constructor(sku: string) {
    super(`there is not enough of ${sku} in stock`);
  }
}

export class UnknownProduct extends Error {
  constructor(sku: string) {
    super(`there is no product ${sku}`);
  }
}

export async function stockOf(sku: string, on: Knex = db): Promise<number> {
  const product = await on('products').where({ sku }).first('stock');
  if (!product) throw new UnknownProduct(sku);
  return product.stock as number;
}

/** Returns the price of one piece. The table's check constraint refuses to go below zero. */
export async function takeFromStock(sku: string, quantity: number, on: Knex = db): Promise<number> {
  try {
    const [product] = await on('products').where({ sku }).decrement('stock', quantity).returning('price_cents');
    if (!product) throw new UnknownProduct(sku);
    return product.price_cents as number;
  } catch (error) {
    throw isCheckViolation(error) ? new OutOfStock(sku) : error;
  }
}

export async function putBack(sku: string, quantity: number, on: Knex = db): Promise<void> {
  await on('products').where({ sku }).increment('stock', quantity);
}
