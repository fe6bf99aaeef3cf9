// Virtual connections: what the app's pool hands out instead of a real pg client. Everything a client does with a query
// is pg's own doing (its Query parses the results and calls back); only where the statement goes is ours.
import { EventEmitter } from 'node:events';
import { scopeContext, type Scope } from '../scope';
import { realTimers } from '../timers';
import { noteQuery } from './count';
import { Portal, type Cursor } from './portal';
import type { PgClient, PgQuery, PgQueryClass, Receiver, Submittable } from './wire';

/** One statement (or string of statements) of the app's, on its way. */
export interface Job {
  readonly connection: VirtualConnection;
  readonly text: string;
  readonly values: readonly unknown[] | undefined;
  /** Gets the results, whatever the form. */
  readonly receiver: Receiver;
  readonly form:
    | { readonly kind: 'query'; readonly query: PgQuery }
    | { readonly kind: 'portal'; readonly binary: boolean }
    | { readonly kind: 'loan'; readonly submittable: Submittable };
  /** The scope whose code asked for it, as far as is known. */
  readonly origin: Scope | undefined;
}

/** Where a virtual connection's statements go. */
export interface Route {
  run(job: Job): void;
  /** The real client behind, if there is one just now. */
  readonly client: PgClient | undefined;
  /** Process id to show: the server's, or 0 while a cancel request would hit somebody else's statement. */
  processIdFor(connection: VirtualConnection): number;
  statusFor(connection: VirtualConnection): 'I' | 'T' | 'E';
  portalClosed?(): void;
}

/** The driver an app uses: pg's `Client` class and what hangs on it. */
export type ClientClass = { readonly prototype: object; readonly Query: PgQueryClass };

let serial = 0;
const states = new WeakMap<object, VirtualConnection>();

/** Our side of a connection that an app holds; undefined for a real one. */
export function virtualOf(client: unknown): VirtualConnection | undefined {
  return typeof client === 'object' && client !== null ? states.get(client) : undefined;
}

export class VirtualConnection {
  /** What the app holds: an instance of its own pg's `Client`, as far as `instanceof` can tell. */
  readonly client: PgClient;
  /** Set once it must not be used again, nor go back to a pool. */
  disposed = false;
  /** Cursors and streams that are still open: what comes after them waits, as on a real connection. */
  readonly portals = new Set<Portal>();

  constructor(
    private readonly driver: ClientClass,
    readonly route: Route,
    private readonly queryTimeout: number | false | undefined,
  ) {
    this.client = this.facade();
    states.set(this.client, this);
  }

  private facade(): PgClient {
    const client = Object.create(this.driver.prototype) as PgClient & Record<string, unknown>;
    EventEmitter.call(client);
    const real = (name: string): PropertyDescriptor => ({
      get: () => (this.route.client as unknown as Record<string, unknown> | undefined)?.[name],
      set: () => {},
      configurable: true,
    });
    for (const name of [
      'connection',
      'connectionParameters',
      'user',
      'database',
      'host',
      'port',
      'password',
      'ssl',
      'secretKey',
      '_types',
    ]) {
      Object.defineProperty(client, name, real(name));
    }
    const method = (value: unknown): PropertyDescriptor => ({ value, writable: true, configurable: true });
    Object.defineProperties(client, {
      processID: { get: () => this.route.processIdFor(this), configurable: true },
      query: method((config: unknown, values?: unknown, callback?: unknown) => this.query(config, values, callback)),
      connect: method(() => Promise.reject(new Error('Client has already been connected. You cannot reuse a client.'))),
      end: method((callback?: () => void) => {
        this.disposed = true;
        if (callback) realTimers.nextTick(callback);
        return callback ? undefined : Promise.resolve();
      }),
      ref: method(() => {}),
      unref: method(() => {}),
      _queryable: { get: () => !this.disposed, configurable: true },
      _ending: { get: () => this.disposed, configurable: true },
    });
    if ('getTransactionStatus' in this.driver.prototype) {
      Object.defineProperty(
        client,
        'getTransactionStatus',
        method(() => this.route.statusFor(this)),
      ); // since pg 8.17
    }
    client.__knexUid = `__rewind${++serial}`;
    return client;
  }

  /** Same forms, and same answers to misuse, as `Client#query` of pg 8 (client.js). */
  private query(config: unknown, values: unknown, callback: unknown): unknown {
    if (config === null || config === undefined) throw new TypeError('Client was passed a null or undefined query');
    if (typeof (config as Submittable).submit === 'function') {
      return this.submit(config as Submittable, values, callback);
    }
    const query = new this.driver.Query(config, values, callback);
    let promise: Promise<unknown> | undefined;
    if (!query.callback) {
      promise = new Promise((resolve, reject) => {
        query.callback = (error, result) => (error ? reject(error) : resolve(result));
      }).catch((error: unknown) => {
        // as pg does: the stack that matters leads to the caller
        if (error instanceof Error && error.name !== 'RewindError') Error.captureStackTrace(error);
        throw error;
      });
    } else if (typeof query.callback !== 'function') {
      throw new TypeError('callback is not a function');
    } else {
      this.bind(query);
    }
    this.limit(query, (config as { query_timeout?: number }).query_timeout);
    this.start(query, { kind: 'query', query });
    return promise;
  }

