// The seam to Knex's own pools: tarn, read on 3.1.2 (Pool.js). What is relied on: `acquire().promise`, `release`, the
// events `release` and `poolDestroyRequest`, `max`; `used`, to tell who has what; `interval`, to let a process end; and
// `creator`, where an app makes the clients of its pool itself (shared-pool.ts). A connection that Knex has marked (`__knex__disposed`) is not handed out again.
import { noteDestroyed } from './destroyed';
import type { AppPool, PoolSeam } from './app-pool';
import type { PgClient } from './pg-types';
import type { KnexClient, TarnPool } from './tarn-types';

type Marked = PgClient & { __knex__disposed?: unknown };

export class TarnSeam implements PoolSeam {
  readonly kind = 'knex';

  constructor(
    private readonly pool: TarnPool,
    readonly likeness: string,
  ) {}

  get max(): number {
    return this.pool.max;
  }
  get waiting(): number {
    return this.pool.numPendingAcquires();
  }
  get taken(): readonly PgClient[] {
    return this.pool.used.map(({ resource }) => resource);
  }

  acquire(): Promise<PgClient> {
    return this.pool.acquire().promise;
  }
  release(client: PgClient): void {
    this.pool.release(client);
  }
  evict(client: Marked): void {
    client.__knex__disposed ??= new Error('the test that had it has ended');
    this.pool.release(client);
  }

  unref(): void {
    this.pool.interval?.unref();
  }
}

/** Tells of connections that come back, and of the pool's end; `owner`: the client whose own pool it is. */
export function listenToTarn(pool: TarnPool, managed: AppPool, owner: KnexClient | undefined): void {
  pool.on('release', (resource: PgClient) => managed.released(resource));
  pool.on('poolDestroyRequest', () => {
    if (owner) noteDestroyed(owner);
    managed.ends();
  });
}
