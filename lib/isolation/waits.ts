import { messageOf } from '../errors';
import { ownPids, waitsOf } from '../sandbox';
import { type ServerSession, type Waiting, findWaiting, isBusy } from '../snapshot';
import type { ManagedDatabase } from './managed-database';

/** Sentences on who waits for whom just now: in the app's pools, in the sandbox, and on the server. */
export async function describeWaits(database: ManagedDatabase): Promise<readonly string[]> {
  const pools = [...database.pools.all];
  const ours = [...pools.flatMap((pool) => pool.waits()), ...waitsOf(database.sandbox)];
  // With no connection in use, and no rolled-back test's, nobody here waits, and nobody else waits for us.
  const pool = database.sandbox.pid === undefined ? pools.find((candidate) => candidate.inUse() > 0) : pools[0];
  if (!pool) return ours;
  const managed = pools.flatMap((candidate) => candidate.pids());
  try {
    const connection = await pool.connect('mocha-rewind', database.pools.elsewhere);
    try {
      const found = await findWaiting(connection.query, managed);
      return [
        ...ours,
        ...found.map((waiting) =>
          sentence(waiting, connection.isPooled ? undefined : new Set(managed), database.label),
        ),
      ];
    } finally {
      await connection.end();
    }
  } catch (error) {
    return [...ours, `${database.label} could not be asked who waits for whom: ${messageOf(error)}`];
  }
}

/** Whether the server is busy with a statement of our own: a large table takes its time. */
export async function isServerBusy({ pools }: ManagedDatabase): Promise<boolean> {
  const connection = await pools.connect();
  try {
    return await isBusy(connection.query, ownPids());
  } finally {
    await connection.end();
  }
}

/** `managed`: undefined where a pooler hides which sessions they are. */
function sentence({ session, blockers }: Waiting, managed: ReadonlySet<number> | undefined, label: string): string {
  const who = `${name(session, managed)} of ${label}`;
  if (blockers.length === 0) return `${who} is still running "${session.query}".`;
  const holders = blockers.map((blocker) =>
    blocker.pid === 0
      ? `a prepared transaction, ${blocker.query}`
      : `${name(blocker, managed)}, ${blocker.state}, "${blocker.query}"`,
  );
  return `${who} waits with "${session.query}" for a lock of ${holders.join('; and of ')}.`;
}

/** Whose session it is, since what to do about it depends on that. */
function name({ pid, application }: ServerSession, managed: ReadonlySet<number> | undefined): string {
  if (managed?.has(pid)) return `connection ${pid} (the app's, managed)`;
  if (application === 'mocha-rewind') return `connection ${pid} (mocha-rewind's own)`;
  if (!managed) return `connection ${pid}${application && ` ("${application}")`}`;
  return `connection ${pid} (not managed${application && `: "${application}"`})`;
}
