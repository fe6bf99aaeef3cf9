// The seam to Knex. Read on knex 2.5.1, 3.0.1, 3.1.0 and 3.3.0 (lib/client.js, lib/execution/transaction.js,
// lib/dialects/postgres/index.js) and tarn 3.1.2 (Pool.js). What is relied on: connections are taken by
// `client.acquireConnection()` from `client.pool.acquire().promise`, and given back by `client.pool.release()`; a
// transaction begins in `client.transaction()`; `client.driver` is pg, `client.connectionSettings` what it connects with.
import { requirePeer, resolvePeer } from '../peers';
import { scopeContext } from '../scope';
import { quoteIdent, type OwnConnection } from '../sql';
import { admission } from './checkout';
import { inFlow } from './flow';
import type { Gate, Knex, KnexWatch, ManagedPool } from './index';
import { watchServers } from './origin';
import { addressOf, connectOwn, keyOf, type ConnectingClass } from './own';
import { adoptPgPool, type PgPool } from './pgpool';
import type { RealSource } from './pinned';
import type { RollbackSandbox } from './sandbox';
import { nowhere, virtualOf, type ClientClass, type VirtualConnection } from './virtual';
import type { PgClient } from './wire';

interface Acquiring {
  readonly promise: Promise<PgClient>;
  abort(): void;
}

interface TarnPool {
  readonly min: number;
  readonly max: number;
  readonly acquireTimeoutMillis: number;
  readonly free?: { resource: PgClient }[];
  readonly used?: { resource: PgClient }[];
  interval?: NodeJS.Timeout | null;
  acquire(): Acquiring;
  release(client: PgClient): boolean;
  destroy(): Promise<unknown>;
}

interface KnexClient {
  pool?: TarnPool;
  readonly dialect?: string;
  readonly driverName?: string;
  readonly driver?: { readonly Client: ConnectingClass & ClientClass };
  readonly connectionSettings?: unknown;
  readonly connectionConfigProvider?: () => unknown;
  readonly config: { readonly connectionPool?: unknown };
  readonly transacting?: boolean;
  readonly searchPath?: string | readonly string[];
  acquireConnection(): Promise<unknown>;
  transaction(container: unknown, config?: { connection?: unknown }, outer?: unknown): unknown;
}

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

const announced = new WeakSet<object>();

function announce(prototype: KnexClient, watch: KnexWatch): () => void {
  if (announced.has(prototype)) return () => {};
  announced.add(prototype);
  const original = prototype.acquireConnection;
  prototype.acquireConnection = function (this: KnexClient): Promise<unknown> {
    const adopting = adopt(this, watch);
    if (!adopting) return original.call(this);
    return adopting.then(() => original.call(this));
  };
  return () => {
    prototype.acquireConnection = original;
    announced.delete(prototype);
  };
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
      onLate: watch.onLate,
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
  tellOtherUser(watch, managed);
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
  const original = prototype.transaction;
  prototype.transaction = function (this: KnexClient, container, config, outer): unknown {
    // nested ones use their parent's connection
    if (this.transacting || config?.connection) return original.call(this, container, config, outer);
    return inFlow(() => original.call(this, container, config, outer));
  };
}

const usersOf = new WeakMap<KnexWatch, Map<string, string>>();

/** Two users can't share a session, so they don't share a transaction, and that can't go unnoticed. */
function tellOtherUser(watch: KnexWatch, { address }: ManagedTarnPool): void {
  const users = usersOf.get(watch) ?? new Map<string, string>();
  usersOf.set(watch, users);
  const place = `${address.host}:${address.port}/${address.database}`;
  const first = users.get(place) ?? address.user;
  users.set(place, first);
  if (first === address.user) return;
  ignore(
    watch,
    `Database "${address.database}" is used as "${first}" and as "${address.user}": in rolled-back tests neither sees what the other has written.`,
  );
}

class ManagedTarnPool implements ManagedPool, RealSource {
  readonly key: string;
  readonly label: string;
  readonly knexClient: Knex.Client;
  readonly searchPath: string | undefined;
  readonly address: ReturnType<typeof addressOf>;
  /** Per sandbox: a pool of the same kind and size that holds virtual connections. */
  private readonly shadows = new Map<RollbackSandbox, TarnPool>();
  private readonly real: Pick<TarnPool, 'acquire' | 'release' | 'destroy'>;
  private unreffed = false;

