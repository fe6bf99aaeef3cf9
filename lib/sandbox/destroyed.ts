// Knex instances that were destroyed too early.
import type { Scope } from '../scope';
import { runningScope } from './origin';
import type { KnexClient } from './tarn-types';

/** The client whose pool it was, and in whose `after` hook it was destroyed; by what the clones of a client have of it. */
interface Destroyed {
  readonly client: KnexClient;
  readonly suite: Scope;
}
const destroyed = new WeakMap<object, Destroyed>();

export function noteDestroyed(client: KnexClient): void {
  if (!client.logger) return;
  const scope = runningScope();
  if (scope?.kind === 'suite') destroyed.set(client.logger, { client, suite: scope });
  else destroyed.delete(client.logger);
}

/**
 * Gives a new pool to an instance that the `after` hook of a suite has destroyed, once that suite is over, and to the clone
 * of it that is about to be used. Whoever uses it then is not to blame: the order of suites, and the second half of a
 * divided one, are our doing.
 */
export function revive(user: KnexClient): Destroyed | undefined {
  const found = user.pool || !user.logger ? undefined : destroyed.get(user.logger);
  if (!found?.suite.ended) return undefined;
  const { client } = found;
  // a clone keeps the pool that its original has destroyed
  if (client.pool?.destroyed) client.pool = undefined;
  if (!client.pool) client.initializePool?.();
  user.pool = client.pool;
  return found;
}
