import { notAwaited } from './complaints';
import type { ModeStrategy } from './mode-strategy';

/** Really commits, on a database of its own, whose schema may change: there is nothing to restore. */
export const schema: ModeStrategy = {
  admit: () => ({ to: 'pool' }),
  async arrive(database, scope) {
    database.needed?.assertRestorable();
    await database.openForCommits(scope);
    await database.settle();
    await database.own?.enter(scope, database.basis);
    database.pools.noteInUse(scope);
  },
  async prepared(database, scope) {
    database.own?.prepared(scope);
  },
  async closing(database, scope) {
    await database.own?.closing(scope);
  },
  async depart(database, scope) {
    const waited = await database.pools.quiet(scope);
    const sites = waited === 'in vain' ? await database.pools.evict() : [];
    database.own?.leave();
    if (waited !== 'not at all') database.problems.report(scope, notAwaited(scope, database.label, waited, sites));
    return undefined;
  },
};
