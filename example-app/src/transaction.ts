import { setTimeout as wait } from 'node:timers/promises';
import type { Knex } from 'knex';
import { db } from './db';
import { isWorthRetrying } from './pg-errors';

const ATTEMPTS = 5;

/** Runs `work` in a transaction, and again if PostgreSQL chose it as the victim of a deadlock or a write conflict. */
export async function transaction<T>(
  work: (trx: Knex.Transaction) => Promise<T>,
  config?: Knex.TransactionConfig,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await db.transaction(work, config);
    } catch (error) {
      if (attempt === ATTEMPTS || !isWorthRetrying(error)) throw error;
      // A while that differs, so that the two that met don't meet again.
      await wait(Math.random() * 10 * 2 ** attempt);
    }
  }
}
