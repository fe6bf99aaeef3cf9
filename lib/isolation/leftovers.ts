// REWIND_DIRTY: tests meet what earlier runs have left, and nothing that is committed is restored. The baseline stays
// where it is, marked as that of a run that has not ended, so that the next run without REWIND_DIRTY brings it back.
import { type Restored, type Snapshot, type SnapshotOptions, openSnapshot } from '../snapshot';
import type { IsolationOptions } from './index';

/** A snapshot that keeps a baseline and restores nothing. */
export interface UnrestoredSnapshot extends Snapshot {
  /** Whether the database holds what an earlier run has left. */
  readonly foundLeftovers: boolean;
}

/** The snapshot of a database, for runs as the options say. */
export function openFor(
  { leftovers, note, kept, fingerprint }: IsolationOptions,
  connect: SnapshotOptions['connect'],
): Promise<Snapshot> {
  return (leftovers === 'kept' ? openUnrestored : openSnapshot)({
    connect,
    note,
    kept,
    fingerprint: fingerprint(),
  });
}

async function openUnrestored(options: SnapshotOptions): Promise<UnrestoredSnapshot> {
  const snapshot = await openSnapshot(options);
  let foundLeftovers = false;
  return {
    get foundLeftovers() {
      return foundLeftovers;
    },
    get taken() {
      return foundLeftovers || snapshot.taken;
    },
    depth: 0,
    recover: async () => {
      const found = await snapshot.resume();
      foundLeftovers = found === 'resumed';
      if (found === 'no such run') {
        options.note(
          'REWIND_DIRTY: the database is clean; the next run with it meets what this one leaves (on an embedded server, which ends with its run, only npx mocha-rewind audit --dirty does)',
        );
      } else if (!foundLeftovers) {
        options.note(
          'REWIND_DIRTY: the baseline of the run that has left its data is of another version of mocha-rewind, and can no longer be brought back: those data, seeded anew, are the baseline from here on',
        );
      }
      return undefined;
    },
    resume: () => snapshot.resume(),
    holdsKept: () => snapshot.holdsKept(),
    useKept: () => snapshot.useKept(),
    take: () => snapshot.take(),
    adopt: async () => false,
    adopted: false,
    push: async () => [],
    pop: async () => NOTHING,
    restore: async () => NOTHING,
    touched: async () => [],
    wroteOutside: async () => false,
    look: async () => ({ differences: [], open: false }),
    repair: async () => false,
    verify: async () => [],
    plan: () => snapshot.plan(),
    aside: (work) => snapshot.aside(work),
    status: () => snapshot.status(),
    forget: async () => {},
    noteSequences: async () => {},
    resetSequences: async () => {},
    remove: () => snapshot.remove(),
    close: () => snapshot.close(),
  };
}

const NOTHING: Restored = {
  ms: 0,
  tables: [],
  sequences: 0,
  schemaChange: undefined,
  lateSince: undefined,
  blockers: [],
};
