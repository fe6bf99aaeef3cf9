// `status`, `restore`, `verify` and `remove`: the snapshot of a database, seen and worked on by hand.
import { type Difference, type Snapshot, type SnapshotStatus, openSnapshot } from '../snapshot';
import { type TargetDatabase, targetDatabases } from './databases';
import { complain, count, pc, say } from './terminal';

export async function status(requireFiles: readonly string[]): Promise<number> {
  return eachDatabase(requireFiles, async (snapshot, { label, info }) => {
    const found = await snapshot.status();
    say(`${label}: ${meaningOf(found)}`);
    say(
      `  ${count(info.tables, 'table')}, ${size(info.sizeBytes)}, PostgreSQL ${Math.floor(info.version / 10_000)}, role "${info.user}"`,
    );
    if (found.state === 'none') return 0;
    const journalled = found.journalled.length === 0 ? '' : `, by journal: ${found.journalled.join(', ')}`;
    say(`  copies of ${count(found.tables, 'table')}, ${size(found.bytes)}${journalled}`);
    const touched = found.state === 'taking' ? [] : await snapshot.touched();
    if (touched.length > 0) say(`  may have changed since: ${touched.join(', ')}`);
    return 0;
  });
}

export async function restore(requireFiles: readonly string[]): Promise<number> {
  return eachDatabase(requireFiles, async (snapshot, { label }) => {
    if (!(await hasBaseline(snapshot, label))) return 1;
    // What a killed run has left is its own state machine's to clear up; after it there is nothing left to restore.
    const touched = await snapshot.touched();
    const recovered = await snapshot.recover();
    const { tables, sequences, schemaChange = recovered?.schemaChange } = await snapshot.restore();
    if (recovered)
      say(
        `${label}: a run was killed here; its baseline is back${touched.length > 0 ? ` (${touched.join(', ')})` : ''}.`,
      );
    else if (tables.length + sequences === 0) say(`${label}: nothing had changed.`);
    else say(`${label}: its baseline is back.`);
    for (const { name, removed, added } of tables)
      say(`  ${name}: ${count(removed, 'row')} removed, ${added} put back`);
    if (sequences > 0) say(`  ${count(sequences, 'sequence')} set back`);
    if (schemaChange === undefined) return 0;
    complain(`${label}: the schema was changed, which a restore can't undo: ${schemaChange}`);
    return 1;
  });
}

/** What `restore` would run. */
export async function plan(requireFiles: readonly string[]): Promise<number> {
  return eachDatabase(requireFiles, async (snapshot, { label }) => {
    if (!(await hasBaseline(snapshot, label))) return 1;
    say(`-- ${label}`);
    say(await snapshot.plan());
    return 0;
  });
}

export async function verify(requireFiles: readonly string[]): Promise<number> {
  return eachDatabase(requireFiles, async (snapshot, { label }) => {
    if (!(await hasBaseline(snapshot, label))) return 1;
    const differences = await snapshot.verify();
    if (differences.length === 0) {
      say(`${label}: equals its baseline, row by row.`);
      return 0;
    }
    say(`${label}: ${pc.red('differs')} from its baseline.`);
    for (const difference of differences) say(`  ${inWords(difference)}`);
    return 1;
  });
}

export async function remove(requireFiles: readonly string[], force: boolean): Promise<number> {
  return eachDatabase(requireFiles, async (snapshot, { label }) => {
    const { state } = await snapshot.status();
    if (state === 'running' && !force) {
      complain(`${label}: a run was killed here, and what it wrote is still there. Nothing was removed.`);
      complain(
        '  First bring its baseline back (mocha-rewind restore), or keep what is there: mocha-rewind remove --force',
      );
      return 1;
    }
    await snapshot.remove();
    say(
      `${label}: ${state === 'none' ? 'nothing of ours was there.' : 'every trace of ours is gone; your tables are as they were.'}`,
    );
    return 0;
  });
}

/** The worst result counts. */
async function eachDatabase(
  requireFiles: readonly string[],
  work: (snapshot: Snapshot, database: TargetDatabase) => Promise<number>,
): Promise<number> {
  let worst = 0;
  for (const database of await targetDatabases(requireFiles)) {
    const snapshot = await openSnapshot({ connect: database.connect, note: (sentence) => say(`  ${sentence}`) });
    try {
      worst = Math.max(worst, await work(snapshot, database));
    } finally {
      await snapshot.close();
    }
  }
  return worst;
}

async function hasBaseline(snapshot: Snapshot, label: string): Promise<boolean> {
  const { state } = await snapshot.status();
  if (state === 'running' || state === 'kept') return true;
  complain(
    `${label}: ${state === 'none' ? 'there is no baseline in it; a run with @truncate tests makes one.' : MEANINGS.taking}`,
  );
  return false;
}

const MEANINGS: Readonly<Record<SnapshotStatus['state'], string>> = {
  none: 'nothing of ours is in it.',
  taking:
    'its baseline is of no use: a run was killed while it made it, or has left what its tests wrote. The next run makes a new one.',
  running: 'a run is on, or was killed: the next run, or mocha-rewind restore, brings its baseline back.',
  kept: 'a baseline is kept for the next run',
};

function meaningOf({ state, takenAt }: SnapshotStatus): string {
  return state === 'kept' ? `${MEANINGS.kept}${takenAt ? `, made ${takenAt.toISOString()}` : ''}.` : MEANINGS[state];
}

function inWords({ name, extra, missing }: Difference): string {
  return `${name}: ${count(extra, 'row')} too many, ${missing} missing`;
}

function size(bytes: number): string {
  return bytes < 1024 * 1024 ? `${Math.ceil(bytes / 1024)} kB` : `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}
