// What is private to pg, or not in its types, and is relied on. Read on pg 8.11.3, 8.16.3 and 8.23.1 (lib/client.js,
// lib/connection.js).
import type { EventEmitter } from 'node:events';

export interface PgConnection extends EventEmitter {
  /** The socket. Its one `data` listener is the parser's. */
  readonly stream: Socket;
  ssl: unknown;
}

type Socket = import('node:stream').Duplex & { ref?(): unknown; unref?(): unknown };

export interface PgClient extends EventEmitter {
  readonly connection: PgConnection;
  readonly processID: number;
  readonly secretKey: number;
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly connectionParameters: { query_timeout?: number | false };
  connect(): Promise<unknown>;
  connect(callback: (error?: Error) => void): void;
  query(text: string, values: readonly unknown[], callback: (error: Error | null, result: unknown) => void): void;
  end(callback?: () => void): Promise<void> | void;
  unref?(): void;
}

/** What is left in a client of what it was made with, beside its `connectionParameters`. */
export interface PrivateClient extends PgClient {
  readonly connection: PgConnection & { readonly _keepAlive?: boolean; readonly _keepAliveInitialDelayMillis?: number };
  readonly password: unknown;
  readonly ssl: unknown;
  readonly binary?: boolean;
  readonly enableChannelBinding?: boolean;
  readonly pipeline?: boolean;
  readonly _types: unknown;
  readonly _connectionTimeoutMillis: number;
}

/** pg's `Client`, of whichever copy of pg. */
export type ClientClass = new (settings: unknown) => PgClient;
