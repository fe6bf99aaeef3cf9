// A connection as an app has it: an instance of its own pg's Client, whose socket is a stream of ours. What a client does
// with queries, cursors, streams, COPY and time-outs is pg's own doing; only where the frames go is ours.
import { scopeContext, type Scope } from '../scope';
import type { Query } from '../sql';
import {
  Answer,
  Clients,
  ClientStream,
  frames,
  OwnRoute,
  Refusal,
  ServerParameters,
  type Entrance,
  type ErrorFields,
  type Request,
  type Route,
  type Segment,
} from '../wire';
import { AT_START, contextOf, originOf, type ScopeContext } from './contexts';
import { counts, noteQuery, statementOf } from './count';
import type { Admission, Judge, Unfinished } from './index';
import { runningScope } from './origin';
import { redirected } from './own';
import type { ClientClass, PgClient } from './pg-types';
import type { RealSource } from './pinned';
import type { RollbackSandbox } from './sandbox';
import { ServerSession } from './server-session';
import { Session, type AppEnd } from './session';

const clients = new Clients();
const connections = new WeakMap<object, AppConnection>();

/** Our side of a connection that an app holds; undefined for one that was made before we came. */
export function appConnectionOf(client: unknown): AppConnection | undefined {
  return typeof client === 'object' && client !== null ? connections.get(client) : undefined;
}

/** What a new connection is sent for its settings; who sends more than that is no pool. */
const MOST_AT_START = 100;

/** The pool that has made a connection, as far as that needs it. */
export interface ConnectionPool extends RealSource {
  /** The database that its connections lead to, if it is not its own. */
  readonly elsewhere: string | undefined;
  readonly judge: Judge | undefined;
  made(connection: AppConnection): void;
  gone(connection: AppConnection): void;
  /** What a new connection is sent may name custom parameters. */
  heard(sent: ReturnType<typeof statementOf>): void;
  /** Where the statements of its connections go. */
  admit(origin: Scope | undefined): Admission | Promise<Admission>;
  /** What to say to code that comes from a test that has ended, which is told; undefined where that is not sure. */
  refuseLate(origin: Scope | undefined, text: string): Error | undefined;
  join(sandbox: RollbackSandbox): void;
  /** Somebody has it still, whose scope has ended: others get its place in the pool. */
  giveUp(connection: AppConnection): void;
}

/** A database that a connection may have a session in. */
interface Place {
  /** Undefined for the one that its settings name. */
  readonly database: string | undefined;
  readonly route: OwnRoute<ServerSession>;
  /** The session has been used since it was new. */
  used: boolean;
}

export class AppConnection implements AppEnd {
  readonly client: PgClient & { __knex__disposed?: unknown };
  readonly stream: ClientStream;
  /** Its pool is still giving it its settings: it has not been handed out. */
  isNew = true;
  /** Whose code has begun what is under way here, as far as is known, and which scope ran then. */
  by: Scope | undefined;
  during: Scope | undefined;
  /** Its pool has given it up, though somebody has it. */
  evicted = false;
  /** What it was sent while it was new. */
  private readonly atStart: (readonly Request[])[] = [];
  private readonly own: Place;
  /** In another database, which its pool leads to, or has led to. */
  private away: Place | undefined;
  private lent: ServerSession | undefined;
  private session: Session | undefined;
  private keeps = true;
  /** The error of ours that the client is just about to be told. */
  private told: Error | undefined;
  /** Contexts of queries that wait inside the client. */
  private readonly contexts: ScopeContext[] = [];
  /** What was sent first of what is under way. */
  private began: readonly Request[] | undefined;
  private last: { readonly requests: readonly Request[]; readonly context: ScopeContext } | undefined;
  private calling = 0;
  private sent = 0;

  constructor(
    private readonly driver: ClientClass,
    private readonly settings: unknown,
    private readonly pool: ConnectionPool,
    entrance?: Entrance,
  ) {
    this.stream = new ClientStream(clients, () => entrance ?? this.here.route);
    const { client } = this.stream;
    this.own = this.place(undefined);
    client.takeContext = (requests) => this.takeContext(requests);
    if (!entrance) client.choose = (segment) => this.choose(segment);
    client.onLeft = () => this.left();
    this.stream.onKeep = (keeps) => this.keep(keeps);
    this.client = new (onStreams(driver))(settings, this);
    connections.set(this.client, this);
    this.client.on('drain', () => (this.contexts.length = 0)); // pg refuses some queries before it sends anything
    this.client.connection.prependListener('errorMessage', (message: Error) => this.restore(message));
    if (!entrance) pool.made(this);
  }

