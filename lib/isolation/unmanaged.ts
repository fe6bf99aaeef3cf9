import type { ModeStrategy } from './mode-strategy';

/**
 * Hands off while it runs: the suite cleans up after itself, or doesn't. The first one starts on the baseline; where there
 * is a snapshot anyway, what they leave is restored before a test of another mode sees it, and at the end of the run.
 */
export const unmanaged: ModeStrategy = {
  admit: () => ({ to: 'pool' }),
  async arrive(database, scope) {
    if (!database.wasUsed) return;
    await database.openForCommits(scope);
    await database.keepHandsOff(scope);
    database.goAdrift();
  },
  depart: async () => undefined,
};
