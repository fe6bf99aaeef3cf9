import type { SnapshotStatus } from './index';

type Run = <Row>(sql: string) => Promise<Row[]>;

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
