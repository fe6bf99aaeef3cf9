import { type Query, quoteLiteral } from '../sql';
import type { Blocker } from './index';
import { isLost } from './session';

/** Sessions, and prepared transactions, that hold more than a reader's lock on a table we watch. */
const FIND = `
  select distinct coalesce(a.pid, 0) as pid, coalesce(a.application_name, '') as application,
    case when a.pid is null then 'prepared' else coalesce(a.state, '') end as state,
    coalesce(left(a.query, 200), p.gid) as query, p.gid
  from pg_catalog.pg_locks l
  left join pg_catalog.pg_stat_activity a on a.pid = l.pid
  left join pg_catalog.pg_prepared_xacts p on l.pid is null and l.virtualtransaction = '-1/' || p.transaction
  where l.locktype = 'relation' and l.granted and l.mode <> 'AccessShareLock' and l.pid is distinct from pg_backend_pid()
    and l.database = (select oid from pg_catalog.pg_database where datname = current_database())
    and l.relation in (select relid from rewind.relation)
    and (l.pid is null or a.usesysid is not null) -- autovacuum gives way by itself, after deadlock_timeout
  order by 1`;

export type Found = Omit<Blocker, 'ended'> & { readonly gid: string | null };

export async function findBlockers(query: Query): Promise<Found[]> {
  return (await query<Found>(FIND)).rows;
}

/** Ends what is in the way. What refuses to be ended (another role's session) is left; the next attempt will tell. */
export async function endBlockers(query: Query, found: readonly Found[]): Promise<void> {
  for (const blocker of found) {
    try {
      if (blocker.gid !== null) await query(`rollback prepared ${quoteLiteral(blocker.gid)}`);
      else await query('select pg_terminate_backend($1, 2000)', [blocker.pid]);
    } catch (error) {
      if (isLost(error)) throw error;
    }
  }
}

export function describeBlockers(found: readonly Found[]): string {
  if (found.length === 0) return 'a lock, though no session was seen to hold it';
  return found
    .map((b) =>
      b.gid === null
        ? `session ${b.pid} ("${b.application}", ${b.state}): ${b.query}`
        : `prepared transaction ${b.gid}`,
    )
    .join('; ');
}
