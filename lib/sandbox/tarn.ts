// The seam to Knex's own pools: tarn, read on 3.1.2 (Pool.js). What is relied on: `acquire().promise`, `release`, `destroy`,
// `check`, the limits as properties; to let a process end, `free`, `used` and `interval`; and what is named in takeFree.
import { scopeContext } from '../scope';
import type { OwnConnection } from '../sql';
import { realTimers } from '../timers';
import { appConnectionOf, nowhere } from './app-client';
import { admission, refuseLate } from './checkout';
import { likenessOfKnex, listenToKnex } from './customs';
import { noteDestroyed } from './destroyed';
import type { Gate, Knex, KnexWatch, ManagedPool } from './index';
import { describeExhaustion, noteHolder, noteRealHolder, sitesOf } from './holders';
import { addressOf, connectOwn, endPooled, keyOf, redirected, urlOf } from './own';
import { overhear, overhearNoMore } from './overhear';
import type { ClientClass, PgClient } from './pg-types';
import type { RealSource } from './pinned';
import type { RollbackSandbox } from './sandbox';
import type { KnexClient, TarnPool } from './tarn-types';

export class ManagedTarnPool implements ManagedPool, RealSource {
  readonly key: string;
  readonly label: string;
  readonly knexClient: Knex.Client;
  readonly likeness: string;
  readonly user: string;
  readonly database: string;
  readonly customs = new Set<string>();
  readonly address: ReturnType<typeof addressOf>;
  /** Per sandbox: a pool of the same kind and size that holds client connections. */
  private readonly shadows = new Map<RollbackSandbox, TarnPool>();
  private readonly real: Pick<TarnPool, 'acquire' | 'release' | 'destroy'>;
  private unreffed = false;
  private evictions = 0;
  /** Where real connections lead, if not to the pool's own database. */
  private elsewhere: { readonly database: string; pool?: TarnPool } | undefined;
  private readonly lentBy = new WeakMap<PgClient, TarnPool>();

  constructor(
    private readonly client: KnexClient,
    private readonly pool: TarnPool,
    private readonly driver: ClientClass,
    private readonly settings: unknown,
  ) {
    const address = (this.address = addressOf(driver, settings));
    this.key = keyOf(address);
    this.label = address.database ? `database "${address.database}" (knex)` : 'a database without a name (knex)';
    this.user = address.user;
    this.database = address.database;
    this.knexClient = client as unknown as Knex.Client;
    this.likeness = likenessOfKnex(client, settings);
    this.real = {
      acquire: pool.acquire.bind(pool),
      release: pool.release.bind(pool),
      destroy: pool.destroy.bind(pool),
    };
  }

  async connect(applicationName: string, database?: string): Promise<OwnConnection> {
    const { connectionConfigProvider, connectionSettings } = this.client;
    return connectOwn(
      database === undefined ? this.driver : redirected(this.driver, database),
      connectionConfigProvider ? await connectionConfigProvider() : connectionSettings,
      applicationName,
    );
  }

  url(database: string): string {
    return urlOf(this.address, database);
  }

  redirect(database: string | undefined): void {
    const former = this.elsewhere;
    if (former && former.database === database) return;
    this.elsewhere = database === undefined || database === this.database ? undefined : { database };
    if (!former?.pool) return;
    endIdle(former.pool);
    for (const { resource } of former.pool.used ?? []) endPooled(resource);
    void former.pool.destroy(); // would wait for those that never come back
  }

  async closeIdle(): Promise<void> {
    endIdle(this.pool);
  }

  async closeAll(): Promise<void> {
    for (const pool of this.realPools()) {
      endIdle(pool);
      for (const { resource } of pool.used ?? []) endPooled(resource);
    }
  }

