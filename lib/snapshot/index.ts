// The contract of the snapshot room: the only room with catalog SQL.
import type { OwnConnection } from '../sql';
import { DatabaseSnapshot } from './snapshot';

export interface SnapshotOptions {
  /** Opens a connection of our own to the database. Called once, and again if that connection is lost. */
  readonly connect: () => Promise<OwnConnection>;
  /** A sentence for people, to be shown at the end of the run. */
  readonly note: (sentence: string) => void;
  /** What the baseline depends on beside the schema and the contents, e.g. a hash of config, migrations and seeds. */
  readonly fingerprint?: string | undefined;
  /** `ignore` what an earlier run has kept. @default 'use' */
  readonly kept?: 'use' | 'ignore';
  /** Tables with more rows than this are journalled instead of copied. @default 20_000 */
  readonly journalAbove?: number;
  /**
   * How long we wait for other sessions: for their locks, before those sessions are ended, and (twice as long) for
   * another run to let go of the database. @default 2000
   */
  readonly patienceMs?: number;
}

/** A session that stood in the way of a restore: it held a lock on a table that had to be brought back. */
export interface Blocker {
  /** 0 for a prepared transaction. */
  readonly pid: number;
  readonly prepared?: { readonly gid: string; readonly owner: string; readonly at: string } | undefined;
  /** When its transaction began, by our own clock (`realTimers`). */
  readonly openSince: number;
  readonly application: string;
  /** As in `pg_stat_activity`: `idle in transaction`, `active`, …; `prepared` for a prepared transaction. */
  readonly state: string;
  /** Its last statement; none of a prepared transaction's is known. */
  readonly query: string;
  /** Its transaction had to be ended; otherwise it ended by itself while we waited. */
  readonly ended: boolean;
}

/** What {@link Snapshot.restore} did. */
export interface Restored {
  readonly ms: number;
  /** Tables that differed, with the rows that went and came. */
  readonly tables: readonly { readonly name: string; readonly removed: number; readonly added: number }[];
  readonly sequences: number;
  /** A change of the schema that the restore can't undo, in words; undefined where there was none. */
  readonly schemaChange: string | undefined;
  /**
   * When a transaction began, by our own clock (`realTimers`), that is older than the restore before this one, and has
   * written after it. From PostgreSQL 15 on.
   */
  readonly lateSince: number | undefined;
  /** Sessions the restore had to wait for longer than a moment. */
  readonly blockers: readonly Blocker[];
}

export { hasTables } from './tables';
export { type ServerSession, type Waiting, findWaiting, isBusy } from './waits';

/** What {@link Snapshot.recover} could not bring back. */
export type Recovered = Pick<Restored, 'schemaChange'>;

/** A table (or sequence, …) whose contents are not those of the checkpoint. */
export interface Difference {
  readonly name: string;
  /** Rows that are there and should not be. */
  readonly extra: number;
  /** Rows that should be there. */
  readonly missing: number;
}

/** What {@link Snapshot.look} has seen. */
export interface Look {
  /** Tables whose committed contents are not those of the checkpoint. */
  readonly differences: readonly Difference[];
  /** A transaction that is no sandbox's has written, and is not over: what comes of it will be seen later. */
  readonly open: boolean;
  /** What has been committed of the schema since it was last looked at, in words. No restore undoes it. */
  readonly schemaChange?: string;
}

/** What is in the database of ours. */
export interface SnapshotStatus {
  /** `none`: nothing. `running`: a run is on, or was killed. `kept`: waits for the next run. */
  readonly state: 'none' | 'taking' | 'running' | 'kept';
  readonly tables: number;
  readonly journalled: readonly string[];
  /** Size of the copies and journals. */
  readonly bytes: number;
  readonly takenAt: Date | undefined;
}

/**
 * The plugin's copy of the baseline, inside the database itself (schema `rewind`), with a stack of checkpoints above it.
 * One instance per database and process.
 *
 * Order of rows: a restore puts rows back at the end of their table. SELECT without ORDER BY gives the seed's order only
 * until a test changes a row of that table; PostgreSQL promises no order without ORDER BY, and neither do we.
 */
