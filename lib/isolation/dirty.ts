import type { ModeStrategy } from './mode-strategy';

/** Really commits, and what it leaves belongs to the next run's baseline: from here on there is none to go back to. */
export const dirty: ModeStrategy = {
  admit: () => ({ to: 'pool' }),
  async arrive(database, scope) {
    await database.openForCommits(scope);
    await database.settle();
    await database.forgetSnapshot();
    database.goAdrift();
  },
  depart: async () => undefined,
};