  // --- where it leads

  private choose(segment: Segment): Route | Promise<Route> {
    const origin = (this.by = originOf(segment));
    this.during = undefined; // as long as it is kept waiting
    this.began = segment.requests;
    const { session } = this;
    if (segment.context === AT_START) return this.here.route;
    if (session?.cut !== undefined) return session; // what was begun there must not go on elsewhere
    const scope = runningScope();
    const admitted = this.pool.admit(origin);
    const route =
      admitted instanceof Promise ? admitted.then((to) => this.routeTo(to, segment)) : this.routeTo(admitted, segment);
    if (!(route instanceof Promise)) return route;
    // Where it was to go in the scope that ran then is not where it goes in another one.
    return route.then((chosen) => (runningScope() === scope ? chosen : this.choose(segment)));
  }

  private routeTo(admitted: Admission, segment: Segment): Route | Promise<Route> {
    if (admitted.to === 'nowhere') return this.refusal(admitted.error);
    this.during = runningScope();
    const { database, route } = this.here;
    const judging = route.idle && this.judged(route.idle, database); // it was opened before the run began
    if (!judging) return this.routeAsJudged(admitted, segment);
    return judging.then(
      () => this.routeAsJudged(admitted, segment),
      (error: Error) => this.refusal(error),
    );
  }

  private routeAsJudged(admitted: Exclude<Admission, { to: 'nowhere' }>, segment: Segment): Route | Promise<Route> {
    switch (admitted.to) {
      case 'sandbox':
        return this.into(admitted.sandbox as RollbackSandbox);
      case 'pool': {
        const late = this.pool.refuseLate(originOf(segment), textOf(segment.requests, segment.client));
        if (late) return this.refusal(late);
        const { here } = this;
        here.used = true;
        return here.route;
      }
    }
  }

  private refusal(error: Error): Route {
    return new Refusal(() => this.telling(error));
  }

  private into(sandbox: RollbackSandbox): Route | Promise<Route> {
    const session = this.sessionIn(sandbox);
    session.level ??= sandbox.current;
    const welcoming = this.enter(session);
    if (!welcoming) return session;
    return welcoming.then(
      () => session,
      (error: Error) => this.refusal(error),
    );
  }

  /** Has the sandbox ready for this connection; undefined where it is. */
  enter(session: Session): Promise<void> | undefined {
    const sandbox = session.host as RollbackSandbox;
    const { pinned } = sandbox;
    if (pinned && !pinned.lost && !pinned.isOrphan && session.welcomedTo === pinned) return undefined;
    this.pool.join(sandbox);
    return sandbox.welcome(this.pool, this).then(() => {
      session.welcomedTo = sandbox.pinned;
    });
  }

  /** What the sandbox knows of this connection. */
  sessionIn(sandbox: RollbackSandbox): Session {
    if (this.session?.host !== sandbox) this.session = new Session(sandbox, this.pool, this);
    return this.session;
  }

  /** Where its pool leads. */
  private get here(): Place {
    const { elsewhere } = this.pool;
    if (elsewhere === undefined) return this.own;
    if (this.away?.database === elsewhere) return this.away;
    this.leadHome();
    return (this.away = this.place(elsewhere));
  }

  private place(database: string | undefined): Place {
    const route = new OwnRoute(this.stream.client, () => this.open(database));
    return { database, route, used: false };
  }

  /** Its session in another database, if it has one, is ended, whatever is under way on it. */
  leadHome(): void {
    const { away } = this;
    this.away = undefined;
    if (!away) return;
    const { client } = this.stream;
    if (client.leadsTo(away.route)) {
      if (!client.idle) return void away.route.kill();
      client.redirect(this.own.route);
    }
    void away.route.leave();
  }

  // --- its real session

  private async open(database?: string): Promise<ServerSession> {
    const { driver } = this;
    const there = database === undefined ? driver : redirected(driver, database);
    const session = await ServerSession.open(there, this.settings);
    await this.judged(session, database);
    await Promise.all(this.start(session));
    session.keepsProcess = this.keeps;
    return session;
  }

