import { type Query, quoteLiteral } from '../sql';
import { realTimers, sleep } from '../timers';
import type { Blocker } from './index';
import { isLost } from './session';

/** Whom a session waits for, however indirectly, and who waits for nobody: 0 for a prepared transaction. */
const BLOCKING = `
  with recursive line (pid) as (
    select unnest(pg_catalog.pg_blocking_pids($1::int)) union select unnest(pg_catalog.pg_blocking_pids(pid)) from line where pid <> 0
  )
  select pid from line where pid <> $1::int and (pid = 0 or pg_catalog.pg_blocking_pids(pid) = '{}')`;

const OPEN_FOR = `coalesce(extract(epoch from pg_catalog.clock_timestamp() - since) * 1000, 0)::float8 as "openMs"`;

/** These sessions; of prepared transactions, those that hold more than a reader's lock on a table we watch. */
const FIND = `
  select pid, coalesce(application_name, '') as application, coalesce(state, '') as state, coalesce(left(query, 200), '') as query,
    null as gid, '' as owner, '' as at, ${OPEN_FOR}
  from (select *, xact_start as since from pg_catalog.pg_stat_activity) a
  where pid = any ($1::int[]) and usesysid is not null -- autovacuum gives way by itself, after deadlock_timeout
  union all
  select 0, '', 'prepared', '', gid, owner, to_char(prepared, 'YYYY-MM-DD HH24:MI:SS'), ${OPEN_FOR}
  from (select *, prepared as since from pg_catalog.pg_prepared_xacts) p
  where 0 = any ($1::int[]) and exists (
    select from pg_catalog.pg_locks l
    -- Each transaction holds the lock of its own id. A prepared one has the virtual id of the session it was prepared in.
    join pg_catalog.pg_locks x on x.pid is null and x.virtualtransaction = l.virtualtransaction
      and x.locktype = 'transactionid' and x.mode = 'ExclusiveLock'
    where x.transactionid = p.transaction and l.pid is null
      and l.locktype = 'relation' and l.granted and l.mode <> 'AccessShareLock'
      and l.database = (select oid from pg_catalog.pg_database where datname = current_database())
      and l.relation in (select relid from rewind.relation))
  order by pid`;

export type Found = Omit<Blocker, 'ended'>;

interface Row extends Omit<Found, 'openSince'> {
  readonly openMs: number;
  readonly gid: string | null;
  readonly owner: string;
  readonly at: string;
}

/** Watches, from another session, for whom one waits while it works: when it has given up, nobody can tell any more. */
export async function blockersOf(
  { pid }: { readonly pid: number },
  { query }: { readonly query: Query },
  work: Promise<unknown>,
): Promise<Found[]> {
  let isOver = false;
  const over = (): void => void (isOver = true);
  work.then(over, over);
  const pids = new Set<number>();
  while (!isOver) {
    const { rows } = await query<{ pid: number }>(BLOCKING, [pid]);
    if (rows.length > 0) pids.clear();
    for (const row of rows) pids.add(row.pid);
    await sleep(20);
  }
  const { rows } = await query<Row>(FIND, [[...pids]]);
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

/** Of another role's session we may not know the state. */
export function describeBlockers(found: readonly Found[]): string {
  if (found.length === 0) return 'a lock, though no session was seen to hold it';
  return found
    .map(({ pid, application, state, query, prepared }) =>
      prepared
        ? `prepared transaction "${prepared.gid}" of role "${prepared.owner}", prepared at ${prepared.at}`
        : `session ${pid} ("${application}"${state && `, ${state}`}): ${query}`,
    )
    .join('; ');
}
