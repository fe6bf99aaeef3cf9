import type { ModeStrategy } from './mode-strategy';

/** Every write goes to the sandbox, and is undone with its scope. */
export const rollback: ModeStrategy = {
  admit: (database, scope) =>
    scope.kind === 'root' && database.keepsRoot ? { to: 'pool' } : { to: 'sandbox', sandbox: database.sandbox },
  // Usually nothing is due: only after committing tests, which the order puts last but nobody has to rely on.
  arrive: (database) => database.settle(),
  depart: async () => undefined,
};
