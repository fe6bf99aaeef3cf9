import type { Socket } from 'node:net';
import type { Client } from 'pg';
import { openingOwn } from '../own-sockets';
import { requirePeer } from '../peers';
import { asOwn } from '../pooler';
import type { OwnConnection } from '../sql';

/** A connection that can go on while nothing else does. */
export interface UrlConnection extends OwnConnection {
  /** From now on it does not hold the process. Not for a connection that anything is awaited of. */
  unref(): void;
  /** From now on it does. */
  ref(): void;
}

/** A connection to `database` on the server, and with the settings, that `url` names. */
export async function connectByUrl(url: string, database: string): Promise<UrlConnection> {
  const pg = requirePeer<typeof import('pg')>('pg');
  const client: Client = new pg.Client({
    connectionString: urlWithDatabase(url, database),
    application_name: 'mocha-rewind',
  });
  // An idle connection that the server ends must not end the process; the next query says so.
  client.on('error', () => {});
  await openingOwn(() => client.connect());
  const { stream } = (client as unknown as { connection: { stream: Socket } }).connection;
  const query = ((sql: string, values?: unknown[]) => client.query(sql, values)) as OwnConnection['query'];
  return {
    ...(await asOwn(query, client as unknown as { processID: number }, () => client.end())),
    unref: () => void stream.unref(),
    ref: () => void stream.ref(),
  };
}

export function urlWithDatabase(url: string, database: string): string {
  const changed = new URL(url);
  changed.pathname = `/${encodeURIComponent(database)}`;
  return changed.href;
}

/** The database a URL names; undefined where it leaves that to the role's name. */
export function databaseOfUrl(url: string): string | undefined {
  return decodeURIComponent(new URL(url).pathname.slice(1)) || undefined;
}
