// Whose query is it? A query belongs to the scope that runs, unless it is certain that it comes from a test that is over.
//
// Certain means: its asynchronous context was entered by a test that has ended. Context sticks to whoever was created in
// it, so three kinds of innocents are taken out of it beforehand:
//  - servers: a request belongs to the scope that runs when it arrives, whenever the server was started;
//  - sockets of database connections, on which callbacks arrive: they are opened outside of any scope;
//  - whatever was created in a `before` hook or while files load: only tests count, so what a suite leaves behind
//    (a queue consumer, a cache that refreshes itself) belongs to the scope that runs.
// What remains, e.g. a `setInterval` started by an earlier test, is indeed a late query. `detached()` is the way out.
import { EventEmitter } from 'node:events';
import net from 'node:net';
import { RewindError } from '../errors';
import { nameOf, scopeContext, type Scope } from '../scope';

/** The innermost scope entered by any sandbox of this process. */
let running: Scope | undefined;

export function setRunning(scope: Scope | undefined): void {
  running = scope;
}

/** The innermost scope that runs now. */
export function runningScope(): Scope | undefined {
  return running;
}

/**
 * The ended scope that a query made just now comes from; undefined if it is innocent. Of suites only those count in which
 * a hook timed out: nothing that a hook leaves behind on purpose makes it time out.
 */
export function lateOrigin(origin: Scope | undefined): Scope | undefined {
  if (!origin?.ended || origin.mode === 'unmanaged') return undefined;
  return origin.kind === 'test' || origin.timedOut ? origin : undefined;
}

/**
 * Runs `fn` outside of every test: what it starts (timers, consumers, sockets) outlives the test that it is called in. No
 * test waits for it or fails for it, and its queries belong to whichever test runs when they are sent.
 *
 * @returns what `fn` returns.
 */
export function detached<T>(fn: () => T): T {
  return scopeContext.run(undefined, fn);
}

export function lateQuery(origin: Scope, text: string): RewindError {
  return new RewindError('REWIND_LATE_QUERY', {
    problem: `"${shorten(text)}" was sent by ${nameOf(origin)} after that ${origin.kind === 'test' ? 'test' : 'suite'} had ended. It was not executed.`,
    remedy:
      'Await the promise it comes from, or clear the timer. If it comes from something that is meant to outlive tests, start that in a before hook, or inside detached(() => …).',
  });
}

/** A query that was still running when its test, and the time that it is waited for, were over. */
export function canceledWith(origin: Scope, text: string, cause: Error): RewindError {
  return new RewindError('REWIND_LATE_QUERY', {
    problem: `"${shorten(text)}" was still running when ${nameOf(origin)} had ended. It was canceled.`,
    remedy: 'Await it in the test, or let the test wait longer for what it has not awaited: `drain` in the config.',
    cause,
  });
}

export function lateConnection(scope: string, text: string): RewindError {
  return new RewindError('REWIND_LATE_QUERY', {
    problem: `"${shorten(text)}" was sent on a connection (or transaction) that ${scope} had left open. It was rolled back with it.`,
    remedy:
      'Commit or roll back each transaction in the test (or hook) that began it, and open a new one in each test.',
  });
}

export function shorten(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > 160 ? `${line.slice(0, 159)}…` : line;
}

/** Requests that servers of this process have not answered yet, each by the scope that ran when it arrived. */
const requests = new Map<object, Scope | undefined>();

/** Whether a server of this process has yet to answer a request that arrived while this scope ran. */
export function isRequested(scope: Scope): boolean {
  for (const arrivedIn of requests.values()) if (arrivedIn === scope) return true;
  return false;
}

function noteRequest([, response]: readonly unknown[]): void {
  if (running?.kind !== 'test' || !(response instanceof EventEmitter)) return;
  requests.set(response, running);
  response.once('close', () => requests.delete(response));
}

/**
 * Makes each request that a server of this process gets belong to the scope that runs when it arrives, and what repeats
 * itself (`setInterval`) to whichever scope runs then.
 * `net.Server` is below http, https and http2 servers; `request` and `stream` are emitted in the connection's context,
 * which can be older than the request (keep-alive).
 */
export function watchOrigins(): () => void {
  const prototype = net.Server.prototype;
  const own = Object.getOwnPropertyDescriptor(prototype, 'emit');
  const emit = Reflect.get(prototype, 'emit');
  Object.defineProperty(prototype, 'emit', {
    configurable: true,
    writable: true,
    value: function (this: net.Server, event: string | symbol, ...args: unknown[]): boolean {
      if (event !== 'request' && event !== 'connection' && event !== 'stream' && event !== 'upgrade') {
        return Reflect.apply(emit, this, [event, ...args]) as boolean;
      }
      if (event === 'request') noteRequest(args);
      return scopeContext.run(running, () => Reflect.apply(emit, this, [event, ...args]) as boolean);
    },
  });
  const { setInterval } = globalThis;
  const detachedInterval = Object.assign(
    (...args: Parameters<typeof setInterval>) => detached(() => setInterval(...args)),
    setInterval,
  );
  globalThis.setInterval = detachedInterval;
  return () => {
    if (globalThis.setInterval === detachedInterval) globalThis.setInterval = setInterval;
    if (own) Object.defineProperty(prototype, 'emit', own);
    else Reflect.deleteProperty(prototype, 'emit');
  };
}