export interface Snapshot {
  /** Brings a database whose last run was killed back to its baseline. Undefined if there was nothing to recover. */
  recover(): Promise<Recovered | undefined>;
  /** Leaves what a run that has not ended left, and its baseline, if it can be used. */
  resume(): Promise<'resumed' | 'no such run' | 'its baseline is of no use'>;
  /**
   * Whether the database holds a baseline that was kept for this very fingerprint, and nothing has changed since: no row,
   * no sequence, nothing of the schema. Then {@link useKept} may take the place of {@link take}.
   */
  holdsKept(): Promise<boolean>;
  /** Goes on from the kept baseline: nothing is copied. */
  useKept(): Promise<void>;
  /** Makes the present contents the baseline (checkpoint 0), or finds the kept one still valid. */
  take(): Promise<void>;
  /**
   * Takes what an earlier run has kept for the baseline, if the database still equals it and nobody else has it. A few round
   * trips, whatever its size. It stays marked as kept: {@link adopted} is for runs that commit nothing.
   */
  adopt(): Promise<boolean>;
  readonly adopted: boolean;
  /** True after {@link take} or {@link adopt}. */
  readonly taken: boolean;
  /** Number of checkpoints above the baseline. */
  readonly depth: number;
  /**
   * Makes the present contents a checkpoint above the current one. Cheap where nothing was touched. Resolves to the sessions
   * it had to wait for longer than a moment.
   */
  push(): Promise<readonly Blocker[]>;
  /** Drops the current checkpoint and restores the one below. */
  pop(): Promise<Restored>;
  /** Back to the current checkpoint. One round trip where nothing was touched. */
  restore(): Promise<Restored>;
  /** Tables (and sequences, …) that may have changed since the current checkpoint: never a false "no". One round trip. */
  touched(): Promise<readonly string[]>;
  /**
   * Whether anybody but a sandbox has written since this was last asked, or since the last checkpoint or restore: never a
   * false "no"; work that was rolled back is a false "yes". One round trip, of constant cost.
   */
  wroteOutside(): Promise<boolean>;
  /**
   * What those have committed, found without a lock. `sandboxes`: the backend pids of sandboxes, whose open transactions
   * don't count.
   */
  look(sandboxes: readonly number[]): Promise<Look>;
  /**
   * Brings these tables back to the current checkpoint while a sandbox's transaction stays open. False if that stands in
   * the way, by a lock: then nothing is changed.
   *
   * @throws RewindError `REWIND_RESTORE` where it is something else. Nothing is changed then either.
   */
  repair(names: readonly string[]): Promise<boolean>;
  /** Compares everything with the current checkpoint, row by row. Empty: the database equals it. */
  verify(): Promise<readonly Difference[]>;
  /** The SQL that a restore of the tables touched now would run, as text to read. */
  plan(): Promise<string>;
  /** Does `work` while no connection of ours is open. */
  aside<T>(work: () => Promise<T>): Promise<T>;
  /** What is in the database of ours. Needs no baseline. */
  status(): Promise<SnapshotStatus>;
  /**
   * The baseline is not worth keeping any more (dirty or unmanaged tests ran). The present contents are left alone; the
   * counters stay, so that the next run copies only what has changed, unless there are checkpoints.
   */
  forget(): Promise<void>;
  /**
   * Remembers where all sequences stand, in this process and without writing anything: enough of a baseline where all tests
   * roll back, since ROLLBACK does not give back the numbers that sequences have given out (manual, 9.17).
   */
  noteSequences(): Promise<void>;
  /** Sets them back to where they were noted. One round trip. */
  resetSequences(): Promise<void>;
  /** Takes every trace of ours out of the database. */
  remove(): Promise<void>;
  /** Ends our connection; what is kept in the database stays, marked as whole. Never rejects. */
  close(): Promise<void>;
}

/** Connects at the first use. */
export async function openSnapshot(options: SnapshotOptions): Promise<Snapshot> {
  return new DatabaseSnapshot(options);
}