  /** A pool of the app's own kind, with all of its settings, that leads to the other database. */
  private poolOf(elsewhere: { readonly database: string; pool?: TarnPool }): TarnPool {
    if (elsewhere.pool) return elsewhere.pool;
    const { client } = this;
    // As Knex's own transactions do it: another object of the same client, with some properties of its own.
    const driver: unknown = Object.create(client.driver ?? null, {
      Client: { value: redirected(this.driver, elsewhere.database) },
    });
    const redirectedClient = Object.create(client, {
      driver: { value: driver },
      pool: { value: undefined, writable: true },
    }) as KnexClient;
    redirectedClient.initializePool?.();
    if (!redirectedClient.pool) throw new Error('Knex has made no pool');
    return (elsewhere.pool = redirectedClient.pool);
  }

  private async acquireReal(): Promise<PgClient> {
    if (!this.elsewhere) return this.real.acquire().promise;
    const pool = this.poolOf(this.elsewhere);
    const client = await pool.acquire().promise;
    this.lentBy.set(client, pool);
    return client;
  }

  unref(): void {
    // one more may be on its way: tarn creates as many as wait, though another has come free meanwhile
    if (!this.unreffed) this.pool.on?.('createSuccess', () => realTimers.setImmediate(() => this.unref()));
    this.unreffed = true;
    for (const pool of [this.pool, this.elsewhere?.pool]) {
      pool?.interval?.unref();
      for (const { resource } of [...(pool?.free ?? []), ...(pool?.used ?? [])]) resource.unref?.();
    }
  }

  inUse(): number {
    const inUse = (pool: TarnPool | undefined): number =>
      (pool?.used?.length ?? 0) + (pool?.numPendingAcquires?.() ?? 0);
    return inUse(this.pool) + inUse(this.elsewhere?.pool);
  }

  taken(): readonly PgClient[] {
    return this.realPools().flatMap(({ used = [] }) => used.map(({ resource }) => resource));
  }

  evict(connections: ReadonlySet<object>): readonly string[] {
    const evicted = this.taken().filter((client) => connections.has(client));
    this.evictions++;
    for (const client of evicted) {
      endPooled(client);
      this.releaseReal(client);
    }
    return sitesOf(evicted);
  }

  private realPools(): TarnPool[] {
    return this.elsewhere?.pool ? [this.pool, this.elsewhere.pool] : [this.pool];
  }

  pids(): readonly number[] {
    return this.realPools().flatMap(({ free = [], used = [] }) =>
      [...free, ...used].map(({ resource }) => resource.processID),
    );
  }

  waits(): readonly string[] {
    return [...this.realPools(), ...this.shadows.values()].flatMap((pool) =>
      describeExhaustion({
        label: this.label,
        max: pool.max,
        waiting: pool.numPendingAcquires?.() ?? 0,
        taken: (pool.used ?? []).map(({ resource }) => resource),
      }),
    );
  }

  take(): Promise<PgClient> {
    return this.acquireReal();
  }

  give(connection: PgClient): void {
    this.releaseReal(connection);
    if (this.unreffed) this.unref();
  }

  private releaseReal(client: PgClient): boolean {
    const lender = this.lentBy.get(client);
    return lender ? lender.release(client) : this.real.release(client);
  }

  intercept(gate: Gate, watch: KnexWatch): void {
    const { pool } = this;
    listenToKnex(this.client, this.settings, this.customs);
    // own properties of the pool, which clones of the Knex instance share
    pool.acquire = () => ({ promise: this.acquire(gate, watch), abort: () => {} });
    pool.release = (connection) => this.release(connection);
    pool.destroy = () => this.destroy();
  }

  private acquire(gate: Gate, watch: KnexWatch): Promise<PgClient> {
    const admitted = admission(this, gate, watch.onLate?.bind(watch));
    if (admitted instanceof Promise) return admitted.then((a) => this.acquireAs(a, watch));
    return this.acquireAs(admitted, watch);
  }

  private acquireAs(admitted: Awaited<ReturnType<Gate>>, watch: KnexWatch): Promise<PgClient> {
    switch (admitted.to) {
      case 'pool': {
        const origin = scopeContext.getStore();
        const { evictions } = this;
        // a socket that opens now must not belong to the test that happens to run: see origin.ts
        return scopeContext
          .run(undefined, () => this.acquireReal())
          .then((client) => {
            const late = evictions === this.evictions ? undefined : refuseLate(origin, watch.onLate?.bind(watch));
            if (late) {
              this.releaseReal(client);
              return this.nowhere(late);
            }
            noteRealHolder(client);
            return overhear(client);
          });
      }
      case 'nowhere':
        return this.nowhere(admitted.error);
      case 'sandbox':
        return this.acquireIn(admitted.sandbox as RollbackSandbox);
    }
  }

