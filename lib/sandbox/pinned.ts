// The one real session under a sandbox, borrowed from a connection of the app's.
import type { OwnConnection } from '../sql';
import { Behind, hasClock } from './behind';
import { ANYTHING_BEHIND, ASKERS, BEHIND, type BehindRow, type FunctionRow } from './catalog';
import { CLOCK_TABLES, ClockDefaults } from './defaults';
import { mentioning } from './names';
import { NEUTRAL, TIMEOUTS, type Profiles } from './profiles';
import { QUIETLY, retimed } from './retimed';
import { SandboxServer } from './server';
import { endOf, type ServerSession } from './server-session';

/** A connection that has a real session to spare, or can open one. */
export interface Lender {
  lend(): Promise<ServerSession>;
}

/** Connections of one kind, and the real sessions behind them. */
export interface RealSource {
  /** Whom its connections belong to. */
  readonly user: string;
  /** The same for pools that make their connections the same way. */
  readonly likeness: string;
  /** Names of custom parameters that its new connections may have been given. */
  readonly customs: ReadonlySet<string>;
  /** A session as such a connection has it when it is new; of the connection `by`, if it has one to spare. */
  lend(by?: Lender): Promise<ServerSession>;
  giveBack(session: ServerSession): void;
  /** A connection of our own with the pool's settings. */
  connect(applicationName: string): Promise<OwnConnection>;
}

interface Facts {
  /** Of its session: a pooler makes one up when it answers at connecting. */
  readonly pid: number;
  readonly version: number;
  /** Who has connected. */
  readonly user: string;
  /** Whether the database has deferrable constraints at all: without them commits cost nothing. */
  readonly deferrable: boolean;
  /** The initially deferred ones, as a list for SET CONSTRAINTS; empty if there are none. */
  readonly deferred: string;
}

interface Catalogued {
  readonly clocks: string;
  readonly askers: string;
  readonly calls: boolean;
}

/** By this the counters in the database tell what a sandbox writes, which is undone, from what is really committed. */
const MARK = 'rewind.sandbox';

/** The keys that the real session holds, as locks.ts writes them. */
const HELD = `select pg_catalog.concat_ws(',', classid, objid, objsubid) as key from pg_catalog.pg_locks
  where locktype = 'advisory' and pid = pg_catalog.pg_backend_pid() and granted`;

const FACTS = `
  select pg_catalog.pg_backend_pid() as pid, current_setting('server_version_num')::int as version, session_user::text as "user",
    exists (select from pg_catalog.pg_constraint where condeferrable) as deferrable,
    (select coalesce(string_agg(distinct format('%I.%I', n.nspname, c.conname), ', '), '')
       from pg_catalog.pg_constraint c join pg_catalog.pg_namespace n on n.oid = c.connamespace
      where c.condeferrable and c.condeferred) as deferred,
    ${CLOCK_TABLES} as clocks, ${ASKERS} as askers,
    ${ANYTHING_BEHIND} as calls`;

export class Pinned {
  readonly server: SandboxServer;
  facts: Facts = { pid: 0, version: 0, user: '', deferrable: false, deferred: '' };
  defaults = new ClockDefaults('[]');
  /** Undefined where no code runs behind statements that would have to be known. */
  behind: Behind | undefined;
  /** Whether a statement mentions a relation that asks for the time. */
  private mentionsAsker = mentioning([]);
  /** What makes a function again with our time, and whether the server takes it. */
  private readonly clocks = new Map<string, boolean>();
  /** The connection that has lent its session is gone. */
  isOrphan = false;
  /** Set once the connection is dead. */
  lost: Error | undefined;

  private constructor(
    private readonly session: ServerSession,
    readonly source: RealSource,
    private readonly onLost: (error: Error) => void,
  ) {
    this.server = new SandboxServer(session);
    session.onEnded = (why) => this.lose(endOf(why));
    session.onUnasked = () => {}; // a notification has been promised to nobody
  }

  static async open(
    session: ServerSession,
    source: RealSource,
    profiles: Profiles,
    onLost: (error: Error) => void,
  ): Promise<Pinned> {
    const pinned = new Pinned(session, source, onLost);
    await profiles.read(source, (sql, values) => pinned.ask(sql, values));
    await pinned.refresh();
    const set = await pinned.ask<{ name: string; value: string }>(
      `select name, value from unnest($1::text[], $2::text[]) as own(name, value)
         join pg_catalog.pg_settings using (name) where setting <> value`,
      [
        [...TIMEOUTS, ...NEUTRAL.keys()],
        [...TIMEOUTS.map(() => '0'), ...NEUTRAL.values()],
      ],
    );
    pinned.own = new Map([[MARK, 'on'], ...set.map(({ name, value }) => [name, value] as const)]);
    await pinned.setOwn();
    await pinned.forgetParsed();
    return pinned;
  }

  /** Whoever uses the session next may use the names of what was parsed on it. */
  private forgetParsed(): Promise<void> {
    return this.session.exec((batch) => batch.ownOnce('deallocate all').sync(false));
  }

