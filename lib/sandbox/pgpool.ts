// The seam to pg's Pool. Read on pg-pool 3.6.1 (with pg 8.11) to 3.14 (with pg 8.23). What is relied on:
// `connect` with and without a callback (`query` goes through it), `end`, `options`, the option `Client`, the events
// `acquire` and `release`; and, private but dispensable, `_clients` and `_idle`.
import { AsyncResource } from 'node:async_hooks';
import { scopeContext } from '../scope';
import type { OwnConnection } from '../sql';
import { appConnectionOf, nowhere } from './app-client';
import { admission, refuseLate, type OnLate } from './checkout';
import { listenToPgPool } from './customs';
import type { Admission, Gate, Knex, ManagedPool, Pool } from './index';
import { siteOfCall } from './flow';
import { describeExhaustion, noteHolder, noteRealHolder, sitesOf } from './holders';
import { addressOf, connectOwn, endPooled, keyOf, redirected, urlOf } from './own';
import { overhear, overhearNoMore } from './overhear';
import type { PgClient } from './pg-types';
import type { OnConnect, PgPool, PooledClient } from './pgpool-types';
import type { RealSource } from './pinned';
import type { RollbackSandbox } from './sandbox';

const adopted = new WeakMap<object, ManagedPgPool>();

export interface PgPoolOptions {
  /** The Knex client whose `connectionPool` it is. */
  readonly knexClient?: Knex.Client | undefined;
  readonly onLate?: OnLate | undefined;
}

/** Makes the checkouts of a `pg.Pool` ask the gate. `pg.Client`s made without a pool stay what they are. */
export function managePgPool(
  pool: Pool,
  onPool: (pool: ManagedPool) => Gate | undefined,
  options: PgPoolOptions = {},
): void {
  adoptPgPool(pool as unknown as PgPool, onPool, options);
}

export function adoptPgPool(
  pool: PgPool,
  onPool: (pool: ManagedPool) => Gate | undefined,
  options: PgPoolOptions,
): void {
  if (adopted.has(pool)) return;
  const managed = new ManagedPgPool(pool, options);
  adopted.set(pool, managed);
  const gate = onPool(managed);
  if (gate) managed.intercept(gate);
}

function clientsOf(pool: PgPool): readonly PgClient[] {
  return pool._clients ?? [];
}

export class ManagedPgPool implements ManagedPool, RealSource {
  readonly key: string;
  readonly label: string;
  readonly knexClient: Knex.Client | undefined;
  readonly customs = new Set<string>();
  readonly user: string;
  private readonly alike: () => string;
  private readonly address: ReturnType<typeof addressOf>;
  private evictions = 0;
  private readonly shadows = new Map<RollbackSandbox, PgPool>();
  /** Where real connections lead, if not to the pool's own database. */
  private elsewhere: { readonly database: string; pool?: PgPool; readonly lent: Set<PooledClient> } | undefined;
  private readonly real: { connect: () => Promise<PooledClient>; end: () => Promise<void> };

  constructor(
    private readonly pool: PgPool,
    private readonly options: PgPoolOptions,
  ) {
    const address = (this.address = addressOf(pool.Client, pool.options));
    this.key = keyOf(address);
    this.label = address.database ? `database "${address.database}" (pg.Pool)` : 'a database without a name (pg.Pool)';
    this.knexClient = options.knexClient;
    this.user = address.user;
    this.alike = listenToPgPool(pool, this.customs);
    this.real = {
      connect: pool.connect.bind(pool),
      end: pool.end.bind(pool),
    };
  }

  get likeness(): string {
    return this.alike();
  }

  get database(): string {
    return this.address.database;
  }

  connect(applicationName: string, database?: string): Promise<OwnConnection> {
    const { Client, options } = this.pool;
    return connectOwn(database === undefined ? Client : redirected(Client, database), options, applicationName);
  }

  url(database: string): string {
    return urlOf(this.address, database);
  }

