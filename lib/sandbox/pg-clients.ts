// Clients of pg that an app makes itself. Read on pg 8.11.3, 8.16.3 and 8.23.1 (lib/client.js, lib/connection.js,
// lib/connection-parameters.js). What is relied on: a client connects in `Client.prototype.connect`, by way of
// `connection.stream`, which nothing has used before; what it was made with is in `connectionParameters` and in the
// properties of PrivateClient. Canary: test/sandbox/versions.test.ts.
import { AsyncLocalStorage } from 'node:async_hooks';
import { opensOwn } from '../own-sockets';
import { appConnectionOf } from './app-client';
import { eachDriverModule } from './copies';
import type { ClientClass, PgClient, PrivateClient } from './pg-types';

/** Gets each client just before it connects, and may lead it elsewhere. */
export type TakeClient = (client: PgClient) => void;

interface Making {
  readonly take: TakeClient;
  over: boolean;
}
const making = new AsyncLocalStorage<Making>();

/** While `make` runs, what connects in it is given to `take`. */
export async function clientsMadeIn<Result>(make: () => Promise<Result>, take: TakeClient): Promise<Result> {
  watchClients();
  const current = { take, over: false };
  try {
    return await making.run(current, make);
  } finally {
    current.over = true; // what it has begun goes on, and belongs to somebody else
  }
}

const everywhere: TakeClient[] = [];

/** From now on what connects is given to `take`, unless it is made for somebody. Returns the way back. */
export function watchAllClients(take: TakeClient): () => void {
  watchClients();
  everywhere.push(take);
  return () => void everywhere.splice(everywhere.indexOf(take), 1);
}

const hooked = new WeakSet<object>();
let watching = false;

/** Every copy of pg. The hooks stay: without anybody to take its clients, they do nothing. */
function watchClients(): void {
  if (watching) return;
  watching = true;
  eachDriverModule((exported) => {
    const { prototype } = exported as { prototype: PrivateClient };
    if (!isClient(prototype) || hooked.has(prototype)) return;
    hooked.add(prototype);
    const connect = Reflect.get(prototype, 'connect') as (...given: unknown[]) => unknown;
    prototype.connect = function (this: PgClient, ...given: unknown[]): never {
      if (!opensOwn() && !appConnectionOf(this)) takerOf()?.(this);
      return Reflect.apply(connect, this, given) as never;
    };
  });
}

function takerOf(): TakeClient | undefined {
  const current = making.getStore();
  return current && !current.over ? current.take : everywhere.at(-1);
}

function isClient(prototype: object | undefined): prototype is PrivateClient {
  if (!prototype) return false;
  return ['connect', 'query', 'end', 'getStartupConf'].every((name) => Object.hasOwn(prototype, name));
}

/** Whether it is one of pg's own, and not of its native binding. */
export function isPgClient(value: unknown): value is PgClient {
  return typeof value === 'object' && value !== null && classOf(value) !== undefined;
}

/** pg's own class, below those that an app has derived from it. */
function classOf(client: object): ClientClass | undefined {
  for (let one: object | null = client; one; one = Object.getPrototypeOf(one) as object | null) {
    if (isClient(one)) return one.constructor as unknown as ClientClass;
  }
  return undefined;
}

/** What makes another one like it: it is not connected yet. */
export function recipeOf(client: PgClient): { readonly driver: ClientClass; readonly settings: object } {
  const { connectionParameters, connection, _types, _connectionTimeoutMillis, ...own } = client as PrivateClient;
  const { host, port, user, database, ssl, binary, enableChannelBinding, pipeline } = own;
  const settings = {
    ...connectionParameters,
    ...{ host, port, user, database, ssl, binary, enableChannelBinding, pipeline },
    password: (client as PrivateClient).password, // hidden from a copy
    types: _types,
    connectionTimeoutMillis: _connectionTimeoutMillis,
    keepAlive: connection._keepAlive,
    keepAliveInitialDelayMillis: connection._keepAliveInitialDelayMillis || undefined,
  };
  return { driver: classOf(client) as ClientClass, settings };
}
