// The contract of the sandbox room: the only room that knows Knex's and pg's insides.
import type { Knex } from 'knex';
import type { Pool } from 'pg';
import type { Scope } from '../scope';
import type { OwnConnection, Query } from '../sql';
import type { SandboxOptions } from './options';
import type { AppPool } from './app-pool';
import { RollbackSandbox } from './sandbox';
import { waitsIn } from './waits';

/** One pool of the app's (of a Knex instance, or a `pg.Pool`) that goes through us. */
export interface ManagedPool {
  /** Same key, same database and server: such pools share one sandbox. */
  readonly key: string;
  /** For messages: `database "shop_test" (knex)`. Never has a password in it. */
  readonly label: string;
  /** The instance's client, for `include`/`exclude`; undefined for a `pg.Pool`. */
  readonly knexClient: Knex.Client | undefined;
  /** Whom its connections belong to. */
  readonly user: string;
  /** The database its settings name. */
  readonly database: string;
  /** Asked before the first use of each of its real sessions. */
  judge: Judge | undefined;
  /** Opens a connection with the pool's own settings that is on no pool; to another database of the server, if named. */
  connect(applicationName: string, database?: string): Promise<OwnConnection>;
  /** A URL for people, without a password, of a database on the same server. */
  url(database: string): string;
  /**
   * From now on real connections lead to another database of the same server; `undefined`: to its own again. Those that
   * lead elsewhere are ended, also those that somebody still has. Connections to its own database stay.
   */
  redirect(database: string | undefined): void;
  /** Ends idle connections to its own database. The pool goes on, with new ones. */
  closeIdle(): Promise<void>;
  /** Ends all connections, wherever they lead, also those that somebody has. The pool goes on, with new ones. */
  closeAll(): Promise<void>;
  /** Real connections that are checked out now, or waited for. */
  inUse(): number;
  /** What code of this scope has begun and has not ended; and what other code has begun while it ran. */
  unfinished(scope: Scope): readonly Unfinished[];
  /** Asks the server to cancel what code of this scope has under way. */
  cancel(scope: Scope): void;
  /** Cuts off the connections on which {@link unfinished} work is under way, and gives their places in the pool to others. */
  evict(scope: Scope): Promise<void>;
  /** Process ids of its real connections, checked out or not. */
  pids(): readonly number[];
  /** In words: who waits for a connection that others have, real or not. */
  waits(): readonly string[];
  /** After tests that commit: the sessions of connections that nobody has are as they were when they were new. */
  renew(): Promise<void>;
  /** Lets the process end although the pool still holds idle connections. */
  unref(): void;
}

/**
 * Rejects if a real session must not be used: it is on another database than it should be (`elsewhere`, or the pool's own).
 * Undefined: the database is not looked at yet, and the session may be used until it is.
 */
export type Judge = (query: Query, elsewhere: string | undefined) => Promise<void> | undefined;

/** A statement, a transaction, or the wait for a connection, that has not ended. */
export interface Unfinished {
  readonly what: 'a query' | 'a transaction' | 'a connection';
  /** The statement, or that which has begun the transaction. */
  readonly text: string;
  /** Whose code has begun it, as far as is known. */
  readonly by: Scope | undefined;
  /** Where its connection was taken, if that is known. */
  readonly site: string | undefined;
}

/** Where one checkout of a connection goes. */
export type Admission =
  | { readonly to: 'pool' } // the real pool, nothing in between
  | { readonly to: 'sandbox'; readonly sandbox: Sandbox }
  | { readonly to: 'nowhere'; readonly error: Error }; // every use of the connection fails with this error

/**
 * Asked at every checkout, and for each statement of a connection that is idle; `origin` is the scope whose code asks, as far
 * as is known. It may take its time (recovery, a restore that is due); it must not reject.
 */
export type Gate = (pool: ManagedPool, origin: Scope | undefined) => Admission | Promise<Admission>;

/**
 * Something that went wrong in a scope beside what its code was told, e.g. a transaction left open. It fails the test.
 */
export type Problem = Error;

/**
 * The rollback side of one database: one pinned real connection, on which the app's many client connections are
 * multiplexed, and a stack of scopes. Scope changes are synchronous and cost nothing until a statement is sent.
 */
export interface Sandbox {
  /** Tells of a pool that may ask for connections: the pinned one has to be able to stand for all of them. */
  join(pool: ManagedPool): void;
  enter(scope: Scope): void;
  /** Ends the innermost scope: its ROLLBACK is queued and rides with whatever comes next. */
  leave(scope: Scope): readonly Problem[];
  /** Problems seen since the last call that belong to the current scope. */
  takeProblems(): readonly Problem[];
  /** Whether anything was sent in this scope that is not yet rolled back (its own level, not those inside it). */
  hasOpened(scope: Scope): boolean;
  /** Sends what is queued: afterwards no lock of an ended scope is held. */
  flush(): Promise<void>;
  /**
   * Really commits what the scopes hold, and ends the transaction. Transactions of the app's that are still open are rolled
   * back: resolves to how many there were.
   */
  commit(): Promise<number>;
  /**
   * Rolls back whatever is open, and gives the pinned connection back to its pool. Scopes stay entered: the next
   * statement pins a connection again.
   */
  release(): Promise<void>;
  /** Number of statements the app has sent through this sandbox. */
  readonly queries: number;
  /** Number of times that statements got past the sandbox's transaction: what was written in it may have been committed. */
  readonly escapes: number;
  /** Whether the schema may have been changed in a scope that is not over. */
  readonly changesSchema: boolean;
  /** Backend process id of the pinned connection; undefined where there is none. */
  readonly pid: number | undefined;
}

export interface KnexWatch {
  /** Called once for each PostgreSQL pool, before its first checkout. Undefined: keep our hands off this pool. */
  onPool(pool: ManagedPool): Gate | undefined;
  /** A Knex instance that can't be managed, said once. */
  onIgnored(reason: string): void;
  /** A query of a test that has ended was turned away before it reached a real connection. */
  onLate?(problem: Problem, scope: Scope): void;
}

/** One sandbox per database. */
export function createSandbox(options?: SandboxOptions): Sandbox {
  return new RollbackSandbox(options);
}

/** Takes the real connection, and learns what has to be known of the database, before the first statement asks for it. */
export async function prepareSandbox(sandbox: Sandbox, pool: ManagedPool): Promise<void> {
  const source = pool as AppPool;
  source.join(sandbox as RollbackSandbox);
  await (sandbox as RollbackSandbox).welcome(source);
}

/** In words: statements of the app's that wait their turn. */
export function waitsOf(sandbox: Sandbox): readonly string[] {
  return waitsIn(sandbox as RollbackSandbox);
}

/** In words: what statements of the scopes that are not over were given otherwise than in production. */
export function caveatsOf(sandbox: Sandbox): readonly string[] {
  return (sandbox as RollbackSandbox).levels.flatMap(({ caveats }) => caveats.sentences);
}

export { type CleaningEffect, cleaningEffectOf, mayClean } from './cleaning';
export { strongestUser } from './profiles';
export { countQueries, expectQueries, tapQueries, type CountedQuery } from './count';
export { manageKnex, watchKnex } from './knex';
export { detached, isRequested, shorten, watchOrigins } from './origin';
export { giveUpConnections, ownPids } from './own';
export { managePgPool } from './pgpool';
export type { SandboxOptions } from './options';
export type { Knex, Pool };