  redirect(database: string | undefined): void {
    const former = this.elsewhere;
    if (former && former.database === database) return;
    const isAway = database !== undefined && database !== this.database;
    this.elsewhere = isAway ? { database, lent: new Set() } : undefined;
    void former?.pool?.end().catch(() => {}); // the app may have ended it
    former?.lent.forEach(endPooled);
  }

  /** Takes each idle connection out, and tells the pool to end it. */
  async closeIdle(): Promise<void> {
    await endIdle(this.pool.idleCount, this.real.connect);
  }

  async closeAll(): Promise<void> {
    this.taken().forEach(endPooled);
    await this.closeIdle();
    const other = this.elsewhere?.pool;
    if (other) await endIdle(other.idleCount, () => other.connect());
  }

  /** A pool of the same kind, with all of its settings, that leads to the other database. */
  private poolOf(elsewhere: NonNullable<ManagedPgPool['elsewhere']>): PgPool {
    if (elsewhere.pool) return elsewhere.pool;
    const { pool } = this;
    const Client = redirected(pool.Client, elsewhere.database);
    const Pool = pool.constructor as new (options: object, client: unknown) => PgPool;
    // The password is a property that a spread leaves out (pg-pool, index.js).
    const other = new Pool({ ...pool.options, password: pool.options['password'], Client }, Client);
    const emit = (pool as unknown as NodeJS.EventEmitter).emit.bind(pool);
    other.on('connect', (client: PgClient) => emit('connect', client));
    other.on('error', () => {});
    other.on('acquire', (client: PooledClient) => void elsewhere.lent.add(client));
    other.on('release', (_error: unknown, client: PooledClient) => {
      elsewhere.lent.delete(client);
      overhearNoMore(client);
    });
    return (elsewhere.pool = other);
  }

  private connectReal(): Promise<PooledClient> {
    return this.elsewhere ? this.poolOf(this.elsewhere).connect() : this.real.connect();
  }

  unref(): void {
    for (const pool of [this.pool, this.elsewhere?.pool]) {
      if (!pool) continue;
      pool.options.allowExitOnIdle = true;
      for (const { client, timeoutId } of pool._idle ?? []) {
        client.unref?.();
        timeoutId?.unref();
      }
    }
  }

  inUse(): number {
    const inUse = ({ totalCount, idleCount, waitingCount }: PgPool): number => totalCount - idleCount + waitingCount;
    return inUse(this.pool) + (this.elsewhere?.pool ? inUse(this.elsewhere.pool) : 0);
  }

  taken(): readonly PooledClient[] {
    return this.realPools().flatMap((pool) =>
      clientsOf(pool).filter((client) => !pool._idle?.some((idle) => idle.client === client)),
    ) as PooledClient[];
  }

  evict(connections: ReadonlySet<object>): readonly string[] {
    const evicted = this.taken().filter((client) => connections.has(client));
    this.evictions++;
    for (const client of evicted) {
      endPooled(client);
      client.release(true);
      client.release = () => {}; // whoever has it may yet give it back
    }
    return sitesOf(evicted);
  }

  private realPools(): PgPool[] {
    return this.elsewhere?.pool ? [this.pool, this.elsewhere.pool] : [this.pool];
  }

  pids(): readonly number[] {
    return this.realPools().flatMap((pool) => clientsOf(pool).map((client) => client.processID));
  }

  waits(): readonly string[] {
    return [...this.realPools(), ...this.shadows.values()].flatMap((pool) =>
      describeExhaustion({
        label: this.label,
        max: pool.options.max,
        waiting: pool.waitingCount,
        taken: clientsOf(pool).filter((client) => !pool._idle?.some((idle) => idle.client === client)),
      }),
    );
  }

  take(): Promise<PgClient> {
    return this.connectReal();
  }

  give(client: PgClient): void {
    (client as PooledClient).release();
  }

