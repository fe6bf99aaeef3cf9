// Poolers between us and the server: PgBouncer, and those of managed services.
import { RewindError } from './errors';
import type { OwnConnection, Query } from './sql';

/** A connection that was just opened, as one of our own. `said`: what whoever answered says of the session. */
export async function asOwn(
  query: Query,
  said: { readonly processID: number },
  close: () => Promise<void>,
): Promise<OwnConnection> {
  const pid = await pidOf(query);
  const isPooled = pid !== said.processID; // a pooler makes one up
  return {
    query,
    pid,
    isPooled,
    end: async () => {
      // Whatever the pooler has been told to reset, its next client must not meet our settings and locks.
      if (isPooled) await query('discard all').catch(() => {});
      await close().catch(() => {});
    },
  };
}

/**
 * Nothing of ours works where a connection gets another session for each transaction: settings and session-level locks
 * would be anybody's. Where nobody stands in between, nothing is asked.
 *
 * @throws RewindError `REWIND_POOLER`
 */
export async function assertOwnSession(
  connection: OwnConnection,
  connect: () => Promise<OwnConnection>,
  label: string,
): Promise<void> {
  if (!connection.isPooled) return;
  const other = await connect();
  try {
    // The session that was given back last is handed out first, or each in its turn.
    const pids = [await pidOf(connection.query), await pidOf(connection.query)];
    if (other.pid !== connection.pid && pids.every((pid) => pid === connection.pid)) return;
  } finally {
    await other.end();
  }
  throw new RewindError('REWIND_POOLER', {
    problem: `The connections to ${label} go through a pooler that gives each transaction another session of the server (transaction mode).`,
    remedy:
      'Point the settings of the tests at the server itself (e.g. port 5432 in place of 6543, or the host without "-pooler"), or at a pooler in session mode.',
  });
}

async function pidOf(query: Query): Promise<number> {
  // As text: the app may have replaced pg's parsers for numbers.
  const { rows } = await query<{ pid: string }>('select pg_catalog.pg_backend_pid()::text as pid');
  return Number(rows[0]?.pid);
}
