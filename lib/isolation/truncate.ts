import type { ModeStrategy } from './mode-strategy';

/** Really commits, on the app's own pool; then everything that changed is restored. */
export const truncate: ModeStrategy = {
  admit: () => ({ to: 'pool' }),
  async arrive(database, scope) {
    await database.openForCommits(scope);
    await database.settle();
    database.expectCommits();
  },
  depart: (database) => database.restore(),
};
