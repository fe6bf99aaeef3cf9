// The seam to Knex. Read on knex 2.5.1, 3.0.1, 3.1.0 and 3.3.0 (lib/client.js, lib/execution/transaction.js,
// lib/dialects/postgres/index.js). What is relied on: connections are taken by
// `client.acquireConnection()` from `client.pool.acquire().promise`, and given back by `client.pool.release()`; a
// transaction begins in `client.transaction()`; `client.driver` is pg, `client.connectionSettings` what it connects with.
import { requirePeer, resolvePeer } from '../peers';
import { nameOf } from '../scope';
import { revive } from './destroyed';
import { inFlow } from './flow';
import type { Knex, KnexWatch } from './index';
import { watchServers } from './origin';
import { adoptPgPool } from './pgpool';
import type { PgPool } from './pgpool-types';
import { ManagedTarnPool } from './tarn';
import type { KnexClient, TarnPool } from './tarn-types';

/** Pools that were looked at, and what became of them. */
const seen = new WeakMap<object, { unref(): void } | 'left alone'>();
const saidIgnored = new WeakMap<KnexWatch, Set<string>>();

/**
 * From now on each PostgreSQL pool of the project's Knex is announced before its first checkout. Returns the way back.
 */
export function watchKnex(watch: KnexWatch): () => void {
  const undo: (() => void)[] = [watchServers()];
  if (resolvePeer('knex') !== undefined) {
    const { Client } = requirePeer<{ Client: { prototype: KnexClient } }>('knex');
    undo.push(announce(Client.prototype, watch));
  }
  return () => {
    for (const step of undo.reverse()) step();
  };
}

/**
 * Announces the pool of this instance now, whichever copy of Knex made it, and watches that copy for others. Resolves to
 * the way back.
 */
export async function manageKnex(knex: Knex, watch: KnexWatch): Promise<() => void> {
  const client = knex.client as KnexClient;
  await adopt(client, watch);
  let prototype: object = client;
  while (!Object.hasOwn(prototype, 'acquireConnection')) prototype = Object.getPrototypeOf(prototype) as object;
  return announce(prototype as KnexClient, watch);
}

/** Whom instances are announced to, by the prototype that was wrapped; the one that came last is told. */
const watches = new WeakMap<object, KnexWatch[]>();

function announce(prototype: KnexClient, watch: KnexWatch): () => void {
  const told = watches.get(prototype) ?? wrap(prototype);
  told.push(watch);
  return () => {
    told.splice(told.indexOf(watch), 1);
    if (told.length === 0) unwrap(prototype);
  };
}

const originals = new WeakMap<object, (this: KnexClient) => Promise<unknown>>();

function wrap(prototype: KnexClient): KnexWatch[] {
  const told: KnexWatch[] = [];
  const original = Reflect.get(prototype, 'acquireConnection');
  watches.set(prototype, told);
  originals.set(prototype, original);
  prototype.acquireConnection = function (this: KnexClient): Promise<unknown> {
    const watch = told.at(-1);
    const adopting = watch && adopt(reviveIfDestroyed(this, watch), watch);
    return adopting ? adopting.then(() => original.call(this)) : original.call(this);
  };
  return told;
}

/** The client to adopt: of clones that share one pool, the one it was made for. */
function reviveIfDestroyed(user: KnexClient, watch: KnexWatch): KnexClient {
  const revived = revive(user);
  if (!revived) return user;
  ignore(
    watch,
    `A Knex instance that ${nameOf(revived.suite)} had destroyed in its after hook was used again, and got a new pool. Destroy what outlives a suite in a root-level after hook.`,
  );
  return revived.client;
}

function unwrap(prototype: KnexClient): void {
  const original = originals.get(prototype);
  if (original) prototype.acquireConnection = original;
  watches.delete(prototype);
}

/** Looks at a client's pool, once. Asynchronous only where the settings come from a function. */
function adopt(client: KnexClient, watch: KnexWatch): Promise<void> | undefined {
  const { pool } = client;
  if (!pool || seen.has(pool)) return undefined;
  if (client.dialect !== 'postgresql' || client.driverName !== 'pg') {
    seen.set(pool, 'left alone');
    ignore(
      watch,
      `A Knex instance of "${client.driverName ?? client.dialect ?? 'unknown'}" is not isolated: only PostgreSQL through "pg" is.`,
    );
    return undefined;
  }
  const native = client.config.connectionPool;
  if (native !== undefined && native !== pool) {
    // Knex 3.3: `connectionPool` with a pg.Pool inside. Clones of this client have pools of their own around the same one.
    seen.set(pool, 'left alone');
    adoptPgPool(native as PgPool, (managed) => watch.onPool(managed), {
      knexClient: client as never,
      onLate: watch.onLate?.bind(watch),
    });
    watchTransactions(client);
    return undefined;
  }
  if (client.connectionSettings !== undefined || !client.connectionConfigProvider) {
    adoptTarnPool(client, pool, client.connectionSettings, watch);
    return undefined;
  }
  return Promise.resolve(client.connectionConfigProvider()).then((settings) => {
    if (!seen.has(pool)) adoptTarnPool(client, pool, settings, watch);
  });
}

function ignore(watch: KnexWatch, reason: string): void {
  const said = saidIgnored.get(watch) ?? new Set();
  saidIgnored.set(watch, said);
  if (said.has(reason)) return;
  said.add(reason);
  watch.onIgnored(reason);
}

function adoptTarnPool(client: KnexClient, pool: TarnPool, settings: unknown, watch: KnexWatch): void {
  const driver = client.driver?.Client;
  if (!driver) {
    seen.set(pool, 'left alone');
    return;
  }
  const managed = new ManagedTarnPool(client, pool, driver, settings);
  const gate = watch.onPool(managed);
  seen.set(pool, gate ? managed : 'left alone');
  if (!gate) return;
  managed.intercept(gate, watch);
  watchTransactions(client);
}

const withFlows = new WeakSet<object>();

/** Lets queries inside `knex.transaction(callback)` be recognised: see flow.ts. */
function watchTransactions(client: KnexClient): void {
  const prototype = (client.constructor as { prototype: KnexClient }).prototype;
  if (withFlows.has(prototype)) return;
  withFlows.add(prototype);
  const original = Reflect.get(prototype, 'transaction');
  prototype.transaction = function (this: KnexClient, container, config, outer): unknown {
    // nested ones use their parent's connection
    if (this.transacting || config?.connection) return original.call(this, container, config, outer);
    return inFlow(() => original.call(this, container, config, outer));
  };
}
