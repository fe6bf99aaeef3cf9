// Where a program runs: on direct connections, on client connections that have a server connection each, or on client
// connections that share one.
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import pg, { type Client, type ClientConfig } from 'pg';
import { ClientStream, Clients, OwnRoute, type Route, type ServerConnection } from '../../lib/wire';
import { serverUrl, type TestDatabase } from './database';
import { Rechunked } from './rechunk';
import { RawClient, startupMessage } from './raw-client';
import { SharedRoute } from './shared-route';
import { dial, openSession, type Address, type ClientClass } from './wire-session';

export type Way = 'direct' | 'own' | 'shared';

export class World {
  readonly clients = new Clients();
  readonly sessions: ServerConnection[] = [];
  /** The sockets of these. */
  readonly sockets: Socket[] = [];
  /** Cuts all that goes to and from clients and servers into other pieces. */
  rechunked: { readonly next: (below: number) => number; readonly longest: number } | undefined;
  private shared: SharedRoute | undefined;
  private readonly endings: (() => unknown)[] = [];

  constructor(
    readonly way: Way,
    readonly database: TestDatabase,
    /** An outsider. */
    readonly witness: Client,
    readonly driver: { readonly Client: ClientClass } = pg,
  ) {}

  /** As drivers/ will do it: with the app's own settings. */
  async open(more?: ClientConfig): Promise<ServerConnection> {
    const { server, socket } = await openSession(this.driver.Client, { ...this.settings, ...more }, (real) =>
      this.pieces(real),
    );
    this.sessions.push(server);
    this.sockets.push(socket);
    return server;
  }

  /** What a driver gets for a socket. */
  stream(more?: ClientConfig): ClientStream {
    return new ClientStream(this.clients, (client) => {
      if (this.way === 'own') return new OwnRoute(client, () => this.open(more));
      return this.sharedRoute;
    });
  }
  private pieces<Socket extends Duplex>(socket: Socket): Socket {
    const cut = this.rechunked;
    return cut ? (new Rechunked(socket, cut.next, cut.longest) as Duplex as Socket) : socket;
  }
  get sharedRoute(): SharedRoute {
    return (this.shared ??= new SharedRoute(() => this.open()));
  }

  get settings(): ClientConfig {
    const { host, port, user, password } = new pg.Client({ connectionString: serverUrl() });
    return { host, port, user, password, database: this.database.name };
  }
  config(more?: ClientConfig): ClientConfig {
    const direct = { ...this.settings, ...more };
    return this.way === 'direct' ? direct : { ...direct, stream: () => this.pieces(this.stream(more)), ssl: false };
  }
  /** A connected client of the driver. */
  async client(more?: ClientConfig): Promise<Client> {
    const client = new this.driver.Client(this.config(more));
    client.on('error', () => {});
    this.endings.push(() => client.end());
    await client.connect();
    return client;
  }
  /** A client of bare frames, which can do what pg does not. */
  async raw(startup?: Buffer): Promise<RawClient> {
    const raw = new RawClient(await this.socket());
    this.endings.push(() => raw.socket.destroy());
    await raw.ask(startup ?? startupMessage({ user: this.settings.user as string, database: this.database.name }));
    return raw;
  }
  async socket(): Promise<Duplex> {
    const socket = this.way === 'direct' ? dial(this.settings as Address) : this.pieces(this.stream()).connect();
    this.endings.push(() => socket.destroy());
    await new Promise((resolve) => socket.once('connect', resolve));
    return socket;
  }

  route(client: Client): Route {
    const { stream } = (client as unknown as { connection: { stream: ClientStream } }).connection;
    return stream.client.route as Route;
  }

  later(end: () => unknown): void {
    this.endings.push(end);
  }

  async close(): Promise<void> {
    const ended = this.endings.map((end) => Promise.resolve(end()).catch(() => {}));
    await Promise.race([Promise.all(ended), new Promise((resolve) => setTimeout(resolve, 1000))]);
    this.shared?.quit();
    for (const client of [...this.clients]) client.hangUp();
  }
}

/** What a promise of pg's comes to, as far as an app can see it. */
export async function outcome(promise: Promise<unknown>): Promise<unknown> {
  try {
    const result = await promise;
    return Array.isArray(result) ? result.map(plain) : plain(result);
  } catch (error) {
    const { message, name, length: _, ...fields } = error as Error & { length?: number };
    return { ...fields, message, name, stack: undefined };
  }
}

function plain(result: unknown): unknown {
  const { command, rowCount, rows, fields } = (result ?? {}) as pg.QueryResult;
  if (!fields) return result;
  return { command, rowCount, rows, fields: fields.map(({ name, dataTypeID, format }) => [name, dataTypeID, format]) };
}
