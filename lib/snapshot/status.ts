import type { SnapshotStatus } from './index';
import { findSnapshot } from './find';

type Run = <Row>(sql: string, values?: readonly unknown[]) => Promise<Row[]>;

/** What the one row says that persists. */
export interface State {
  readonly status: 'taking' | 'running' | 'kept';
  readonly level: number;
  readonly fingerprint: string | null;
  /** Made in this very database, by this version of ours. */
  readonly usable: boolean;
}

/** `version`: of our own server side, asked for where there is a snapshot. Undefined: there is nothing of ours. */
export async function readState(run: Run, version: () => string): Promise<State | undefined> {
  if (!(await findSnapshot(run))) return undefined;
  // In a restored dump the table has another oid, and no oid in it means anything.
  const [state] = await run<State>(
    `select status, level, fingerprint, self = 'rewind.state'::regclass and version = $1 as usable from rewind.state`,
    [version()],
  );
  return state;
}

export const NO_STATUS: SnapshotStatus = { state: 'none', tables: 0, journalled: [], bytes: 0, takenAt: undefined };

/** What is in the database of ours, where there is anything. */
export async function readStatus(run: Run, state: SnapshotStatus['state']): Promise<SnapshotStatus> {
  const [found] = await run<Omit<SnapshotStatus, 'state' | 'takenAt'> & { takenAt: Date | null }>(
    `select
       (select count(*)::int from rewind.relation where kind = 'r') as tables,
       array(select name from rewind.relation where journal is not null order by name) as journalled,
       (select coalesce(sum(pg_total_relation_size(oid)), 0)::float8 from pg_catalog.pg_class
        where relnamespace = 'rewind'::regnamespace and relkind in ('r', 'S')) as bytes,
       taken_at as "takenAt"
     from rewind.state`,
  );
  if (!found) throw new Error('rewind.state has one row');
  return { ...found, state, takenAt: found.takenAt ?? undefined };
}