  /** Resolves when it may be used; a session that must not be is ended. Undefined: it may. */
  private judged(session: ServerSession, database: string | undefined): Promise<void> | undefined {
    if (session.isJudged) return undefined;
    const query: Query = async (sql, values) => ({ rows: await session.ask(sql, values) });
    return this.pool.judge?.(query, database)?.then(
      () => void (session.isJudged = true),
      async (error: unknown) => {
        await session.kill();
        throw error;
      },
    );
  }

  /** Sends what the connection was sent when it was new; nothing, to its first session. */
  private start(session: ServerSession): Promise<void>[] {
    return this.atStart.map((requests) =>
      session.exec((batch) => {
        for (const { kind, frame } of requests) batch.hide(frame, ANSWERS[kind]);
        if (requests.at(-1)?.kind !== 'query') batch.sync(false);
      }),
    );
  }

  /** A session as it is when it is new. */
  async lend(): Promise<ServerSession> {
    const { route, database } = this.here;
    const lent = this.canLend ? route.lend() : undefined;
    if (!lent) return this.open(database);
    await this.judged(lent, database);
    return (this.lent = lent);
  }

  /** Whether it has such a session at hand. */
  get canLend(): boolean {
    const { used, route } = this.here;
    return !used && !this.isNew && route.idle !== undefined;
  }

  /** False if it has not been lent by this connection, or is not wanted any more. */
  takeBack(session: ServerSession): boolean {
    if (this.lent !== session) return false;
    this.lent = undefined;
    session.keepsProcess = this.keeps;
    return this.here.route.takeBack(session);
  }

  /** After a test that commits: the next one finds the session as it was when it was new. */
  async renew(): Promise<void> {
    const { here } = this;
    const session = here.used && this.stream.client.idle ? here.route.idle : undefined;
    if (!session) return;
    here.used = false;
    const asNew = session.exec((batch) => batch.hide(AS_NEW, ANSWERS.query));
    await Promise.all([asNew, ...this.start(session)]).catch(() => session.kill());
  }

  /** What has been begun here and has not ended. */
  get unfinished(): Unfinished | undefined {
    const { client } = this.stream;
    if (client.idle || client.closed || this.isNew || !this.began) return undefined;
    const { began, last, by } = this;
    if (!client.isWaiting || !last) return { what: 'a transaction', text: textOf(began, client), by, site: undefined };
    return { what: 'a query', text: textOf(last.requests, client), by: last.context.scope, site: undefined };
  }

  /** Cancels what is under way, wherever it leads. */
  cancel(): void {
    this.stream.client.cancel();
  }

  /** It goes back to its pool, or is handed out for something else than a rolled-back test. */
  settle(): void {
    const { session } = this;
    if (session) (session.host as RollbackSandbox).checkouts.checkin(session);
  }

  /** Somebody has it still, whose scope has ended: others get its place in the pool. */
  giveUp(): void {
    this.pool.giveUp(this);
  }

  /** Ends its sessions if nothing is under way on them, as long as nothing is sent. */
  async park(): Promise<void> {
    await Promise.all([this.own.route.park(), this.away?.route.park()]);
  }

  /** Cuts its sessions off, whatever is under way on them. */
  async kill(): Promise<void> {
    await Promise.all([this.own.route.kill(), this.away?.route.kill()]);
  }

  get pids(): readonly number[] {
    return [this.own, this.away].flatMap((place) => place?.route.current?.pid ?? []);
  }

  /** Whether its session keeps the process alive while nothing is under way. */
  keep(keeps: boolean): void {
    this.keeps = keeps;
    for (const place of [this.own, this.away]) if (place?.route.current) place.route.current.keepsProcess = keeps;
  }

  /** The process does not stay for its sessions, whatever is under way on them. */
  letGo(): void {
    this.keep(false);
    for (const place of [this.own, this.away]) place?.route.current?.letGo();
  }

  private async left(): Promise<void> {
    this.pool.gone(this);
    await this.lent?.onWanted?.();
    await Promise.all([this.own.route.leave(), this.away?.route.leave()]);
  }

  /** What it shows as its process id. */
  get pid(): number {
    const { client } = this.stream;
    if (this.session && client.leadsTo(this.session)) return this.session.pid;
    return this.here.route.current?.pid ?? client.pid ?? 0;
  }

