// Of pg's Pool, what pgpool.ts relies on. Types alone.
import type { ClientClass, PgClient } from './pg-types';

export type Release = (error?: Error | boolean) => void;
export type PooledClient = PgClient & { release: Release };
export type OnConnect = (error: Error | undefined, client: PooledClient | undefined, release: Release) => void;

export interface PgPool {
  Client: ClientClass;
  readonly options: Record<string, unknown> & { max: number; allowExitOnIdle?: boolean; query_timeout?: number };
  readonly _clients: readonly PgClient[];
  readonly _idle: readonly { client: PgClient; timeoutId?: NodeJS.Timeout }[];
  readonly waitingCount: number;
  connect(): Promise<PooledClient>;
  connect(callback: OnConnect): void;
  end(callback?: (error?: Error) => void): Promise<void>;
  on(event: string, listener: (...args: never[]) => void): void;
  listeners(event: string): readonly unknown[];
}
