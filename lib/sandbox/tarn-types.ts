// Of Knex's `Client` and of tarn's pools, what tarn.ts and knex.ts rely on. Types alone.
import type { ClientClass, PgClient } from './pg-types';

interface Acquiring {
  readonly promise: Promise<PgClient>;
  abort(): void;
}

export interface TarnPool {
  readonly max: number;
  readonly used: readonly { resource: PgClient }[];
  readonly interval?: NodeJS.Timeout | null;
  readonly destroyed?: boolean;
  numPendingAcquires(): number;
  acquire(): Acquiring;
  release(client: PgClient): boolean;
  on(event: string, listener: (resource: PgClient) => void): void;
  /** Whether one may be handed out again. */
  validate?: (resource: PgClient & { __knex__disposed?: unknown }) => unknown;
  /** What makes its resources; by callback where it returns nothing. */
  creator?: (callback: (error: unknown, made?: unknown) => void) => unknown;
}

/** Knex's `Client`, as far as it is needed. */
export interface KnexClient {
  pool?: TarnPool | undefined;
  readonly dialect?: string;
  readonly driverName?: string;
  /** Clones that share the pool (`withUserParams`, and so `knex.migrate`) share this object, too. */
  readonly logger?: object;
  readonly driver?: { readonly Client: ClientClass };
  readonly connectionSettings?: unknown;
  readonly connectionConfigProvider?: () => unknown;
  readonly config: { readonly connectionPool?: unknown; readonly pool?: { readonly afterCreate?: unknown } };
  readonly transacting?: boolean;
  readonly searchPath?: string | readonly string[];
  initializePool?(config?: unknown): void;
  acquireRawConnection(): Promise<PgClient>;
  acquireConnection(): Promise<unknown>;
  version?: unknown;
  transaction(container: unknown, config?: { connection?: unknown }, outer?: unknown): unknown;
}
