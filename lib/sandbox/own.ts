// Connections of our own, with an app's settings but on no pool.
import type { OwnConnection } from '../sql';
import type { PgClient } from './wire';

/** pg's `Client`, as far as it is needed to look at settings and to connect. */
export type ConnectingClass = new (settings: unknown) => PgClient & {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  connect(): Promise<unknown>;
};

/** Where settings lead, environment and connection string included. Needs no server. */
export function addressOf(
  Client: ConnectingClass,
  settings: unknown,
): { host: string; port: number; database: string; user: string } {
  const { host, port, database, user } = new Client(settings);
  return { host, port, database, user };
}

/** Settings are passed on as they are: pools keep passwords in properties that a copy would lose. */
export async function connectOwn(
  Client: ConnectingClass,
  settings: unknown,
  applicationName: string,
): Promise<OwnConnection> {
  const client = new Client(settings);
  client.on('error', () => {}); // a loss shows in the next query
  await client.connect();
  const query: OwnConnection['query'] = (sql, values) =>
    new Promise((resolve, reject) => {
      const callback = (error: Error | null, result: unknown): void =>
        error ? reject(error) : resolve(last(result as never));
      client.query(sql, values ? [...values] : [], callback);
    });
  try {
    await query('select pg_catalog.set_config($1, $2, false)', ['application_name', applicationName]);
  } catch (error) {
    await Promise.resolve(client.end()).catch(() => {});
    throw error;
  }
  return {
    query,
    pid: client.processID,
    end: async () => {
      await Promise.resolve(client.end()).catch(() => {});
    },
  };
}

/** Of several results, the last. */
function last<T>(result: T | T[]): T {
  return Array.isArray(result) ? (result.at(-1) as T) : result;
}

/** Pools with the same key are one database to one user: they can share a transaction. */
export function keyOf(address: ReturnType<typeof addressOf>): string {
  return [address.host, address.port, address.user, address.database].join('|');
}
