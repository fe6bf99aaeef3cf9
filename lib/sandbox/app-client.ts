// A connection as an app has it: an instance of its own pg's Client, whose socket is a stream of ours. What a client does
// with queries, cursors, streams, COPY and time-outs is pg's own doing; only where the frames go is ours.
import { scopeContext, type Scope } from '../scope';
import {
  Clients,
  ClientStream,
  frames,
  ServerParameters,
  type Context,
  type ErrorFields,
  type Profile,
  type Request,
  type Route,
  type Segment,
} from '../wire';
import { counts, noteQuery } from './count';
import { statementOf } from './overhear';
import type { ClientClass, PgClient } from './pg-types';

const clients = new Clients();
const connections = new WeakMap<object, AppConnection>();
let serial = 0;

/** Our side of a connection that an app holds; undefined for a real one. */
export function appConnectionOf(client: unknown): AppConnection | undefined {
  return typeof client === 'object' && client !== null ? connections.get(client) : undefined;
}

/** The scope whose code has sent a segment, as far as is known. */
export function originOf(segment: Segment): Scope | undefined {
  return (segment.context as ScopeContext).scope;
}

/** Where such a connection leads. `pid` is what it shows as its process id. */
export interface AppRoute extends Route {
  readonly pid: number;
  /** Of the app's transaction. */
  readonly status: frames.Status;
}

export class AppConnection {
  readonly client: PgClient & { __knexUid?: string; __knex__disposed?: unknown };
  readonly stream: ClientStream;
  /** It must not go back to a pool. */
  disposed = false;
  /** The error of ours that the client is just about to be told. */
  private told: Error | undefined;
  /** Contexts of queries that wait inside the client. */
  private readonly contexts: Context[] = [];
  private calling = 0;
  private sent = 0;

  constructor(
    driver: ClientClass,
    readonly route: AppRoute,
    settings: unknown,
  ) {
    this.stream = new ClientStream(clients, () => route);
    this.stream.client.takeContext = (requests) => this.takeContext(requests);
    this.client = new (onStreams(driver))(settings, this);
    connections.set(this.client, this);
    this.client.on('drain', () => (this.contexts.length = 0)); // pg refuses some queries before it sends anything
    this.client.connection.prependListener('errorMessage', (message: Error) => this.restore(message));
    this.client.__knexUid = `__rewind${++serial}`;
  }

  /** A query of the app's, in the app's own context; pg sends it now or later. */
  query<Result>(config: unknown, values: unknown, send: () => Result): Result {
    const statement = counts() ? statementOf(config, values) : undefined;
    if (statement) noteQuery(statement.text, statement.values);
    const before = this.sent;
    this.calling++;
    try {
      return send();
    } finally {
      this.calling--;
      if (this.sent === before) this.contexts.push(contextOf(scopeContext.getStore()));
    }
  }

  /** Of a query that has waited inside the client it is its own; what goes on with a cursor is sent where it is asked for. */
  private takeContext(requests: readonly Request[]): Context {
    this.sent++;
    const begins = requests.some(({ kind }) => kind === 'query' || kind === 'bind');
    return (begins && this.calling === 0 && this.contexts.shift()) || contextOf(scopeContext.getStore());
  }

  /** An error that the client is about to be told. What can't cross the wire is given back on the other side. */
  telling(error: Error & Partial<ErrorFields>): ErrorFields {
    this.told = error.severity === undefined ? error : undefined;
    return { ...error, code: error.code ?? 'XX000', message: error.message };
  }

  private restore(message: Error): void {
    const { told } = this;
    if (!told) return;
    this.told = undefined;
    for (const key of Object.keys(message)) Reflect.deleteProperty(message, key);
    Object.setPrototypeOf(message, Object.getPrototypeOf(told) as object);
    Object.defineProperties(message, Object.getOwnPropertyDescriptors(told));
  }
}

/** The scope's context, for callbacks; pg's own are called in that of its socket otherwise. */
class ScopeContext implements Context {
  constructor(readonly scope: Scope | undefined) {}

  runInAsyncScope<Result>(task: () => Result): Result {
    return scopeContext.run(this.scope, task);
  }
}

const contexts = new WeakMap<Scope, ScopeContext>();
const NO_SCOPE = new ScopeContext(undefined);

function contextOf(scope: Scope | undefined): ScopeContext {
  if (!scope) return NO_SCOPE;
  let context = contexts.get(scope);
  if (!context) contexts.set(scope, (context = new ScopeContext(scope)));
  return context;
}

type OnStreams = new (settings: unknown, app: AppConnection) => PgClient;
type Queries = new (settings: unknown) => PgClient & { query(...args: unknown[]): unknown; ssl: unknown };

const classes = new WeakMap<ClientClass, OnStreams>();

/** One class for a driver's clients, so that all have one shape. Encryption ends where the real session does. */
function onStreams(driver: ClientClass): OnStreams {
  let known = classes.get(driver);
  if (known) return known;
  const Driver = driver as unknown as Queries;
  known = class extends Driver {
    private readonly app: AppConnection;

    constructor(settings: unknown, app: AppConnection) {
      const own = typeof settings === 'string' ? { connectionString: settings } : (settings as object);
      super({ ...own, connectionTimeoutMillis: 0, stream: () => app.stream });
      this.app = app;
      this.connection.ssl = this.ssl = false;
    }
    override get processID(): number {
      return this.app.route.pid;
    }
    override set processID(_told: number) {}

    override query(...args: unknown[]): unknown {
      return this.app.query(args[0], args[1], () => super.query(...args));
    }
  };
  classes.set(driver, known);
  return known;
}

const NOBODY: Profile = { parameters: new ServerParameters([['client_encoding', 'UTF8']]), pid: 0 };

/** A connection that answers every use with an error, and needs no server to do so. */
export async function nowhere(driver: ClientClass, settings: unknown, error: Error): Promise<AppConnection> {
  const connection: AppConnection = new AppConnection(
    driver,
    {
      takes: 'one',
      pid: 0,
      status: frames.Status.idle,
      welcome: () => Promise.resolve(NOBODY),
      run: (segment: Segment): void => segment.refuse(connection.telling(error)),
      copy: () => true,
      cancel: () => {},
      drained: () => {},
      leave: () => {},
    },
    settings,
  );
  await connection.client.connect();
  return connection;
}