  /** Settings of the session that are ours. */
  private own: ReadonlyMap<string, string> = new Map();

  async setOwn(): Promise<void> {
    for (const [name, value] of this.own) await this.ask('select pg_catalog.set_config($1, $2, false)', [name, value]);
  }

  async parameters(names: readonly string[]): Promise<Map<string, string | null>> {
    const rows = await this.ask<{ name: string; value: string | null }>(
      'select name, pg_catalog.current_setting(name, true) as value from unnest($1::text[]) as name',
      [names],
    );
    return new Map(rows.map(({ name, value }) => [name, value]));
  }

  /** Parameters that RESET ALL would change. */
  async changedParameters(): Promise<string[]> {
    const rows = await this.ask<{ name: string }>(
      `select lower(name) as name from pg_catalog.pg_settings where source = 'session'`,
    );
    return rows.map(({ name }) => name).filter((name) => !name.startsWith('rewind.') && !this.own.has(name));
  }

  /** Keys of the advisory locks that the session holds. */
  async advisoryLocks(): Promise<string[]> {
    return (await this.ask<{ key: string }>(HELD)).map(({ key }) => key);
  }

  /** Cursors of SQL's that end with their transaction. */
  async openCursors(): Promise<string[]> {
    const rows = await this.ask<{ name: string }>(
      `select name from pg_catalog.pg_cursors where not is_holdable and name <> ''`,
    );
    return rows.map(({ name }) => name);
  }

  /** It is dead, or about to be: a FATAL error comes some time before the end of the socket. */
  lose(error: Error): void {
    if (this.lost) return;
    this.lost = error;
    this.onLost(error);
  }

  /** Reads what the catalog says of constraints, of defaults, and of what runs behind statements. */
  async refresh(): Promise<void> {
    const [row] = await this.ask<Facts & Catalogued>(FACTS);
    if (!row) return;
    // a test may act as somebody else by now
    this.facts = { ...row, user: this.facts.user || row.user };
    this.mentionsAsker = mentioning(JSON.parse(row.askers) as string[]);
    const behind = (this.behind = row.calls ? await this.lookBehind() : undefined);
    this.defaults = new ClockDefaults(row.clocks, behind && ((table) => behind.frozen(table)));
  }

  /** Whether what a statement calls may write: the function of a view, or of an operator. */
  writesBehind(text: string): boolean {
    return this.behind?.of(text).writes === true;
  }

  /** Whether a statement may get PostgreSQL's own time by what lies behind it. */
  asksBehind(text: string): boolean {
    return this.mentionsAsker(text) || this.behind?.of(text).frozen === true;
  }

  /** Whether what a statement calls sets parameters. */
  setsBehind(text: string): boolean {
    const reach = this.behind?.of(text);
    return reach !== undefined && reach.locals.length + reach.sets.length > 0;
  }

  private async lookBehind(): Promise<Behind> {
    const set = `select pg_catalog.set_config('search_path', $1, false)`;
    const [path] = await this.ask<{ value: string }>(`select pg_catalog.current_setting('search_path') as value`);
    await this.ask(set, ['']);
    const [found] = await this.ask<{ behind: string }>(BEHIND);
    await this.ask(set, [path?.value ?? '']);
    const row = JSON.parse(found?.behind ?? '{}') as BehindRow;
    if (hasClock(row)) return new Behind(row, () => undefined);
    for (const fn of row.functions) {
      const clock = this.clockOf(fn);
      if (clock !== undefined && !this.clocks.has(clock)) this.clocks.set(clock, await this.accepts(clock));
    }
    return new Behind(row, (fn) => {
      const clock = this.clockOf(fn);
      return clock !== undefined && this.clocks.get(clock) === true ? clock : undefined;
    });
  }

  private clockOf({ definition, body }: FunctionRow): string | undefined {
    if (definition === null) return undefined;
    return this.clocks.has(definition) ? definition : retimed({ definition, body });
  }

  /** Whether a function can be made again: tried once, because failing later would take the test's transaction along. */
  private async accepts(clock: string): Promise<boolean> {
    const nested = this.server.status === 'T';
    const undo = nested ? ['ROLLBACK TO SAVEPOINT rewind_try', 'RELEASE SAVEPOINT rewind_try'] : ['ROLLBACK'];
    await this.ask(nested ? 'SAVEPOINT rewind_try' : 'BEGIN');
    await this.ask(QUIETLY);
    const accepted = await this.ask(clock).then(
      () => true,
      () => false,
    );
    for (const sql of undo) await this.ask(sql);
    return accepted;
  }

  /** A statement of ours outside the app's sight. Only while nothing else is on the wire. */
  ask<Row>(sql: string, values: readonly unknown[] = []): Promise<Row[]> {
    return this.session.ask(sql, values);
  }

  /** Back to where it came from, as it came. Nothing may be open in it. */
  async giveBack(): Promise<void> {
    if (!this.lost) {
      await this.ask(Array.from(this.own.keys(), (name) => `reset ${name}`).join('; ')).catch(() => {});
      await this.forgetParsed().catch(() => {});
    }
    this.source.giveBack(this.session);
  }
}
