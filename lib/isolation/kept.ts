import type { IsolationOptions } from './index';
import type { ManagedDatabase } from './managed-database';

/**
 * Whether nobody need migrate and seed: tests are to find what others have left, or an earlier run has kept the baseline,
 * which is then gone on from. Only if all databases have one: one seed function may fill several.
 */
export async function areSeeded(databases: readonly ManagedDatabase[], options: IsolationOptions): Promise<boolean> {
  if (databases.some((database) => database.holdsLeftovers)) return true;
  if (options.fingerprint() === undefined || databases.length === 0) return false;
  // Two views of one database have one snapshot.
  const kept = new Map(databases.map((database) => [database.identity, database.kept]));
  for (const baseline of kept.values()) if (!(await baseline?.holdsKept())) return false;
  for (const baseline of kept.values()) await baseline?.useKept();
  options.note('the seeded baseline of an earlier run was used again; REWIND_FRESH=1 seeds anew');
  return true;
}
