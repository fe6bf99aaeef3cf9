import type { ModeStrategy } from './mode-strategy';

/** Really commits, on a database of its own, whose schema may change: there is nothing to restore. */
export const schema: ModeStrategy = {
  admit: () => ({ to: 'pool' }),
  async arrive(database, scope) {
    database.needed?.assertRestorable();
    await database.openForCommits(scope);
    await database.settle();
    await database.own?.enter(scope, database.basis);
  },
  async prepared(database, scope) {
    database.own?.prepared(scope);
  },
  async closing(database, scope) {
    await database.own?.closing(scope);
  },
  async depart(database, scope) {
    await database.evict(scope);
    database.own?.leave();
    return undefined;
  },
};
