// Custom parameters (`app.tenant`) are in no list of the server's. Whoever sets one on a new connection names it.
import type { PgPool } from './pgpool-types';
import type { KnexClient } from './tarn-types';
import type { PgClient } from './pg-types';

const CUSTOM = /\b[a-z_]\w*\.[a-z_][\w.]*/gi;

function namesIn(text: unknown, names: Set<string>): void {
  if (typeof text === 'string') for (const [name] of text.matchAll(CUSTOM)) names.add(name.toLowerCase());
}

/** Notes what may be a parameter in all that a new connection is sent, until somebody has it. See overhear.ts. */
function listenForNames(client: PgClient, names: Set<string>): void {
  const query = Reflect.get(client, 'query') as (this: PgClient, ...args: unknown[]) => unknown;
  Object.defineProperty(client, 'query', {
    configurable: true,
    writable: true,
    value: function (this: PgClient, ...args: unknown[]): unknown {
      for (const given of args) {
        namesIn(given, names);
        if (Array.isArray(given)) for (const value of given as unknown[]) namesIn(value, names);
        else if (typeof given === 'object' && given !== null) namesIn((given as { text?: unknown }).text, names);
      }
      return Reflect.apply(query, this, args);
    },
  });
}

/** `afterCreate` comes after what this wraps (knex 2.5 to 3.3, client.js: getPoolSettings). */
export function listenToKnex(client: KnexClient, settings: unknown, names: Set<string>): void {
  namesIn((settings as { options?: unknown } | undefined)?.options ?? process.env['PGOPTIONS'], names);
  if (!client.acquireRawConnection || !client.config.pool?.afterCreate) return;
  const acquire = Reflect.get(client, 'acquireRawConnection') as (this: KnexClient) => Promise<PgClient>;
  // not bound: what is derived from the client leads to another database
  client.acquireRawConnection = async function (this: KnexClient) {
    const connection = await acquire.call(this);
    listenForNames(connection, names);
    return connection;
  };
}

/** What the pool of a Knex client is like. */
export function likenessOfKnex(client: KnexClient, settings: unknown): string {
  return likenessOf([settings, client.searchPath, client.config.pool?.afterCreate]);
}

/** Returns what the pool is like; asked for at its first checkout, when the app has set its listeners. */
export function listenToPgPool(pool: PgPool, names: Set<string>): () => string {
  const listener = (client: PgClient): void => listenForNames(client, names);
  pool.prependListener('connect', listener);
  namesIn(pool.options['options'] ?? process.env['PGOPTIONS'], names);
  let likeness: string | undefined;
  return () => (likeness ??= likenessOf([pool.options, pool.listeners('connect').filter((one) => one !== listener)]));
}

/** What tells pools apart that make their connections differently. Two that can't be told apart are alike. */
export function likenessOf(parts: readonly unknown[]): string {
  try {
    return JSON.stringify(parts, (_key, value: unknown) => (typeof value === 'function' ? numberOf(value) : value));
  } catch {
    return `unique ${++serial}`; // settings that lead in a circle
  }
}

let serial = 0;
const numbers = new WeakMap<object, string>();

/** Functions with the same source may close over different things. */
function numberOf(fn: object): string {
  let number = numbers.get(fn);
  if (number === undefined) numbers.set(fn, (number = `function ${++serial}`));
  return number;
}
