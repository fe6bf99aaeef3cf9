import type { ModeStrategy } from './mode-strategy';

/**
 * Hands off while it runs: the suite cleans up after itself. It starts on the baseline; where there is a snapshot
 * anyway, what it leaves is restored before anybody else sees it, and at the end of the run.
 */
export const unmanaged: ModeStrategy = {
  admit: () => ({ to: 'pool' }),
  async arrive(database, scope) {
    if (!database.wasUsed) return;
    await database.openForCommits(scope);
    await database.settle();
    database.expectCommits();
  },
  depart: async () => undefined,
};
