import type { CloneFacts } from '../facts';
import type { IsolationOptions, IsolationPlan } from './index';
import type { ManagedDatabase } from './managed-database';
import { OwnDatabases } from './own-databases';

/** Which databases of a run need clones, and what makes them. */
export class SchemaPlan {
  readonly #byIdentity = new Map<string, OwnDatabases>();

  constructor(
    private readonly plan: Pick<IsolationPlan, 'counts' | 'first'>,
    private readonly options: IsolationOptions,
    private readonly used: () => readonly ManagedDatabase[],
  ) {}

  /** Where there are `@schema` tests: so that none of them waits for its database. */
  async prepare(database: ManagedDatabase): Promise<void> {
    const { counts, first } = this.plan;
    if (counts.schema === 0 || database.own) return;
    const { identity } = database;
    const known = this.#byIdentity.get(identity);
    database.own =
      known ??
      new OwnDatabases({
        views: () => this.used().filter((view) => view.identity === identity),
        openClones: this.options.openClones,
        announce: this.options.announce,
        needed: first.schema === undefined ? 'a @schema test' : `"${first.schema}"`,
        expected: counts.schema,
      });
    this.#byIdentity.set(identity, database.own);
    if (!known) await database.own.prepare(database.basis);
  }

  takeFacts(): CloneFacts | undefined {
    const facts = [...this.#byIdentity.values()].flatMap((own) => own.takeFacts() ?? []);
    return facts.sort((a, b) => b.waitedMs - a.waitedMs)[0];
  }

  /** Drops all of them. */
  async close(): Promise<readonly Error[]> {
    const errors: Error[] = [];
    for (const own of this.#byIdentity.values()) await own.close().catch((error: Error) => errors.push(error));
    for (const database of this.used()) database.own = undefined;
    this.#byIdentity.clear();
    return errors;
  }
}
