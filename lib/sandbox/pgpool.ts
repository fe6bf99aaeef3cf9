// The seam to pg's Pool. Read on pg-pool 3.6.1 (with pg 8.11) to 3.14 (with pg 8.23). What is relied on: `connect` with and
// without a callback (`query` goes through it), `end`, `options`, the property `Client`, the event `release`, `_clients`
// and `_idle`.
import { AsyncResource } from 'node:async_hooks';
import { AppPool, type AppPoolOptions, type PoolSeam } from './app-pool';
import { likenessOf } from './customs';
import { siteOfCall } from './flow';
import type { Gate, ManagedPool, Pool } from './index';
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
  adopted.add(pool);
  const managed = new AppPool(new PgPoolSeam(pool), pool.Client, () => pool.options, pool.options, options);
  managed.gate = onPool(managed);
  if (managed.gate) intercept(pool, managed);
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