  constructor(
    private readonly client: KnexClient,
    private readonly pool: TarnPool,
    private readonly driver: ConnectingClass & ClientClass,
    settings: unknown,
  ) {
    const address = (this.address = addressOf(driver, settings));
    this.key = keyOf(address);
    this.label = `database "${address.database}" (knex)`;
    this.knexClient = client as unknown as Knex.Client;
    const path = client.searchPath ?? [];
    this.searchPath = path.length === 0 ? undefined : [path].flat().map(quoteIdent).join(', ');
    const { acquire, release, destroy } = pool;
    this.real = {
      acquire: () => acquire.call(pool),
      release: (connection) => release.call(pool, connection),
      destroy: () => destroy.call(pool),
    };
  }

  async connect(applicationName: string): Promise<OwnConnection> {
    const { connectionConfigProvider, connectionSettings } = this.client;
    return connectOwn(
      this.driver,
      connectionConfigProvider ? await connectionConfigProvider() : connectionSettings,
      applicationName,
    );
  }

  unref(): void {
    this.unreffed = true;
    this.pool.interval?.unref();
    for (const { resource } of [...(this.pool.free ?? []), ...(this.pool.used ?? [])]) resource.unref?.();
  }

  take(): Promise<PgClient> {
    return this.real.acquire().promise;
  }

  give(connection: PgClient): void {
    this.real.release(connection);
    if (this.unreffed) this.unref();
  }

  intercept(gate: Gate, watch: KnexWatch): void {
    const { pool } = this;
    // own properties of the pool, which clones of the Knex instance share
    pool.acquire = () => ({ promise: this.acquire(gate, watch), abort: () => {} });
    pool.release = (connection) => this.release(connection);
    pool.destroy = () => this.destroy();
  }

  private acquire(gate: Gate, watch: KnexWatch): Promise<PgClient> {
    const admitted = admission(this, gate, watch.onLate);
    if (admitted instanceof Promise) return admitted.then((a) => this.acquireAs(a));
    return this.acquireAs(admitted);
  }

  private acquireAs(admitted: Awaited<ReturnType<Gate>>): Promise<PgClient> {
    switch (admitted.to) {
      case 'pool':
        // a socket that opens now must not belong to the test that happens to run: see origin.ts
        return scopeContext.run(undefined, () => this.real.acquire().promise);
      case 'nowhere':
        return Promise.resolve(nowhere(this.driver, () => admitted.error).client);
      case 'sandbox':
        return this.acquireVirtual(admitted.sandbox as RollbackSandbox);
    }
  }

  private async acquireVirtual(sandbox: RollbackSandbox): Promise<PgClient> {
    const shadow = this.shadowFor(sandbox);
    const client = await shadow.acquire().promise;
    shadow.interval?.unref(); // it holds nothing worth keeping a process alive for
    const connection = virtualOf(client);
    if (connection) {
      sandbox.checkout(connection, () => {
        connection.disposed = true;
        shadow.release(client);
      });
    }
    return client;
  }

  /** Limits, waiting, time-outs and the order of reuse are the app's pool's own, because this is one of its kind. */
  private shadowFor(sandbox: RollbackSandbox): TarnPool {
    let shadow = this.shadows.get(sandbox);
    if (!shadow) {
      const Pool = this.pool.constructor as new (options: object) => TarnPool;
      const queryTimeout = (this.client.connectionSettings as { query_timeout?: number } | undefined)?.query_timeout;
      shadow = new Pool({
        min: this.pool.max,
        max: this.pool.max,
        acquireTimeoutMillis: this.pool.acquireTimeoutMillis,
        propagateCreateError: true,
        create: async () => (await sandbox.connect(this, this.driver, queryTimeout)).client,
        destroy: () => {},
        validate: (client: PgClient & { __knex__disposed?: unknown }) =>
          !client.__knex__disposed && !virtualOf(client)?.disposed,
      });
      this.shadows.set(sandbox, shadow);
    }
    return shadow;
  }

  private release(client: PgClient): boolean {
    const connection = virtualOf(client);
    if (!connection) {
      const released = this.real.release(client);
      if (this.unreffed) this.unref();
      return released;
    }
    for (const [sandbox, shadow] of this.shadows) {
      if (!isOf(connection, sandbox)) continue;
      sandbox.checkin(connection);
      return shadow.release(client);
    }
    return true;
  }

  private async destroy(): Promise<unknown> {
    for (const [sandbox, shadow] of this.shadows) {
      await shadow.destroy();
      await sandbox.poolEnds(this);
    }
    return this.real.destroy();
  }
}

function isOf(connection: VirtualConnection, sandbox: RollbackSandbox): boolean {
  return sandbox.owns(connection);
}
