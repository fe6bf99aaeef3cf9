// A pool of the app's. It stays the app's own: what it hands out are clients on streams of ours, and where those lead is
// decided statement by statement.
import { scopeContext, type Scope } from '../scope';
import type { OwnConnection } from '../sql';
import { AppConnection, appConnectionOf, nowhere, type ConnectionPool } from './app-client';
import { customsIn } from './customs';
import { claimFlow } from './flow';
import { describeExhaustion, noteHolder, sitesOf } from './holders';
import type { Admission, Gate, Judge, Knex, ManagedPool, Unfinished } from './index';
import { lateOrigin, lateQuery } from './origin';
import { addressOf, connectOwn, endPooled, keyOf, redirected, urlOf } from './own';
import type { ClientClass, PgClient } from './pg-types';
import type { Lender } from './pinned';
import type { RollbackSandbox } from './sandbox';
import type { ServerSession } from './server-session';

export type OnLate = (problem: Error, scope: Scope) => void;

/** What only the pool itself knows and does. */
export interface PoolSeam {
  /** As messages call it: `knex`, `pg.Pool`. */
  readonly kind: string;
  readonly max: number;
  /** How many wait for a connection. */
  readonly waiting: number;
  /** Those that somebody has. */
  readonly taken: readonly PgClient[];
  /** What tells pools apart that make their connections differently. */
  readonly likeness: string;
  acquire(): Promise<PgClient>;
  release(client: PgClient): void;
  /** Takes it out of the pool, though somebody has it, so that there is room for another one. */
  evict(client: PgClient): void;
  /** Timers of the pool's do not keep the process alive any more. */
  unref(): void;
}

export interface AppPoolOptions {
  /** The instance's client, if it is a Knex instance's. */
  readonly knexClient?: Knex.Client | undefined;
  readonly onLate?: OnLate | undefined;
}

const A_CONNECTION = { what: 'a connection', text: 'a connection', site: undefined } as const;

export class AppPool implements ManagedPool, ConnectionPool {
  readonly key: string;
  readonly label: string;
  readonly user: string;
  readonly database: string;
  readonly knexClient: Knex.Client | undefined;
  readonly customs = new Set<string>();
  private readonly onLate: OnLate | undefined;
  /** The database that its connections lead to, if it is not its own. */
  elsewhere: string | undefined;
  gate: Gate | undefined;
  judge: Judge | undefined;
  private readonly connections = new Set<AppConnection>();
  private readonly sandboxes = new Set<RollbackSandbox>();
  private readonly address: ReturnType<typeof addressOf>;
  /** Sessions that tests have borrowed. */
  private readonly borrowed = new Set<ServerSession>();
  private letGo = false;
  /** Tests that wait for a connection, once for each. */
  private readonly asking = new Map<object, Scope>();

  /** `settings`: those that connections of our own are made with; a new client of the app's comes with its own. */
  constructor(
    private readonly seam: PoolSeam,
    private readonly driver: ClientClass,
    private readonly settings: () => unknown,
    known: unknown,
    { knexClient, onLate }: AppPoolOptions,
  ) {
    const address = (this.address = addressOf(driver, known));
    const { database } = address;
    this.key = keyOf(address);
    this.label = `${database ? `database "${database}"` : 'a database without a name'} (${seam.kind})`;
    this.user = address.user;
    this.database = database;
    this.knexClient = knexClient;
    this.onLate = onLate;
    customsIn((known as { options?: unknown } | undefined)?.options ?? process.env['PGOPTIONS'], this.customs);
  }

  get likeness(): string {
    return this.seam.likeness;
  }

  // --- the app's connections

  /** In place of the client that the pool would have made. */
  makeClient(settings: unknown): PgClient {
    return new AppConnection(this.driver, settings, this).client;
  }

  made(connection: AppConnection): void {
    this.connections.add(connection);
    if (this.letGo) connection.keep(false);
  }

  gone(connection: AppConnection): void {
    this.connections.delete(connection);
  }

  /** What a new connection is sent may name custom parameters. */
  heard(sent: Parameters<ConnectionPool['heard']>[0]): void {
    for (const given of sent ? [sent.text, ...(sent.values ?? [])] : []) customsIn(given, this.customs);
  }

  /** Somebody asks for a connection: what is due before that, and then `take`, the pool's own way. */
  acquire(take: () => Promise<PgClient>, site?: () => string): Promise<PgClient> {
    const origin = scopeContext.getStore();
    if (origin?.kind === 'test') this.asking.set(take, origin);
    const admitted = this.admit(origin);
    if (!(admitted instanceof Promise)) return this.handOut(admitted, take, origin, site);
    return admitted.then((to) => this.handOut(to, take, origin, site));
  }

  private async handOut(
    to: Admission,
    take: () => Promise<PgClient>,
    origin: Scope | undefined,
    site: (() => string) | undefined,
  ): Promise<PgClient> {
    try {
      const refusal =
        to.to === 'nowhere' ? to.error : to.to === 'pool' ? this.refuseLate(origin, 'a query') : undefined;
      if (refusal) {
        const client = await nowhere(this.driver, await this.settings(), refusal, this);
        return Object.assign(client, { release: () => {} }); // as pg's pools have it
      }
      for (;;) {
        const client = await take();
        const connection = appConnectionOf(client);
        if (connection) {
          await this.note(connection, to, site);
          return client;
        }
        this.seam.evict(client); // it was made before we came
        endPooled(client);
      }
    } finally {
      this.asking.delete(take);
    }
  }

