// The contract of the snapshot room: the only room with catalog SQL.
import type { OwnConnection } from '../sql';

export interface SnapshotOptions {
  /** Opens a connection of our own to the database. Called once, and again if that connection is lost. */
  readonly connect: () => Promise<OwnConnection>;
  /** A sentence for people, to be shown at the end of the run. */
  readonly note: (sentence: string) => void;
}

/** What {@link Snapshot.restore} did. */
export interface Restored {
  readonly ms: number;
  readonly tables: readonly { readonly name: string; readonly removed: number; readonly added: number }[];
  readonly sequences: number;
  /** A change of the schema that the restore can't undo, in words; undefined where there was none. */
  readonly schemaChange: string | undefined;
}

/**
 * The plugin's copy of the baseline, inside the database itself (schema `rewind`), with a stack of checkpoints above it.
 * One instance per database and process.
 */
export interface Snapshot {
  /** Brings a database whose last run was killed back to its baseline. True if there was something to recover. */
  recover(): Promise<boolean>;
  /** Makes the present contents the baseline (checkpoint 0), or finds the kept one still valid. */
  take(): Promise<void>;
  readonly taken: boolean;
  /** Number of checkpoints above the baseline. */
  readonly depth: number;
  /** Makes the present contents a checkpoint above the current one. Cheap where nothing was touched. */
  push(): Promise<void>;
  /** Drops the current checkpoint and restores the one below. */
  pop(): Promise<Restored>;
  /** Back to the current checkpoint. One round trip where nothing was touched. */
  restore(): Promise<Restored>;
  /** Tables that may have changed since the current checkpoint (never a false "no"). */
  touched(): Promise<readonly string[]>;
  /** The baseline is not worth keeping any more (dirty or unmanaged tests ran): take the snapshot away. */
  forget(): Promise<void>;
  /** Ends our connection; what is kept in the database stays, marked as whole. Never rejects. */
  close(): Promise<void>;
}