  intercept(gate: Gate): void {
    const connect = (callback?: OnConnect): Promise<PooledClient> | undefined => {
      const promise = this.acquire(gate, callback ? undefined : siteOfCall(connect));
      if (!callback) return promise;
      const bound = AsyncResource.bind(callback);
      promise.then(
        (client) => bound(undefined, client, client.release),
        (error: Error) => bound(error, undefined, () => {}),
      );
      return undefined;
    };
    this.pool.on('release', (_error: unknown, client: PgClient) => overhearNoMore(client));
    this.pool.connect = connect as PgPool['connect'];
    this.pool.end = async (callback) => {
      for (const [sandbox, shadow] of this.shadows) {
        await shadow.end();
        await sandbox.poolEnds(this);
      }
      await this.elsewhere?.pool?.end();
      await this.real.end();
      callback?.();
    };
  }

  private async acquire(gate: Gate, site: (() => string) | undefined): Promise<PooledClient> {
    const answer = admission(this, gate, this.options.onLate);
    const admitted: Admission = answer instanceof Promise ? await answer : answer;
    switch (admitted.to) {
      case 'pool': {
        const origin = scopeContext.getStore();
        const { evictions } = this;
        return scopeContext
          .run(undefined, () => this.connectReal())
          .then((client) => {
            const late = evictions === this.evictions ? undefined : refuseLate(origin, this.options.onLate);
            if (late) {
              client.release();
              return this.nowhere(late);
            }
            noteRealHolder(client, site);
            return overhear(client);
          });
      }
      case 'nowhere':
        return this.nowhere(admitted.error);
      case 'sandbox': {
        const sandbox = admitted.sandbox as RollbackSandbox;
        const client = await this.shadowFor(sandbox).connect();
        const connection = appConnectionOf(client);
        if (connection) noteHolder(client, sandbox.checkouts.checkout(connection) ?? site);
        return client;
      }
    }
  }

  private async nowhere(error: Error): Promise<PooledClient> {
    const { client } = await nowhere(this.pool.Client, this.pool.options, error);
    return Object.assign(client, { release: () => {} });
  }

  /** The sandbox may take connections from now on, whether or not a query comes: the pool's end gives them back. */
  join(sandbox: RollbackSandbox): void {
    this.shadowFor(sandbox);
  }

  /** A pool of the same kind with the same limits, whose clients are on streams of ours. */
  private shadowFor(sandbox: RollbackSandbox): PgPool {
    let shadow = this.shadows.get(sandbox);
    if (shadow) return shadow;
    const { pool } = this;
    const make = (): PgClient => {
      const { client } = sandbox.checkouts.create(this, pool.Client, pool.options);
      const { connection } = client;
      const connect = client.connect.bind(client);
      // A pool that thinks connecting takes too long destroys the socket (pg-pool, newClient). How long the real one may
      // take is up to the pool that it comes from.
      return Object.assign(client, {
        connection: undefined,
        isConnected: () => true,
        connect: (callback: (error?: Error) => void) => {
          sandbox.checkouts.prepare(this).then(() => {
            Object.assign(client, { connection });
            connect(callback);
          }, callback);
        },
      });
    };
    const StreamClient = function (): PgClient {
      return make();
    };
    const Pool = pool.constructor as new (options: object, client: unknown) => PgPool;
    const { onConnect: _onConnect, verify: _verify, ...limits } = pool.options;
    shadow = new Pool(
      { ...limits, Client: StreamClient, idleTimeoutMillis: 0, maxUses: Infinity, maxLifetimeSeconds: 0, min: 0 },
      StreamClient,
    );
    shadow.on('release', (_error: unknown, client: PgClient) => {
      const connection = appConnectionOf(client);
      if (connection) sandbox.checkouts.checkin(connection);
    });
    shadow.on('error', () => {});
    this.shadows.set(sandbox, shadow);
    return shadow;
  }
}

async function endIdle(count: number, connect: () => Promise<PooledClient>): Promise<void> {
  const idle = await Promise.all(Array.from({ length: count }, connect));
  for (const client of idle) client.release(true);
}
