import { openSnapshot } from '../snapshot';
import type { CloneFacts } from '../facts';
import type { Scope } from '../scope';
import type { OwnConnection } from '../sql';
import { realTimers } from '../timers';
import type { Clones, OpenClones, Stock } from './index';
import type { ManagedDatabase } from './managed-database';

export interface OwnDatabasesOptions {
  /** The app's views of the database that is cloned. */
  readonly views: () => readonly ManagedDatabase[];
  readonly openClones: OpenClones;
  /** Tells whoever reads it from the environment where the database is; `undefined`: where it was. */
  readonly announce: (base: string, database: string | undefined) => void;
  /** Who needs clones, and how many tests do. */
  readonly needed: string;
  readonly expected: number;
}

/** A suite's own database: its tests start from clones of what its `before` hooks have left in it. */
interface Level {
  readonly scope: Scope;
  readonly database: string;
  stock: Stock | undefined;
}

/**
 * The databases that stand for one database of the app's while `@schema` scopes run, each a clone of the enclosing one:
 *
 *   the app's, at its current checkpoint → template → suite's → … → test's
 *
 * A test's database is dropped with it. A suite has one if it has hooks; it is dropped after the last of them.
 */
export class OwnDatabases {
  #clones: Clones | undefined;
  #template: { readonly stock: Stock; readonly basis: object | undefined } | undefined;
  readonly #levels: Level[] = [];
  readonly #names = new Set<string>();
  #current: { readonly scope: Scope; readonly database: string } | undefined;
  #facts: CloneFacts | undefined;

  constructor(private readonly options: OwnDatabasesOptions) {}

  /** Makes the first clones ahead of the need. `basis` tells the contents of the app's database from others it has had. */
  async prepare(basis: object | undefined): Promise<void> {
    if (this.#template?.basis === basis && this.#template) return;
    await this.close();
    const [view] = this.options.views();
    if (!view) throw new Error('a database has at least one view');
    const { needed, expected } = this.options;
    this.#clones = await this.options.openClones({
      connect: (name) => view.pools.connect(name),
      base: view.pools.first.database,
      needed,
    });
    const clones = this.#clones;
    const database = await aside(this.options.views(), () => clones.template());
    await removeSnapshotFrom(() => view.pools.connect(database));
    this.#template = { stock: clones.stock(database, expected), basis };
  }

  /** From here on the app's connections lead to the scope's own database. */
  async enter(scope: Scope, basis: object | undefined): Promise<void> {
    // Pools may have come since.
    if (this.#current?.scope === scope) return this.#redirect(this.#current.database);
    this.leave();
    const started = realTimers.now();
    const clones = await this.#ready(basis);
    const known = this.#levels.find((level) => level.scope === scope);
    if (known) {
      if (known.stock) await clones.closeStock(known.stock);
      known.stock = undefined;
      return this.#go(scope, known.database);
    }
    const { database, ready } = await this.#stockFor(clones).take();
    if (scope.kind === 'suite') this.#levels.push({ scope, database, stock: undefined });
    else this.#facts = { ready, waitedMs: realTimers.now() - started };
    this.#go(scope, database);
  }

  /** The `before` hooks of a suite are over: clones of what they have left are made from now on. */
  prepared(scope: Scope): void {
    this.leave();
    const level = this.#levels.find((l) => l.scope === scope);
    if (level && this.#clones) level.stock ??= this.#clones.stock(level.database);
  }

  /** The app's connections lead to its own database again. */
  leave(): void {
    const left = this.#current;
    if (!left) return;
    this.#current = undefined;
    this.#redirect(undefined);
    if (left.scope.kind === 'test') this.#clones?.drop(left.database);
  }

  /** After the last hook of a suite. */
  async closing(scope: Scope): Promise<void> {
    this.leave();
    await this.#dropLevels((level) => level.scope === scope);
  }

  /** Whether a database of this name is one of them, or was. */
  has(database: string): boolean {
    return this.#names.has(database);
  }

  takeFacts(): CloneFacts | undefined {
    const facts = this.#facts;
    this.#facts = undefined;
    return facts;
  }

  /** Drops all of them. */
  async close(): Promise<void> {
    this.leave();
    this.#levels.splice(0);
    this.#template = undefined;
    const clones = this.#clones;
    this.#clones = undefined;
    await clones?.close();
  }

  async #ready(basis: object | undefined): Promise<Clones> {
    await this.#dropLevels((level) => level.scope.ended);
    // Inside a suite with a database of its own it is that one which counts.
    if (this.#levels.length === 0) await this.prepare(basis);
    if (!this.#clones) throw new Error('there is no template');
    return this.#clones;
  }

  #stockFor(clones: Clones): Stock {
    const level = this.#levels.at(-1);
    if (level) return (level.stock ??= clones.stock(level.database));
    if (!this.#template) throw new Error('there is no template');
    return this.#template.stock;
  }

  async #dropLevels(isOver: (level: Level) => boolean): Promise<void> {
    for (let top = this.#levels.at(-1); top && isOver(top); top = this.#levels.at(-1)) {
      this.#levels.pop();
      if (top.stock) await this.#clones?.closeStock(top.stock);
      this.#clones?.drop(top.database);
    }
  }

  #go(scope: Scope, database: string): void {
    this.#names.add(database);
    this.#current = { scope, database };
    this.#redirect(database);
  }

  #redirect(database: string | undefined): void {
    for (const view of this.options.views()) view.pools.redirect(database);
    const [view] = this.options.views();
    if (view) this.options.announce(view.pools.first.database, database);
  }
}

/** Does `work` while none of the connections that we know of is open. */
export function aside<T>(views: readonly ManagedDatabase[], work: () => Promise<T>): Promise<T> {
  return views.reduceRight((inner, view) => () => view.aside(inner), work)();
}

/** What belongs to us is of no use in a clone, and in sight. */
export async function removeSnapshotFrom(connect: () => Promise<OwnConnection>): Promise<void> {
  const snapshot = await openSnapshot({ connect, note: () => {} });
  try {
    await snapshot.remove();
  } finally {
    await snapshot.close();
  }
}
