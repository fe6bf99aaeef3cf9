import { strongestUser, type ManagedPool } from '../sandbox';
import type { OwnConnection } from '../sql';
import { connectThrough, isUnreachable } from './connect';
import type { Judge } from './judge';

/** The app's pools on one database: there is at least one. */
export class AppPools {
  judge: Judge | undefined;
  readonly #pools = new Set<ManagedPool>();
  #elsewhere: string | undefined;
  /** The pool of the user that may act as the most others, of as many users as there were when it was looked for. */
  #strongest: { readonly users: number; readonly pool: ManagedPool | undefined } = { users: 1, pool: undefined };
  /** It leads where the others do, whatever its own settings say: it may have been made from a clone's URL. */
  add(pool: ManagedPool): void {
    this.#pools.add(pool);
    pool.redirect(this.#elsewhere ?? this.first.database);
  }

  get first(): ManagedPool {
    const [pool] = this.#pools;
    if (!pool) throw new Error('a managed database has at least one pool');
    return pool;
  }

  get all(): ReadonlySet<ManagedPool> {
    return this.#pools;
  }

  /** The clone they lead to, where one stands for their own database. */
  get elsewhere(): string | undefined {
    return this.#elsewhere;
  }

  /** A connection of our own, to another database of the server if one is named; of the user that may do the most. */
  async connect(database?: string): Promise<OwnConnection> {
    const users = [...new Set([...this.#pools].map(({ user }) => user))];
    if (users.length === 1 || this.#strongest.users === users.length) {
      return this.#openAny(this.#strongest.pool ?? this.first, database);
    }
    const connection = await this.#openAny(this.first, database);
    const user = await strongestUser(connection, users);
    const pool = [...this.#pools].find((one) => one.user === user) ?? this.first;
    // somebody's pool may be one that nobody ever uses, and that can't connect
    const other = pool === this.first ? undefined : await this.#open(pool, database).catch(() => undefined);
    this.#strongest = { users: users.length, pool: other && pool };
    if (other) await connection.end();
    return other ?? connection;
  }

  /** Of this pool or, where its settings let nobody in (a wrong password), of any other. */
  async #openAny(wanted: ManagedPool, database: string | undefined): Promise<OwnConnection> {
    let refusal: unknown;
    for (const pool of new Set([wanted, ...this.#pools])) {
      try {
        return await this.#open(pool, database);
      } catch (error) {
        if (!isUnreachable(error)) throw error;
        refusal ??= error;
      }
    }
    throw refusal;
  }

  /** Its settings may lead elsewhere than they did: a function may give others, a name may be resolved to another server. */
  async #open(pool: ManagedPool, database: string | undefined): Promise<OwnConnection> {
    const connection = await connectThrough(pool, database);
    try {
      await this.judge?.judge(connection.query, database);
      return connection;
    } catch (error) {
      await connection.end();
      throw error;
    }
  }

  redirect(database: string | undefined): void {
    this.#elsewhere = database;
    for (const pool of this.#pools) pool.redirect(database ?? this.first.database);
  }

  async closeIdle(): Promise<void> {
    for (const pool of this.#pools) await pool.closeIdle();
  }

  /** Resolves to how many of them somebody had. */
  async closeAll(): Promise<number> {
    const inUse = this.#inUse();
    for (const pool of this.#pools) await pool.closeAll();
    return inUse;
  }

  /** What a committing test has set, locked, made temporary or listened to on its connections, the next one doesn't find. */
  async renew(): Promise<void> {
    await Promise.all(Array.from(this.#pools, (pool) => pool.renew()));
  }

  #inUse(): number {
    return [...this.#pools].reduce((count, pool) => count + pool.inUse(), 0);
  }

  /** From now on no pool holds the process: nobody has more to do with them, `mochaGlobalTeardown` neither. */
  letGo(): void {
    for (const pool of this.#pools) pool.unref();
  }
}