  private async nowhere(error: Error): Promise<PgClient> {
    return (await nowhere(this.driver, this.settings, error)).client;
  }

  private acquireIn(sandbox: RollbackSandbox): Promise<PgClient> {
    const shadow = this.shadowFor(sandbox);
    const free = takeFree(shadow);
    if (free) return Promise.resolve(this.checkout(sandbox, shadow, free));
    return shadow.acquire().promise.then((client) => {
      shadow.interval?.unref(); // it holds nothing worth keeping a process alive for
      return this.checkout(sandbox, shadow, client);
    });
  }

  private checkout(sandbox: RollbackSandbox, shadow: TarnPool, client: PgClient): PgClient {
    const connection = appConnectionOf(client);
    if (connection) {
      const site = sandbox.checkouts.checkout(connection, () => {
        connection.disposed = true;
        shadow.release(client);
      });
      noteHolder(client, site);
    }
    return client;
  }

  /** The sandbox may take connections from now on, whether or not a query comes: the pool's end gives them back. */
  join(sandbox: RollbackSandbox): void {
    this.shadowFor(sandbox);
  }

  /** Limits, waiting, time-outs and the order of reuse are the app's pool's own, because this is one of its kind. */
  private shadowFor(sandbox: RollbackSandbox): TarnPool {
    let shadow = this.shadows.get(sandbox);
    if (!shadow) {
      const Pool = this.pool.constructor as new (options: object) => TarnPool;
      shadow = new Pool({
        min: this.pool.max,
        max: this.pool.max,
        acquireTimeoutMillis: this.pool.acquireTimeoutMillis,
        propagateCreateError: true,
        create: async () => (await sandbox.checkouts.connect(this, this.driver, this.settings)).client,
        destroy: (client: PgClient) => (appConnectionOf(client)?.disposed ? undefined : client.end()), // somebody may have it
        validate: (client: PgClient & { __knex__disposed?: unknown }) =>
          !client.__knex__disposed && !appConnectionOf(client)?.disposed,
      });
      this.shadows.set(sandbox, shadow);
    }
    return shadow;
  }

  private release(client: PgClient): boolean {
    const connection = appConnectionOf(client);
    if (!connection) {
      overhearNoMore(client);
      const released = this.releaseReal(client);
      if (this.unreffed) this.unref();
      return released;
    }
    for (const [sandbox, shadow] of this.shadows) {
      if (!sandbox.checkouts.owns(connection)) continue;
      sandbox.checkouts.checkin(connection);
      return shadow.release(client);
    }
    return true;
  }

  private async destroy(): Promise<unknown> {
    noteDestroyed(this.client);
    for (const [sandbox, shadow] of this.shadows) {
      await shadow.destroy();
      await sandbox.poolEnds(this);
    }
    await this.elsewhere?.pool?.destroy();
    return this.real.destroy();
  }
}

/** Where there is nothing to wait for: what `acquire` would come to, without its two timers and some twenty promises. */
export function takeFree(pool: TarnPool): PgClient | undefined {
  const held = pool.free?.at(-1);
  if (!held || !pool.used || pool.destroyed || pool.numPendingAcquires?.() !== 0) return undefined;
  if (!pool.validate?.(held.resource)) return undefined;
  pool.free?.pop();
  pool.used.push(held);
  return held.resource;
}

/** The pool's own way of ending what has been idle for too long, with nothing too short to be that. */
function endIdle(pool: TarnPool): void {
  const { min, idleTimeoutMillis } = pool;
  Object.assign(pool, { min: 0, idleTimeoutMillis: 0 });
  pool.check();
  Object.assign(pool, { min, idleTimeoutMillis });
}
