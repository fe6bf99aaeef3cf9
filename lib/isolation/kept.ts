import type { IsolationOptions } from './index';
import type { ManagedDatabase } from './managed-database';

/**
 * Goes on from the baselines that an earlier run has kept, so that nobody need migrate and seed. Only if all databases
 * have them: one seed function may fill several.
 */
export async function usesKept(databases: Iterable<ManagedDatabase>, options: IsolationOptions): Promise<boolean> {
  if (options.fingerprint() === undefined) return false;
  // Two roles' views of one database have one snapshot.
  const kept = new Map([...databases].map((database) => [database.identity, database.kept]));
  if (kept.size === 0) return false;
  for (const baseline of kept.values()) if (!(await baseline?.holdsKept())) return false;
  for (const baseline of kept.values()) await baseline?.useKept();
  options.note('the seeded baseline of an earlier run was used again; REWIND_FRESH=1 seeds anew');
  return true;
}
