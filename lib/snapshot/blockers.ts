import { type Query, quoteLiteral } from '../sql';
import { realTimers } from '../timers';
import type { Blocker } from './index';
import { isLost } from './session';

/** Sessions, and prepared transactions, that hold more than a reader's lock on a table we watch. */
const FIND = `
  select distinct coalesce(a.pid, 0) as pid, coalesce(a.application_name, '') as application,
    case when a.pid is null then 'prepared' else coalesce(a.state, '') end as state,
    coalesce(left(a.query, 200), '') as query, p.gid, p.owner, to_char(p.prepared, 'YYYY-MM-DD HH24:MI:SS') as at,
    coalesce(extract(epoch from clock_timestamp() - coalesce(a.xact_start, p.prepared)) * 1000, 0)::float8 as "openMs"
  from pg_catalog.pg_locks l
  left join pg_catalog.pg_stat_activity a on a.pid = l.pid
  -- Each transaction holds the lock of its own id. A prepared one has the virtual id of the session it was prepared in.
  left join pg_catalog.pg_locks x on l.pid is null and x.pid is null and x.virtualtransaction = l.virtualtransaction
    and x.locktype = 'transactionid' and x.mode = 'ExclusiveLock'
  left join pg_catalog.pg_prepared_xacts p on p.transaction = x.transactionid
  where l.locktype = 'relation' and l.granted and l.mode <> 'AccessShareLock' and l.pid is distinct from pg_backend_pid()
    and l.database = (select oid from pg_catalog.pg_database where datname = current_database())
    and l.relation in (select relid from rewind.relation)
    and (l.pid is null or a.usesysid is not null) -- autovacuum gives way by itself, after deadlock_timeout
  order by 1`;

export type Found = Omit<Blocker, 'ended'>;

interface Row extends Omit<Found, 'openSince'> {
  readonly openMs: number;
  readonly gid: string | null;
  readonly owner: string;
  readonly at: string;
}

export async function findBlockers(query: Query): Promise<Found[]> {
  const { rows } = await query<Row>(FIND);
  const now = realTimers.now();
  return rows.map(({ gid, owner, at, openMs, ...session }) => ({
    ...session,
    openSince: now - openMs,
    ...(gid !== null && { prepared: { gid, owner, at } }),
  }));
}

/** Ends what is in the way. What refuses to be ended (another role's session) is left; the next attempt will tell. */
export async function endBlockers(query: Query, found: readonly Found[]): Promise<void> {
  for (const { pid, prepared } of found) {
    try {
      if (prepared) await query(`rollback prepared ${quoteLiteral(prepared.gid)}`);
      else await query('select pg_terminate_backend($1, 2000)', [pid]);
    } catch (error) {
      if (isLost(error)) throw error;
    }
  }
}

export function describeBlockers(found: readonly Found[]): string {
  if (found.length === 0) return 'a lock, though no session was seen to hold it';
  return found
    .map(({ pid, application, state, query, prepared }) =>
      prepared
        ? `prepared transaction "${prepared.gid}" of role "${prepared.owner}", prepared at ${prepared.at}`
        : `session ${pid} ("${application}", ${state}): ${query}`,
    )
    .join('; ');
}
