// The seam to Knex. Read on knex 2.5.1, 3.0.1, 3.1.0 and 3.3.0 (lib/client.js, lib/execution/transaction.js,
// lib/dialects/postgres/index.js). What is relied on: connections are taken by `client.acquireConnection()`; the pool makes
// them by `client.acquireRawConnection()`, as `new client.driver.Client(client.connectionSettings)`, and keeps the server's
// version in `client.version`; a transaction begins in `client.transaction()`.
import { requirePeer, resolvePeer } from '../peers';
import { nameOf } from '../scope';
import { revive } from './destroyed';
import { inFlow } from './flow';
import type { Knex, KnexWatch } from './index';
import { AppPool } from './app-pool';
import { adoptPgPool } from './pgpool';
import type { PgPool } from './pgpool-types';
import { listenToTarn, TarnSeam } from './tarn';
import type { PgClient } from './pg-types';
import type { KnexClient, TarnPool } from './tarn-types';

/** Pools that were looked at, and what became of them. */
const seen = new WeakMap<object, AppPool | 'left alone'>();
const saidIgnored = new WeakMap<KnexWatch, Set<string>>();

/**
 * From now on each PostgreSQL pool of the project's Knex is announced before its first checkout. Returns the way back.
 */
export function watchKnex(watch: KnexWatch): () => void {
  const undo: (() => void)[] = [];
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
  return announce(prototypeWith('acquireConnection', client), watch);
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
    return adopting ? adopting.then(() => acquire(this, original)) : acquire(this, original);
  };
  return told;
}

/** By way of the pool's manager, if it has one. */
function acquire(client: KnexClient, original: (this: KnexClient) => Promise<unknown>): Promise<unknown> {
  const managed = client.pool && seen.get(client.pool);
  if (!(managed instanceof AppPool)) return original.call(client);
  return managed.acquire(() => original.call(client) as Promise<PgClient>);
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
  const managed = new AppPool(
    new TarnSeam(client, pool, settings),
    driver,
    () => client.connectionConfigProvider?.() ?? client.connectionSettings,
    settings,
    { knexClient: client as never, onLate: watch.onLate?.bind(watch) },
  );
  managed.gate = watch.onPool(managed);
  seen.set(pool, managed.gate ? managed : 'left alone');
  if (!managed.gate) return;
  listenToTarn(pool, client, managed);
  watchCreation(client);
  watchTransactions(client);
}

const withCreation = new WeakSet<object>();

/** Has pools that are managed make clients on streams of ours. */
function watchCreation(client: KnexClient): void {
  const prototype = prototypeWith('acquireRawConnection', client);
  if (withCreation.has(prototype)) return;
  withCreation.add(prototype);
  const original = Reflect.get(prototype, 'acquireRawConnection');
  prototype.acquireRawConnection = async function (this: KnexClient): Promise<PgClient> {
    const managed = this.pool && seen.get(this.pool);
    if (!(managed instanceof AppPool)) return original.call(this);
    const Client = function (settings: unknown): PgClient {
      return managed.makeClient(settings);
    };
    // As Knex's own transactions do it: another object of the same client, with a property of its own.
    const driver: unknown = Object.create(this.driver ?? null, { Client: { value: Client } });
    const derived = Object.create(this, { driver: { value: driver } }) as KnexClient;
    const made = await original.call(derived);
    if (Object.hasOwn(derived, 'version')) this.version = derived.version;
    return made;
  };
}

function prototypeWith(method: string, client: KnexClient): KnexClient {
  let prototype: object = client;
  while (!Object.hasOwn(prototype, method)) prototype = Object.getPrototypeOf(prototype) as object;
  return prototype as KnexClient;
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