  // --- whose query it is

  /** A query of the app's, in the app's own context; pg sends it now or later. */
  query<Result>(config: unknown, values: unknown, send: () => Result): Result {
    const statement = this.isNew ? undefined : counts() ? statementOf(config, values) : undefined;
    if (statement) noteQuery(statement.text, statement.values);
    if (this.isNew) this.pool.heard(statementOf(config, values));
    const before = this.sent;
    this.calling++;
    try {
      return send();
    } finally {
      this.calling--;
      if (this.sent === before) this.contexts.push(this.context());
    }
  }

  private context(): ScopeContext {
    return this.isNew ? AT_START : contextOf(scopeContext.getStore());
  }

  /** Of a query that has waited inside the client it is its own; what goes on with a cursor is sent where it is asked for. */
  private takeContext(requests: readonly Request[]): ScopeContext {
    this.sent++;
    const begins = requests.some(({ kind }) => kind === 'query' || kind === 'bind');
    const context = (begins && this.calling === 0 && this.contexts.shift()) || this.context();
    if (context === AT_START && this.atStart.length < MOST_AT_START) this.atStart.push(requests);
    this.last = { requests, context };
    return context;
  }

  // --- errors of ours

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

/**
 * What DISCARD ALL does (its page in PostgreSQL's manual), but for the plans: nobody can tell them from new ones, and the
 * functions that watch what a test changes would be planned again in each test.
 */
const AS_NEW = frames.query(
  `close all; set session authorization default; reset all; deallocate all; unlisten *;
   select pg_catalog.pg_advisory_unlock_all(); discard temp; discard sequences`,
);

const ANSWERS = {
  query: Answer.ready,
  parse: Answer.parse,
  bind: Answer.bind,
  describe: Answer.rows,
  execute: Answer.execute,
  close: Answer.close,
} as const;

function textOf(requests: readonly Request[], client: Pick<Segment['client'], 'statements'>): string {
  for (const request of requests) {
    if (request.kind === 'query' || request.kind === 'parse') return request.text;
    if (request.kind === 'bind') return client.statements.get(request.statement)?.text ?? 'a query';
  }
  return 'a query';
}

type OnStreams = new (settings: unknown, app: AppConnection) => PgClient;
type Queries = new (settings: unknown) => PgClient & { query(...args: unknown[]): unknown; ssl: unknown };

const classes = new WeakMap<ClientClass, OnStreams>();

/** One class for a driver's clients, so that all have one shape. Encryption ends where the real session does. */
function onStreams(driver: ClientClass): OnStreams {
  const known = classes.get(driver);
  if (known) return known;
  const Driver = driver as unknown as Queries;
  const OnStream = class extends Driver {
    private readonly app: AppConnection;

    constructor(settings: unknown, app: AppConnection) {
      const own = typeof settings === 'string' ? { connectionString: settings } : (settings as object);
      super({ ...own, connectionTimeoutMillis: 0, stream: () => app.stream });
      this.app = app;
      this.connection.ssl = this.ssl = false;
    }
    override get processID(): number {
      return this.app.pid;
    }
    override set processID(_told: number) {}

    override query(...args: unknown[]): unknown {
      return this.app.query(args[0], args[1], () => super.query(...args));
    }

    /** Somebody still has it where its pool has given it up, and is to be told why. */
    override end(callback?: () => void): Promise<void> | void {
      if (!this.app.evicted) return super.end(callback);
      callback?.();
      return callback ? undefined : Promise.resolve();
    }
  };
  classes.set(driver, OnStream);
  return OnStream;
}

const NOBODY = { parameters: new ServerParameters([['client_encoding', 'UTF8']]), pid: 0 };

/** A connection that answers every use with an error, and needs no server to do so. */
export async function nowhere(
  driver: ClientClass,
  settings: unknown,
  error: Error,
  pool: ConnectionPool,
): Promise<PgClient> {
  const refusal: Refusal = new Refusal(() => connection.telling(error));
  const entrance: Entrance = Object.assign(refusal, { welcome: () => Promise.resolve(NOBODY) });
  const connection = new AppConnection(driver, settings, pool, entrance);
  await connection.client.connect();
  return connection.client;
}
