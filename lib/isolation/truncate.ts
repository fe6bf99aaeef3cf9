import type { ModeStrategy } from './mode-strategy';

/** Really commits, on the app's own pool; then everything that changed is restored. */
export const truncate: ModeStrategy = {
  admit: () => ({ to: 'pool' }),
  async arrive(database, scope) {
    database.needed?.assertRestorable();
    await database.openForCommits(scope);
    await database.settle();
    database.expectCommits(scope);
  },
  prepared: (database, scope) => database.prepared(scope),
  closing: (database, scope) => database.closing(scope),
  async depart(database, scope) {
    await database.evict(scope);
    const [restored] = await Promise.all([database.restore(), database.pools.renew()]);
    return restored;
  },
};
