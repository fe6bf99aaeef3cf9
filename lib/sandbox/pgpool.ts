// The seam to pg's Pool. Read on pg-pool 3.6.1 (with pg 8.11) to 3.14 (with pg 8.23). What is relied on: `connect` with and
// without a callback (`query` goes through it), `end`, `options`, the property `Client`, the event `release`, `_clients`
// and `_idle`.
import { AsyncResource } from 'node:async_hooks';
import { requirePeer, resolvePeer } from '../peers';
import { AppPool, type AppPoolOptions, type PoolSeam } from './app-pool';
import { BareClients } from './bare-clients';
import { eachDriverModule } from './copies';
import { likenessOf } from './customs';
import { siteOfCall } from './flow';
import type { Gate, KnexWatch, ManagedPool, Pool } from './index';
import { watchAllClients } from './pg-clients';
import type { PgClient } from './pg-types';
import type { OnConnect, PgPool, PooledClient } from './pgpool-types';

const adopted = new WeakSet<object>();

/** Makes the checkouts of a `pg.Pool` ask the gate. `pg.Client`s made without a pool stay what they are. */
export function managePgPool(
  pool: Pool,
  onPool: (pool: ManagedPool) => Gate | undefined,
  options: AppPoolOptions = {},
): void {
  adoptPgPool(pool as unknown as PgPool, onPool, options);
}

export function adoptPgPool(
  pool: PgPool,
  onPool: (pool: ManagedPool) => Gate | undefined,
  options: AppPoolOptions,
): void {
  if (adopted.has(pool)) return;
  const managed = new AppPool(new PgPoolSeam(pool), pool.Client, () => pool.options, pool.options, options);
  managed.gate = onPool(managed);
  if (!managed.gate) return;
  adopted.add(pool);
  intercept(pool, managed);
}

/**
 * From now on each `pg.Pool`, and each `pg.Client` that is on no pool that is managed, is announced before it connects,
 * whichever copy of pg it is of. One that is not wanted is announced again: what is managed may have changed.
 */
export function watchPg(watch: Pick<KnexWatch, 'onPool' | 'onLate'>): void {
  const options = { onLate: watch.onLate?.bind(watch) };
  const onPool = (pool: ManagedPool): Gate | undefined => watch.onPool(pool);
  const hooked = new WeakSet<object>();
  eachDriverModule((exported) => {
    const { prototype } = exported as { prototype: PgPool | undefined };
    if (!prototype || hooked.has(prototype) || !Object.hasOwn(prototype, 'newClient')) return;
    hooked.add(prototype);
    const connect = Reflect.get(prototype, 'connect') as (...given: unknown[]) => unknown;
    prototype.connect = function (this: PgPool, ...given: unknown[]): never {
      const isNew = !adopted.has(this);
      if (isNew) adoptPgPool(this, onPool, options);
      const own = isNew && adopted.has(this) ? Reflect.get(this, 'connect') : connect;
      return Reflect.apply(own, this, given) as never;
    };
  });
  const bare = new BareClients(onPool, options);
  watchAllClients((client) => bare.take(client));
  if (resolvePeer('pg') !== undefined) requirePeer('pg'); // a loader for ES modules may let nobody see it later
}

class PgPoolSeam implements PoolSeam {
  readonly kind = 'pg.Pool';
  private known: string | undefined;

  constructor(private readonly pool: PgPool) {}

  /** Asked for at its first checkout, when the app has set its listeners. */
  get likeness(): string {
    return (this.known ??= likenessOf([this.pool.options, this.pool.listeners('connect')]));
  }

  get max(): number {
    return this.pool.options.max;
  }
  get waiting(): number {
    return this.pool.waitingCount;
  }
  get taken(): readonly PgClient[] {
    const { _clients, _idle } = this.pool;
    return _clients.filter((client) => !_idle.some((idle) => idle.client === client));
  }

  acquire(): Promise<PgClient> {
    return asItsClass(this.pool, 'connect');
  }
  release(client: PgClient): void {
    (client as PooledClient).release();
  }
  evict(client: PgClient): void {
    const pooled = client as PooledClient;
    pooled.release(true);
    pooled.release = () => {}; // whoever has it may yet give it back
  }

  unref(): void {
    this.pool.options.allowExitOnIdle = true;
    for (const { timeoutId } of this.pool._idle) timeoutId?.unref();
  }
}

/** As the pool's class does it now: somebody may have wrapped that (tracing). */
function asItsClass<Result>(pool: PgPool, method: 'connect' | 'end', given: readonly unknown[] = []): Promise<Result> {
  const own: unknown = Reflect.get(Object.getPrototypeOf(pool) as object, method);
  return Reflect.apply(own as (...given: unknown[]) => Promise<Result>, pool, given);
}

function intercept(pool: PgPool, managed: AppPool): void {
  const MakesClients = function (settings: unknown): PgClient {
    return managed.makeClient(settings);
  };
  Object.defineProperty(MakesClients, 'prototype', { value: pool.Client.prototype });
  pool.Client = MakesClients as never;
  pool.on('release', (_error: unknown, client: PgClient) => managed.released(client));
  const connect = (callback?: OnConnect): Promise<PooledClient> | undefined => {
    const site = callback ? undefined : siteOfCall(connect);
    const promise = managed.acquire(() => asItsClass(pool, 'connect'), site) as Promise<PooledClient>;
    if (!callback) return promise;
    const bound = AsyncResource.bind(callback);
    promise.then(
      (client) => bound(undefined, client, client.release),
      (error: Error) => bound(error, undefined, () => {}),
    );
    return undefined;
  };
  pool.connect = connect as PgPool['connect'];
  pool.end = (...given) => {
    managed.ends();
    return asItsClass(pool, 'end', given);
  };
}
