import { RewindError, messageOf } from '../errors';
import { realTimers, sleep } from '../timers';
import { describeBlockers, endBlockers, findBlockers } from './blockers';
import type { Blocker, Difference, Restored, Snapshot, SnapshotOptions, SnapshotStatus } from './index';
import { removeSnapshot } from './remove';
import { type ServerSide, eventTriggersSql, serverSide } from './server';
import { INSUFFICIENT_PRIVILEGE, type Session, codeOf, isLost, openSession } from './session';

const LOCK_NOT_AVAILABLE = '55P03';
const DEADLOCK_DETECTED = '40P01';
/** Relations armed, copied or let go in one transaction: each takes several locks, and the lock table is finite. */
const BATCH = 100;

interface State {
  readonly version: string;
  readonly status: 'taking' | 'running' | 'kept';
  readonly level: number;
  readonly fingerprint: string | null;
  /** False in a restored dump: no oid in it means anything. */
  readonly native: boolean;
}

interface RestoreReport {
  readonly tables: Restored['tables'];
  readonly sequences: number;
  readonly schemaChange: string | null;
  readonly stale: readonly string[];
}

/** See {@link Snapshot}. What counts is in the database; this object only remembers how deep the stack should be. */
export class DatabaseSnapshot implements Snapshot {
  #session: Session | undefined;
  #server: ServerSide | undefined;
  #taken = false;
  #depth = 0;
  #locked = false;

  readonly #patience: number;

  constructor(private readonly options: SnapshotOptions) {
    this.#patience = options.patienceMs ?? 2000;
  }

  get taken(): boolean {
    return this.#taken;
  }

  get depth(): number {
    return this.#depth;
  }

  async recover(): Promise<boolean> {
    const state = await this.#state();
    if (!state || state.status === 'kept') return false;
    await this.#lock();
    const now = await this.#state();
    if (!this.#isUsable(now) || now.status !== 'running') return false;
    const touched = await this.touched();
    await this.#restoreTo(0);
    await this.#query(`update rewind.state set status = 'kept'`);
    return now.level > 0 || touched.length > 0;
  }

  async take(): Promise<void> {
    await this.#lock();
    const state = await this.#state();
    const reusable =
      this.options.kept !== 'ignore' &&
      this.#isUsable(state) &&
      state.status !== 'taking' &&
      state.fingerprint === (this.options.fingerprint ?? null);
    if (!reusable) {
      await this.remove();
      await this.#install();
    }
    await this.#patiently(() => this.#query('select rewind.begin_take()'));
    await this.#untilDone('select rewind.arm_some($1) as n');
    await this.#patiently(() =>
      this.#query('select rewind.choose_journals($1)', [this.options.journalAbove ?? 20_000]),
    );
    await this.#untilDone('select rewind.capture_some($1) as n');
    await this.#patiently(() => this.#query('select rewind.end_take($1)', [this.options.fingerprint ?? null]));
    this.#taken = true;
    this.#depth = 0;
    const { rows } = await this.#query<{ limit: string }>('select rewind.limits() as limit');
    for (const { limit } of rows) this.options.note(limit);
  }

  async push(): Promise<void> {
    const level = this.#depth + 1;
    await this.#patiently(() => this.#query(`select rewind.push(${level})`));
    this.#depth = level;
  }

  async pop(): Promise<Restored> {
    if (this.#depth === 0) throw new Error('there is no checkpoint above the baseline');
    const restored = await this.#restoreTo(this.#depth - 1);
    this.#depth -= 1;
    return restored;
  }

  restore(): Promise<Restored> {
    return this.#restoreTo(this.#depth);
  }

  async touched(): Promise<readonly string[]> {
    const { rows } = await this.#query<{ names: string[] }>('select rewind.touched() as names');
    return rows[0]?.names ?? [];
  }

  async verify(): Promise<readonly Difference[]> {
    const { result } = await this.#patiently(() =>
      this.#query<Difference>('select name, extra::float8, missing::float8 from rewind.verify()'),
    );
    return result.rows;
  }

  async plan(): Promise<string> {
    const { rows } = await this.#query<{ plan: string }>('select rewind.plan() as plan');
    return rows[0]?.plan ?? '';
  }

