// Connections of our own, with an app's settings but on no pool.
import { openingOwn } from '../own-sockets';
import { asOwn } from '../pooler';
import type { OwnConnection } from '../sql';
import type { ClientClass, PgClient } from './pg-types';

/** Where settings lead, environment and connection string included. Needs no server. */
export function addressOf(
  Client: ClientClass,
  settings: unknown,
): { host: string; port: number; database: string; user: string } {
  const { host, port, database, user } = new Client(settings);
  return { host, port, database, user };
}

/** The same class, connecting to another database of the same server, whichever way the settings name theirs. */
export function redirected<Class extends ClientClass>(Client: Class, database: string): Class {
  const Base: ClientClass = Client;
  return class extends Base {
    constructor(settings: unknown) {
      super(settings);
      // What the start-up message is made of (pg 8.11 to 8.23, client.js: getStartupConf).
      Object.assign(this, { database });
      Object.assign(this.connectionParameters, { database });
    }
  } as Class;
}

/** Ends a connection that its pool may still count: the pool's own validation takes it out when it is next seen. */
export function endPooled(client: PgClient & { __knex__disposed?: unknown }): void {
  client.__knex__disposed ??= new Error('its database is closed');
  if (!client.listenerCount('error')) client.on('error', () => {});
  void Promise.resolve(client.end()).catch(() => {});
}

/** A URL that leads to another database of the same server, without the password: it is going to be printed. */
export function urlOf({ host, port, user }: Omit<ReturnType<typeof addressOf>, 'database'>, database: string): string {
  const url = new URL(`postgresql://localhost:${port}`);
  url.username = encodeURIComponent(user);
  url.pathname = `/${encodeURIComponent(database)}`;
  if (host.startsWith('/')) url.searchParams.set('host', host);
  else url.hostname = host.includes(':') ? `[${host}]` : host;
  return url.href;
}

/** Those that are open, or being opened, and the process ids of those whose session is known. */
const open = new Map<PgClient, number | undefined>();
let givenUp: Error | undefined;

export function ownPids(): number[] {
  return [...open.values()].filter((pid) => pid !== undefined);
}

/** Cuts all of them, whatever they wait for, and opens no more, for this reason; until it is undefined again. */
export function giveUpConnections(reason: Error | undefined): void {
  givenUp = reason;
  if (reason) for (const client of open.keys()) client.connection.stream.destroy?.();
}

/** Settings are passed on as they are: pools keep passwords in properties that a copy would lose. */
export async function connectOwn(
  Client: ClientClass,
  settings: unknown,
  applicationName: string,
): Promise<OwnConnection> {
  if (givenUp) throw givenUp;
  const client = new Client(settings);
  client.on('error', () => {}); // a loss shows in the next query
  open.set(client, undefined);
  client.once('end', () => open.delete(client));
  try {
    await openingOwn(() => client.connect());
  } catch (error) {
    open.delete(client);
    throw error;
  }
  const query: OwnConnection['query'] = (sql, values) =>
    new Promise((resolve, reject) => {
      const callback = (error: Error | null, result: unknown): void =>
        error ? reject(error) : resolve(last(result as never));
      client.query(sql, values ? [...values] : [], callback);
    });
  try {
    await query('select pg_catalog.set_config($1, $2, false)', ['application_name', applicationName]);
    const connection = await asOwn(query, client, async () => client.end());
    if (open.has(client)) open.set(client, connection.pid);
    return connection;
  } catch (error) {
    await Promise.resolve(client.end()).catch(() => {});
    throw error;
  }
}

/** Of several results, the last. */
function last<T>(result: T | T[]): T {
  return Array.isArray(result) ? (result.at(-1) as T) : result;
}

/** Where an address leads, however it spells this machine. */
export function placeOf({ host, port, database }: ReturnType<typeof addressOf>): string {
  const isHere = host.startsWith('/') || /^(?:localhost|127\..*|::1)$/.test(host);
  return [isHere ? 'localhost' : host, port, database].join('|');
}

/** Pools with the same key are one database: they can share a transaction. */
export function keyOf(address: ReturnType<typeof addressOf>): string {
  return [address.host, address.port, address.database].join('|');
}
