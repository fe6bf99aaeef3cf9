import type { ModeStrategy } from './mode-strategy';

/** Hands off: the suite cleans up after itself. It starts on the baseline, and what it leaves is its own affair. */
export const unmanaged: ModeStrategy = {
  admit: () => ({ to: 'pool' }),
  async arrive(database, scope) {
    if (!database.wasUsed) return;
    await database.openForCommits(scope);
    await database.settle();
    await database.forgetSnapshot();
  },
  depart: async () => undefined,
};