  async status(): Promise<SnapshotStatus> {
    const state = await this.#state();
    if (!state) return { state: 'none', tables: 0, journalled: [], bytes: 0, takenAt: undefined };
    const { rows } = await this.#query<Omit<SnapshotStatus, 'state' | 'takenAt'> & { takenAt: Date | null }>(
      `select
         (select count(*)::int from rewind.relation where kind = 'r') as tables,
         array(select name from rewind.relation where journal is not null order by name) as journalled,
         (select coalesce(sum(pg_total_relation_size(oid)), 0)::float8 from pg_catalog.pg_class
          where relnamespace = 'rewind'::regnamespace and relkind in ('r', 'S')) as bytes,
         taken_at as "takenAt"
       from rewind.state`,
    );
    const [found] = rows;
    if (!found) throw new Error('rewind.state has one row');
    return { ...found, state: state.status, takenAt: found.takenAt ?? undefined };
  }

  async forget(): Promise<void> {
    await this.#query(`select rewind.drop_levels_above(0)`);
    await this.#query(`update rewind.state set status = 'kept'`);
    this.#taken = false;
    this.#depth = 0;
  }

  async remove(): Promise<void> {
    await this.#lock();
    await removeSnapshot((sql) => this.#patiently(() => this.#query(sql)).then(({ result }) => result.rows));
    this.#taken = false;
    this.#depth = 0;
  }

  async close(): Promise<void> {
    try {
      if (this.#taken && this.#depth === 0 && (await this.touched()).length === 0) {
        await this.#query(`update rewind.state set status = 'kept'`);
      }
    } catch {
      // It stays marked as running: the next run recovers it.
    }
    await this.#session?.end();
    this.#session = undefined;
    this.#taken = false;
    this.#locked = false;
  }

  async #restoreTo(level: number): Promise<Restored> {
    const started = realTimers.now();
    const { result, blockers } = await this.#patiently(() =>
      this.#query<{ report: RestoreReport }>(`select rewind.restore(${level}) as report`),
    );
    const report = result.rows[0]?.report;
    if (!report) throw new Error('rewind.restore() returns one row');
    for (const name of report.stale) {
      this.options.note(`materialized view ${name} was stale when its checkpoint was made, and is fresh now`);
    }
    return {
      ms: realTimers.now() - started,
      tables: report.tables,
      sequences: report.sequences,
      schemaChange: report.schemaChange ?? undefined,
      blockers,
    };
  }

  async #install(): Promise<void> {
    const session = await this.#connected();
    const server = serverSide(session.serverVersion);
    // One message, so one transaction. It can be repeated: see #query.
    await this.#patiently(() =>
      this.#query(`drop schema if exists rewind cascade; ${server.sql} ${session.superuser ? eventTriggersSql : ''}`),
    );
    await this.#query(
      `insert into rewind.state (version, self, status, fingerprint) values ($1, 'rewind.state'::regclass, 'taking', $2)`,
      [server.version, this.options.fingerprint ?? null],
    );
  }

  async #untilDone(step: string): Promise<void> {
    for (;;) {
      const { result } = await this.#patiently(() => this.#query<{ n: number }>(step, [BATCH]));
      if ((result.rows[0]?.n ?? 0) < BATCH) return;
    }
  }

  async #state(): Promise<State | undefined> {
    const { rows } = await this.#query<{ there: boolean }>(`select to_regclass('rewind.state') is not null as there`);
    if (!rows[0]?.there) return undefined;
    const found = await this.#query<State>(
      `select version, status, level, fingerprint, self = 'rewind.state'::regclass as native from rewind.state`,
    );
    return found.rows[0];
  }

  #isUsable(state: State | undefined): state is State {
    return state !== undefined && state.native && state.version === this.#server?.version;
  }

  /** One run at a time may hold a snapshot of a database. The lock goes with our session, however that ends. */
  async #lock(): Promise<void> {
    if (this.#locked) return;
    const limit = realTimers.now() + 2 * this.#patience;
    for (;;) {
      const { rows } = await this.#query<{ got: boolean }>(
        `select pg_try_advisory_lock(hashtext('mocha-rewind'), 0) as got`,
      );
      if (rows[0]?.got) break;
      if (realTimers.now() > limit) throw await this.#usedByAnother();
      await sleep(50);
    }
    this.#locked = true;
  }

  async #usedByAnother(): Promise<RewindError> {
    const { rows } = await this.#query<{ pid: number; application: string; since: string }>(
      `select a.pid, a.application_name as application, to_char(a.backend_start, 'HH24:MI:SS') as since
       from pg_catalog.pg_locks l join pg_catalog.pg_stat_activity a using (pid)
       where l.locktype = 'advisory' and l.granted and l.classid = hashtext('mocha-rewind')::oid
         and l.database = (select oid from pg_catalog.pg_database where datname = current_database())`,
    );
    const [other] = rows;
    return new RewindError('REWIND_RESTORE', {
      problem: `Another run is using this database: session ${other?.pid ?? '?'} ("${other?.application ?? '?'}", connected since ${other?.since ?? '?'}).`,
      remedy: 'Wait for it to end, or give each run a database of its own.',
    });
  }

  /**
   * Retries a step that other sessions' locks are in the way of. When patience has run out those sessions are ended; when
   * it has run out again it is an error. Never a hang: no lock is waited for longer than `lock_timeout`.
   */
  async #patiently<T>(step: () => Promise<T>): Promise<{ result: T; blockers: Blocker[] }> {
    const started = realTimers.now();
    const met = new Map<string, Blocker>();
    for (;;) {
      try {
        return { result: await step(), blockers: [...met.values()] };
      } catch (error) {
        const code = codeOf(error);
        if (code !== LOCK_NOT_AVAILABLE && code !== DEADLOCK_DETECTED) throw explain(error);
        const { query } = await this.#connected();
        const found = await findBlockers(query);
        const waited = realTimers.now() - started;
        const ended = waited > this.#patience;
        if (waited > 2 * this.#patience + 3000) throw explain(error, describeBlockers(found));
        for (const { gid, ...blocker } of found) met.set(gid ?? String(blocker.pid), { ...blocker, ended });
        if (ended) await endBlockers(query, found);
      }
    }
  }

  async #connected(): Promise<Session> {
    if (!this.#session) {
      this.#session = await openSession(this.options.connect);
      this.#server = serverSide(this.#session.serverVersion);
    }
    return this.#session;
  }

  /** Where the connection is lost, another one tries once more: every statement of ours can be repeated. */
  async #query<Row = Record<string, unknown>>(sql: string, values?: readonly unknown[]): Promise<{ rows: Row[] }> {
    const session = await this.#connected();
    try {
      return await session.query<Row>(sql, values);
    } catch (error) {
      if (!isLost(error)) throw error;
      await this.#reconnect(session);
      return (await this.#connected()).query<Row>(sql, values);
    }
  }

  async #reconnect(lost: Session): Promise<void> {
    await lost.end();
    this.#session = undefined;
    const limit = realTimers.now() + 5000;
    for (;;) {
      try {
        await this.#connected();
        break;
      } catch (error) {
        if (realTimers.now() > limit) throw error; // a server that restarts takes a moment
        await sleep(100);
      }
    }
    if (!this.#locked) return;
    this.#locked = false;
    await this.#lock();
  }
}

function explain(error: unknown, blockedBy?: string): RewindError {
  if (error instanceof RewindError) return error;
  if (blockedBy) {
    return new RewindError('REWIND_RESTORE', {
      problem: `A table could not be locked, because of ${blockedBy}`,
      remedy: 'End that session. Tests have to leave no transaction open.',
      cause: error,
    });
  }
  return new RewindError('REWIND_RESTORE', {
    problem: `The database could not be brought to its checkpoint: ${messageOf(error)}`,
    remedy: remedyFor(codeOf(error)),
    cause: error,
  });
}

function remedyFor(code: string | undefined): string {
  if (code === INSUFFICIENT_PRIVILEGE) {
    return 'The role of the tests has to own the tables, and needs CREATE on the database for a schema of our own.';
  }
  // 53200 is what PostgreSQL answers when its lock table is full (manual, "Lock Management").
  if (code === '53200')
    return 'Raise max_locks_per_transaction of the test server: a restore locks every touched table.';
  return 'Recreate the test database; the cause below says which statement failed.';
}
