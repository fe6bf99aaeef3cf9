import { prepareSandbox } from '../sandbox';
import type { ManagedDatabase } from './managed-database';
import type { ModeStrategy } from './mode-strategy';

/** Every write goes to the sandbox, and is undone with its scope. */
export const rollback: ModeStrategy = {
  admit: (database, scope) =>
    scope.kind === 'root' && database.keepsRoot ? { to: 'pool' } : { to: 'sandbox', sandbox: database.sandbox },
  // Usually nothing is due: only after committing tests, which the order puts last but nobody has to rely on.
  arrive: (database) => database.settle(),
  depart: async () => undefined,
};

/** The first test has its time limit for itself, and may have faked the clock that a connection needs to open. */
export async function prepareFor(databases: readonly ManagedDatabase[]): Promise<void> {
  // What fails here fails again, and is told, at the first statement.
  for (const { sandbox, pools } of databases) {
    for (const pool of pools.all) await prepareSandbox(sandbox, pool).catch(() => {});
  }
}
