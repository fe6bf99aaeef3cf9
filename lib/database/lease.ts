import type { OwnConnection } from '../sql';

/**
 * Who holds databases of ours is told by a session with this name, in a database that is never cloned or dropped: it goes
 * when its process does, however that ends, and leaves the databases themselves free of sessions.
 */
const LEASE = 'mocha-rewind lease ';

export async function takeLease(maintenance: OwnConnection, holder: string): Promise<void> {
  await maintenance.query(`select set_config('application_name', $1, false)`, [LEASE + holder]);
}

/** Whose databases must be left alone. Sessions of other roles are not seen, but nor can their databases be dropped. */
export async function leaseHolders(maintenance: OwnConnection): Promise<ReadonlySet<string>> {
  const { rows } = await maintenance.query<{ name: string }>(
    'select application_name as name from pg_stat_activity where starts_with(application_name, $1)',
    [LEASE],
  );
  return new Set(rows.map(({ name }) => name.slice(LEASE.length)));
}
