import type { Query } from '../sql';

/** A session of the server's, as a message names it. */
export interface ServerSession {
  /** 0: a prepared transaction, which no session holds: then `query` names all that there are. */
  readonly pid: number;
  readonly application: string;
  readonly state: string;
  /** What it runs, or has run last; shortened. */
  readonly query: string;
}

/** One session that waits for others, or (with no blocker) that is busy with a statement. */
export interface Waiting {
  readonly session: ServerSession;
  readonly blockers: readonly ServerSession[];
}

// pg_blocking_pids() looks at the lock table only; parallel workers and repeated pids are left out.
const FIND = `
  with seen as (
    select pid, coalesce(application_name, '') as application, coalesce(state, '') as state,
      coalesce(left(regexp_replace(query, '\\s+', ' ', 'g'), 200), '') as query,
      datname = current_database() as here, array(select distinct unnest(pg_catalog.pg_blocking_pids(pid))) as blockers
    from pg_catalog.pg_stat_activity where pid <> pg_catalog.pg_backend_pid() and backend_type = 'client backend'
  )
  select json_build_object('pid', w.pid, 'application', w.application, 'state', w.state, 'query', w.query) as session,
    (select coalesce(json_agg(json_build_object('pid', b.pid, 'application', coalesce(s.application, ''),
        'state', coalesce(s.state, ''), 'query', coalesce(s.query, case when b.pid = 0 then prepared.all end, '')) order by b.pid), '[]')
     from unnest(w.blockers) as b(pid) left join seen s on s.pid = b.pid) as blockers
  from seen w, (
    select string_agg(format('"%s", of role "%s", prepared at %s', gid, owner, to_char(prepared, 'YYYY-MM-DD HH24:MI:SS')), '; or ') as all
    from pg_catalog.pg_prepared_xacts where database = current_database()) prepared
  where w.here and (w.blockers <> '{}' or w.pid = any($1::int[]) and w.state = 'active')
  order by w.blockers = '{}', w.pid`;

/** Whether one of these sessions works, rather than waiting for a lock, or for whoever is at the other end. */
export async function isBusy(query: Query, sessions: readonly number[]): Promise<boolean> {
  const { rows } = await query<{ busy: boolean }>(
    `select exists (
       select from pg_catalog.pg_stat_activity
       where pid = any($1::int[]) and pid <> pg_catalog.pg_backend_pid() and state = 'active'
         and coalesce(wait_event_type, '') not in ('Lock', 'Client')
     ) as busy`,
    [sessions],
  );
  return rows[0]?.busy ?? false;
}

/** Who waits for whose locks in this database just now; of the sessions named, also those that are merely busy. */
export async function findWaiting(query: Query, busy: readonly number[]): Promise<readonly Waiting[]> {
  return (await query<Waiting>(FIND, [busy])).rows;
}