  private submit(given: Submittable, values: unknown, callback: unknown): Submittable {
    const later = typeof values === 'function' ? values : callback;
    if (!given.callback && typeof later === 'function') given.callback = later as NonNullable<Submittable['callback']>;
    if (given instanceof this.driver.Query || 'requiresPreparation' in given) {
      const query = given as PgQuery;
      this.start(query, { kind: 'query', query });
    } else if (isCursor(given)) {
      this.openPortal(given);
    } else {
      this.start(given as unknown as Receiver & Submittable, { kind: 'loan', submittable: given });
    }
    return given;
  }

  private openPortal(cursor: Cursor): void {
    const origin = scopeContext.getStore();
    const portal: Portal = new Portal(
      cursor,
      ({ text, values, binary }, receiver) => {
        noteQuery(text, values);
        this.route.run({ connection: this, text, values, receiver, form: { kind: 'portal', binary }, origin });
      },
      () => {
        this.portals.delete(portal);
        this.route.portalClosed?.();
      },
    );
    this.portals.add(portal);
    // pg submits a query in a later turn if the connection is busy, and its callers can live with either
    portal.open();
  }

  private start(receiver: Receiver & { text?: string; values?: readonly unknown[] }, form: Job['form']): void {
    const text = receiver.text ?? '';
    noteQuery(text, receiver.values);
    this.route.run({
      connection: this,
      text,
      values: receiver.values,
      receiver,
      form,
      origin: scopeContext.getStore(),
    });
  }

  /** A callback runs in the context its query was made in, or the next query would be taken for another scope's. */
  private bind(query: PgQuery): void {
    const given = query.callback;
    const origin = scopeContext.getStore();
    if (given) query.callback = (error, result) => scopeContext.run(origin, given, error, result);
  }

  /** `query_timeout` (client.js): the caller is told, the statement runs on. */
  private limit(query: PgQuery, own: number | undefined): void {
    const ms = (hasOwnTimeouts(this.driver) && own) || this.queryTimeout;
    const given = query.callback;
    if (!ms || !given) return;
    const timer = realTimers.setTimeout(() => {
      query.callback = () => {};
      given(new Error('Query read timeout'));
    }, ms);
    query.callback = (error, result) => {
      realTimers.clearTimeout(timer);
      given(error, result);
    };
  }
}

const ownTimeouts = new WeakMap<ClientClass, boolean>();

/** A query's own `query_timeout` counts since pg 8.12; before (client.js, query) only the connection's did. */
function hasOwnTimeouts(driver: ClientClass): boolean {
  let has = ownTimeouts.get(driver);
  if (has === undefined) {
    const source = String((driver.prototype as { query?: unknown }).query);
    ownTimeouts.set(driver, (has = !source.includes('readTimeout = this.connectionParameters')));
  }
  return has;
}

/** pg-cursor has `read` and `close`; pg-query-stream carries such a cursor in itself. */
function isCursor(given: Submittable): given is Cursor {
  const cursor = ((given as { cursor?: object }).cursor ?? given) as { read?: unknown; close?: unknown };
  return (
    (cursor !== given || !('pipe' in given)) && typeof cursor.read === 'function' && typeof cursor.close === 'function'
  );
}

/** Hands out a connection that answers every use with `error`, and needs no server to do so. */
export function nowhere(driver: ClientClass, error: (job: Job) => Error): VirtualConnection {
  return new VirtualConnection(
    driver,
    {
      client: undefined,
      processIdFor: () => 0,
      statusFor: () => 'I',
      run: (job) => fail(job, error(job)),
    },
    undefined,
  );
}

/** Tells a job's owner of an error, asynchronously as a real connection would. */
export function fail(job: Job, error: Error, connection?: unknown): void {
  realTimers.nextTick(() => guarded(() => job.receiver.handleError(error, connection ?? silentConnection)));
}

/** What the app's callback throws is the app's: it must not unwind us (pg lets it become an uncaught exception). */
export function guarded(deliver: () => void): void {
  try {
    deliver();
  } catch (error) {
    realTimers.nextTick(() => {
      throw error;
    });
  }
}

// What a submittable may call on its connection when it is told of an error before it was ever submitted.
const silentConnection = Object.assign(new EventEmitter(), { sync: () => {}, close: () => {}, sendCopyFail: () => {} });
