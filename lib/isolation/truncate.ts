import { notAwaited } from './complaints';
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
    const waited = await database.pools.quiet(scope);
    const sites = waited === 'in vain' ? await database.pools.evict() : [];
    const [restored] = await Promise.all([database.restore(), database.pools.renew()]);
    // An open transaction has been found, and charged, by the restore that it stood in the way of.
    if (waited !== 'not at all' && !restored?.blockers.some((blocker) => blocker.ended)) {
      database.problems.report(scope, notAwaited(scope, database.label, waited, sites));
    }
    return restored;
  },
};
