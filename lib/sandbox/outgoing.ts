// Connections of the process that go past us: sockets that lead where our own real sessions lead, and are none of ours.
// The diagnostics channel `net.client.socket` does not see `new net.Socket()`, which pg uses (Node.js 20).
import net from 'node:net';
import path from 'node:path';
import type { UnmanagedConnections } from '../facts';
import { opensOwn } from '../own-sockets';

interface Opened {
  readonly socket: net.Socket;
  /** Where; formatted only when somebody asks. */
  readonly from: { readonly stack?: string };
}

/** By where they lead. */
const opened = new Map<string, Opened[]>();
const ours = new Set<string>();
/** An app may call other services at ports that are new each time. */
const MOST_PLACES = 200;
/** Of more connections from the same place we only need the number. */
const MOST_KEPT = 1000;
const PORT = 5432;

/** Notes each socket that is opened from now on. Returns the way back. */
export function watchOutgoing(): () => void {
  const { prototype } = net.Socket;
  const original = Reflect.get(prototype, 'connect');
  const connect = function (this: net.Socket, ...given: unknown[]): net.Socket {
    const isOurs = opensOwn();
    const from: { stack?: string } = {};
    if (!isOurs) capture(from, connect);
    const file = pathOf(given);
    this.once('connect', () => note(placeOf(this, file), isOurs, { socket: this, from }));
    return Reflect.apply(original as (...given: unknown[]) => net.Socket, this, given);
  };
  prototype.connect = connect;
  return () => {
    if (Reflect.get(prototype, 'connect') === connect) prototype.connect = original;
  };
}

function capture(from: { stack?: string }, below: (...given: never[]) => unknown): void {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 30; // the app's own frames are below its driver's
  Error.captureStackTrace(from, below);
  Error.stackTraceLimit = limit;
}

function note(place: string | undefined, isOurs: boolean, one: Opened): void {
  if (place === undefined) return;
  if (isOurs) return void ours.add(place);
  const there = opened.get(place) ?? [];
  if (there.length < MOST_KEPT) there.push(one);
  opened.delete(place);
  opened.set(place, there);
  if (opened.size <= MOST_PLACES) return;
  for (const other of opened.keys()) if (!ours.has(other)) return void opened.delete(other);
}

/** The socket's file, if it is one of this machine's. */
function pathOf(given: readonly unknown[]): string | undefined {
  const [first] = Array.isArray(given[0]) ? (given[0] as readonly unknown[]) : given;
  if (typeof first === 'string' && !/^\d+$/.test(first)) return first;
  return typeof first === 'object' && first !== null ? (first as { path?: string }).path : undefined;
}

/** A server of this machine is the same one by its file and by each of its addresses. */
function placeOf({ remoteAddress, remotePort }: net.Socket, file: string | undefined): string | undefined {
  const port = file === undefined ? remotePort : /\.s\.PGSQL\.(\d+)$/.exec(file)?.[1];
  if (port === undefined) return undefined;
  const address = remoteAddress?.replace(/^::ffff:/, '');
  const isHere = file !== undefined || address === '::1' || address?.startsWith('127.') === true;
  return `${isHere ? 'localhost' : String(address)}:${port}`;
}

/** Where a managed server is. Without any, the one that the environment names, which an app is sure to use. */
function managed(): ReadonlySet<string> {
  if (ours.size > 0) return ours;
  const { DATABASE_URL, PGPORT } = process.env;
  const { port } = URL.canParse(DATABASE_URL ?? '') ? new URL(DATABASE_URL ?? '') : { port: '' };
  const named = port || PGPORT || PORT;
  return new Set([...opened.keys()].filter((place) => place.endsWith(`:${named}`)));
}

function goPast(): Opened[] {
  return [...managed()].flatMap((place) => opened.get(place) ?? []);
}

/** Grows whenever something is sent past us. */
export function sentPast(): number {
  return opened.size === 0 ? 0 : goPast().reduce((sum, { socket }) => sum + 1 + socket.bytesWritten, 0);
}

/** Those of this run, by who has opened them. */
export function unmanagedConnections(): UnmanagedConnections[] {
  const found = new Map<string, UnmanagedConnections>();
  for (const address of opened.size === 0 ? [] : managed()) {
    for (const { from } of opened.get(address) ?? []) {
      const { driver, place } = whoIn(from.stack ?? '');
      const key = [address, driver, place].join('|');
      const count = (found.get(key)?.count ?? 0) + 1;
      found.set(key, { address, count, ...(driver && { driver }), ...(place && { place }) });
    }
  }
  return [...found.values()];
}

/** The next run of the process counts anew. */
export function forgetUnmanaged(): void {
  opened.clear();
}

function whoIn(stack: string): { driver: string | undefined; place: string | undefined } {
  let driver: string | undefined;
  for (const line of stack.split('\n').slice(1)) {
    const place = /\(?((?:file:\/\/)?[^()\s]+:\d+:\d+)\)?$/.exec(line)?.[1]?.replace(/^file:\/\//, '');
    if (place === undefined || place.startsWith('node:')) continue;
    const found = /.*[\\/]node_modules[\\/]((?:@[^\\/]+[\\/])?[^\\/]+)[\\/]/.exec(place)?.[1];
    if (found === 'mocha-rewind') continue;
    if (found === undefined) return { driver, place: path.relative(process.cwd(), place).replace(/:\d+$/, '') };
    driver ??= found.replace('\\', '/');
  }
  return { driver, place: undefined };
}
