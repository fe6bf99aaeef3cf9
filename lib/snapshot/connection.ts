import { RewindError, messageOf } from '../errors';
import type { OwnConnection } from '../sql';
import { realTimers, sleep } from '../timers';
import { type Found, blockersOf, describeBlockers, endBlockers } from './blockers';
import type { Blocker, SnapshotOptions } from './index';
import { INSUFFICIENT_PRIVILEGE, type Session, codeOf, isLost, openSession } from './session';

const LOCK_NOT_AVAILABLE = '55P03';
const DEADLOCK_DETECTED = '40P01';
/** What PostgreSQL answers when its lock table is full (manual, "Lock Management"). */
const OUT_OF_MEMORY = '53200';
/** Of ours: nothing else is named with a schema. */
const NO_SCHEMA = '3F000';
/** Of ours: a trigger of the app's stands where one of ours has to. */
const DUPLICATE_OBJECT = '42710';
const RECONNECT_MS = 5000;

/** One session after another, if need be: it survives a lost connection, and other sessions' locks. */
export class Connection {
  #session: Session | undefined;
  #isHolder = false;
  readonly #patience: number;

  constructor(private readonly options: SnapshotOptions) {
    this.#patience = options.patienceMs ?? 2000;
  }

  async session(): Promise<Session> {
    return (this.#session ??= await openSession(this.options.connect));
  }

  /** Where the connection is lost, another one tries once more: so whatever is sent has to bear repeating. */
  async query<Row = Record<string, unknown>>(sql: string, values?: readonly unknown[]): Promise<Row[]> {
    const session = await this.session();
    try {
      return (await session.query<Row>(sql, values)).rows;
    } catch (error) {
      if (!isLost(error)) throw explain(error);
      await this.#reconnect(session);
      return (await (await this.session()).query<Row>(sql, values)).rows;
    }
  }

  /**
   * The same, where other sessions' locks may be in the way. When patience has run out those sessions are ended; when it
   * has run out again it is an error. Never a hang: no lock is waited for longer than `lock_timeout`.
   */
  async insist<Row = Record<string, unknown>>(
    sql: string,
    values?: readonly unknown[],
  ): Promise<{ rows: Row[]; blockers: Blocker[]; sent: number }> {
    const started = realTimers.now();
    const met = new Map<string, Blocker>();
    let watcher: OwnConnection | undefined;
    try {
      for (;;) {
        const sent = realTimers.now();
        const session = await this.session();
        const answer = this.query<Row>(sql, values);
        const looking = watcher && blockersOf(session, watcher, answer).catch((): Found[] => []);
        try {
          return { rows: await answer, blockers: [...met.values()], sent };
        } catch (error) {
          const cause = error instanceof RewindError ? error.cause : error;
          if (!isLocked(cause)) {
            this.#tell([...met.values()].filter(({ ended }) => ended));
            throw error;
          }
          const found = (await looking) ?? [];
          const waited = realTimers.now() - started;
          const ended = waited > this.#patience;
          if (waited > 2 * this.#patience + RECONNECT_MS) throw blocked(describeBlockers(found), cause);
          for (const blocker of found) met.set(blocker.prepared?.gid ?? String(blocker.pid), { ...blocker, ended });
          watcher ??= await this.options.connect();
          if (ended) await endBlockers(watcher.query, found);
        }
      }
    } finally {
      await watcher?.end();
    }
  }

  /** The same, where its caller does not tell of the sessions that stood in the way. */
  async insistAndTell<Row = Record<string, unknown>>(sql: string, values?: readonly unknown[]): Promise<Row[]> {
    const { rows, blockers } = await this.insist<Row>(sql, values);
    this.#tell(blockers);
    return rows;
  }

  #tell(blockers: readonly Blocker[]): void {
    for (const blocker of blockers) {
      const did = blocker.ended ? 'ended' : 'waited for';
      this.options.note(
        `${did}, because the snapshot needs a table that it had locked: ${describeBlockers([blocker])}`,
      );
    }
  }

  /** One run at a time may use a database's snapshot. The lock goes with our session, however that ends. */
  async hold(): Promise<void> {
    const limit = realTimers.now() + 2 * this.#patience;
    while (!(await this.holdIfFree())) {
      if (realTimers.now() > limit) throw await this.#heldByAnother();
      await sleep(50);
    }
  }

  async holdIfFree(): Promise<boolean> {
    if (this.#isHolder) return true;
    const [row] = await this.query<{ got: boolean }>(`select pg_try_advisory_lock(hashtext('mocha-rewind'), 0) as got`);
    return (this.#isHolder = row?.got ?? false);
  }

  async release(): Promise<void> {
    if (!this.#isHolder) return;
    this.#isHolder = false;
    await this.query(`select pg_advisory_unlock(hashtext('mocha-rewind'), 0)`);
  }

  async aside<T>(work: () => Promise<T>): Promise<T> {
    const held = this.#isHolder;
    await this.end();
    try {
      return await work();
    } finally {
      if (held) await this.hold();
    }
  }

  async end(): Promise<void> {
    await this.#session?.end();
    this.#session = undefined;
    this.#isHolder = false;
  }

  async #heldByAnother(): Promise<RewindError> {
    const [other] = await this.query<{ pid: number; application: string; since: string }>(
      `select a.pid, a.application_name as application, to_char(a.backend_start, 'HH24:MI:SS') as since
       from pg_catalog.pg_locks l join pg_catalog.pg_stat_activity a using (pid)
       where l.locktype = 'advisory' and l.granted and l.classid = hashtext('mocha-rewind')::oid
         and l.database = (select oid from pg_catalog.pg_database where datname = current_database())`,
    );
    const who = other && `session ${other.pid} ("${other.application}", connected since ${other.since})`;
    return new RewindError('REWIND_RESTORE', {
      problem: `Another run is using this database: ${who ?? 'it has just ended'}.`,
      remedy: 'Wait for it to end, or give each run a database of its own.',
    });
  }

  async #reconnect(lost: Session): Promise<void> {
    await lost.end();
    this.#session = undefined;
    const limit = realTimers.now() + RECONNECT_MS;
    for (;;) {
      try {
        await this.session();
        break;
      } catch (error) {
        if (realTimers.now() > limit) throw error; // a server that restarts takes a moment
        await sleep(100);
      }
    }
    if (!this.#isHolder) return;
    this.#isHolder = false;
    await this.hold();
  }
}

/** Whether a statement was refused because of others' locks. */
export function isLocked(error: unknown): boolean {
  const code = codeOf(error);
  return code === LOCK_NOT_AVAILABLE || code === DEADLOCK_DETECTED;
}

function blocked(by: string, cause: unknown): RewindError {
  return new RewindError('REWIND_RESTORE', {
    problem: `A table could not be locked, because of ${by}`,
    remedy: 'End that session, or ROLLBACK PREPARED that transaction. Tests have to leave no transaction open.',
    cause,
  });
}

export function unrepairable(names: readonly string[], cause: unknown): RewindError {
  return new RewindError('REWIND_RESTORE', {
    problem: `${names.join(', ')} can't be repaired: ${messageOf(cause)}`,
    remedy: 'The next restore tries again, and says what it can not do.',
    cause,
  });
}

function explain(cause: unknown): RewindError {
  return new RewindError('REWIND_RESTORE', {
    problem: `The database could not be brought to its checkpoint: ${messageOf(cause)}`,
    remedy: remedyFor(codeOf(cause)),
    cause,
  });
}

function remedyFor(code: string | undefined): string {
  switch (code) {
    case INSUFFICIENT_PRIVILEGE:
      return 'The role of the tests has to own the tables, and needs CREATE on the database for a schema of our own.';
    case OUT_OF_MEMORY:
      return 'Raise max_locks_per_transaction of the test server: a restore locks every touched table.';
    case NO_SCHEMA:
      return 'A test has dropped schema "rewind", where the baseline was kept. Tag tests that drop schemas @schema, so that each has a database of its own, and recreate the test database.';
    case DUPLICATE_OBJECT:
      return 'Rename that trigger: those that watch a table are named rewind_counter and rewind_journal_….';
    default:
      return 'Recreate the test database; the cause below says which statement failed.';
  }
}