  refuseLate(origin: Scope | undefined, text: string): Error | undefined {
    const late = lateOrigin(origin);
    if (!late) return undefined;
    const error = lateQuery(late, text);
    this.onLate?.(error, late);
    return error;
  }

  private note(connection: AppConnection, to: Admission, site: (() => string) | undefined): Promise<void> | undefined {
    connection.isNew = false;
    const { client } = connection;
    if (to.to === 'sandbox') {
      const sandbox = to.sandbox as RollbackSandbox;
      const session = connection.sessionIn(sandbox);
      noteHolder(client, sandbox.checkouts.checkout(session) ?? site);
      return connection.enter(session)?.catch(() => {}); // its first statement is told
    }
    connection.settle();
    noteHolder(client, claimFlow(client)?.site ?? site);
    return undefined;
  }

  /** A connection is back in the pool. */
  released(client: PgClient): void {
    appConnectionOf(client)?.settle();
  }

  /** The pool is being ended. */
  ends(): void {
    for (const sandbox of this.sandboxes) sandbox.poolEnds(this);
  }

  /** Where the statements of its connections go. */
  admit(origin: Scope | undefined): Admission | Promise<Admission> {
    return this.gate?.(this, origin) ?? { to: 'pool' };
  }

  join(sandbox: RollbackSandbox): void {
    this.sandboxes.add(sandbox);
    sandbox.profiles.add(this);
  }

  /** Somebody has it still, whose scope has ended: others get its place in the pool. */
  giveUp(connection: AppConnection): void {
    connection.evicted = true;
    this.seam.evict(connection.client);
    void connection.park();
  }

  // --- real sessions

  async lend(by?: Lender): Promise<ServerSession> {
    const all = [...this.connections];
    const lender = by ?? all.find((one) => one.canLend) ?? all.find((one) => !one.isNew) ?? all[0];
    const session = await (lender?.lend() ?? this.lendFirst());
    this.borrowed.add(session);
    return session;
  }

  private async lendFirst(): Promise<ServerSession> {
    const client = await scopeContext.run(undefined, () => this.seam.acquire());
    try {
      const connection = appConnectionOf(client);
      if (!connection) throw new Error('the pool has made a connection past us');
      await connection.stream.client.whenIdle(); // nobody waits for what listeners of the pool's have sent
      connection.isNew = false;
      return await connection.lend();
    } finally {
      this.seam.release(client);
    }
  }

  giveBack(session: ServerSession): void {
    this.borrowed.delete(session);
    for (const connection of this.connections) if (connection.takeBack(session)) return;
    void session.quit();
  }

  async connect(applicationName: string, database?: string): Promise<OwnConnection> {
    const driver = database === undefined ? this.driver : redirected(this.driver, database);
    return connectOwn(driver, await this.settings(), applicationName);
  }

  url(database: string): string {
    return urlOf(this.address, database);
  }

  redirect(database: string | undefined): void {
    const elsewhere = database === this.database ? undefined : database;
    if (elsewhere === this.elsewhere) return;
    this.elsewhere = elsewhere;
    for (const connection of this.connections) connection.leadHome();
  }

  async closeIdle(): Promise<void> {
    await Promise.all(Array.from(this.connections, (connection) => connection.park()));
  }

  async closeAll(): Promise<void> {
    await this.closeIdle();
    await Promise.all(Array.from(this.connections, (connection) => connection.kill()));
  }

  async renew(): Promise<void> {
    const taken = new Set(this.seam.taken);
    const free = [...this.connections].filter(({ client }) => !taken.has(client));
    await Promise.all(free.map((connection) => connection.renew()));
  }

  pids(): readonly number[] {
    return [...[...this.connections].flatMap(({ pids }) => pids), ...Array.from(this.borrowed, ({ pid }) => pid)];
  }

  unref(): void {
    this.letGo = true;
    this.seam.unref();
    for (const connection of this.connections) connection.letGo();
    for (const session of this.borrowed) session.letGo();
  }

  // --- what the pool knows

  inUse(): number {
    return this.seam.taken.length + this.seam.waiting;
  }

  unfinished(scope: Scope): readonly Unfinished[] {
    const found: Unfinished[] = [];
    for (const asking of this.asking.values()) if (asking === scope) found.push({ ...A_CONNECTION, by: scope });
    for (const [{ client }, unfinished] of this.busyIn(scope))
      found.push({ ...unfinished, site: sitesOf([client])[0] });
    return found;
  }

  private busyIn(scope: Scope): (readonly [AppConnection, Unfinished])[] {
    const busy: (readonly [AppConnection, Unfinished])[] = [];
    for (const connection of this.connections) {
      const { unfinished } = connection;
      if (unfinished && (unfinished.by === scope || connection.during === scope)) busy.push([connection, unfinished]);
    }
    return busy;
  }

  cancel(scope: Scope): void {
    for (const [connection, { by, what }] of this.busyIn(scope)) {
      if (by === scope && what === 'a query') connection.cancel();
    }
  }

  async evict(scope: Scope): Promise<void> {
    const taken = new Set(this.seam.taken);
    await Promise.all(
      this.busyIn(scope).map(async ([connection]) => {
        const killed = connection.kill();
        if (taken.has(connection.client)) {
          this.seam.evict(connection.client);
          endPooled(connection.client);
        }
        await killed;
      }),
    );
  }

  waits(): readonly string[] {
    const { label, seam } = this;
    return describeExhaustion({ label, max: seam.max, waiting: seam.waiting, taken: seam.taken });
  }
}
