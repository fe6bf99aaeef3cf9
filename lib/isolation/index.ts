// The contract of the isolation room: what each mode means for each database, at each moment of a run.
import type { DatabaseIdentity } from '../database';
import type { ManagedPool, Gate } from '../sandbox';
import type { Mode } from '../modes';
import type { CleaningFacts, CloneFacts, RestoreFacts, RunFacts } from '../facts';
import type { Scope } from '../scope';
import type { OwnConnection, Query } from '../sql';
import type { WatchedHook } from './cleaning';
import { LimitedIsolation } from './limited-isolation';

export interface IsolationOptions {
  /** Refuses a database that is not one for tests, by throwing. Asked once per database, before anything is written. */
  readonly inspect: (query: Query) => Promise<void>;
  /** What tells a database from any other one, whoever connects to it. Asked of each real connection before its first use. */
  readonly identify: (query: Query) => Promise<DatabaseIdentity>;
  /** Whether the app's instances are those that the config names, and no others. */
  readonly namesInstances: boolean;
  /** A sentence for the end of the run. */
  readonly note: (sentence: string) => void;
  /** Whether a snapshot that an earlier run has kept may be used. */
  readonly kept: 'use' | 'ignore';
  /** Whether what unmanaged tests leave is restored at the end of the run, though no other test needs a snapshot. */
  readonly unmanaged: 'kept' | 'restored';
  /** Clones of databases, for `@schema` tests. */
  readonly openClones: OpenClones;
  /** Where a database is while one of its clones stands for it, for whoever reads that from the environment. */
  readonly announce: (base: string, database: string | undefined) => void;
  /** Whether tests meet what earlier runs left, and leave what they commit. */
  readonly leftovers: 'kept' | 'restored';
  /** Where the seeded baseline is to be used again: what it is made from, in one word. Asked before any database is opened. */
  readonly fingerprint: () => string | undefined;
  /** How long any of the asynchronous moments may stand still before the run is given up, in milliseconds. */
  readonly limitMs: number;
  /** How long a test's end waits for what it has begun and not awaited, in milliseconds. */
  readonly drainMs: number;
  /** What it means that a test has not awaited something: a sentence at the end of the run, or its failure. */
  readonly unawaited: 'note' | 'fail';
  /** Where what a failed test has left is kept; undefined: it is not. */
  readonly keepDatabase: KeepDatabase | undefined;
  /**
   * Where leaks are looked for: where the run has a snapshot, or an earlier run has kept one that still holds; in every run
   * with rollback tests, which then takes a snapshot; nowhere.
   */
  readonly leaks: 'with a snapshot' | 'always' | 'never';
  /** Whether to compare each restored database with its snapshot, row by row, when the run ends. */
  readonly verify: 'at-end' | 'never';
}

/** What is known of a run before it begins. */
export interface IsolationPlan {
  /** How many tests of each mode are going to run. */
  readonly counts: Readonly<Record<Mode, number>>;
  /** Full title of the first one of each mode. */
  readonly first: Readonly<Partial<Record<Mode, string>>>;
  readonly role: 'serial' | 'worker' | 'main';
}

/** Makes a clone of `original` for people, and says what they have to know of it. */
export type KeepDatabase = (
  server: {
    readonly connect: (database: string) => Promise<OwnConnection>;
    readonly base: string;
    readonly urlOf: (database: string) => string;
  },
  original: string,
) => Promise<{ readonly name: string; readonly note?: string | undefined }>;

/** Same shape as the `database` room's. */
export type OpenClones = (options: {
  readonly connect: (database: string) => Promise<OwnConnection>;
  readonly base: string;
  readonly needed: string;
}) => Promise<Clones>;

export interface Clones {
  /** A clone of the base as it is now, while nobody is connected to it. */
  template(): Promise<string>;
  stock(template: string, expected?: number): Stock;
  closeStock(stock: Stock): Promise<void>;
  drop(...databases: readonly string[]): void;
  close(): Promise<void>;
}

/** Clones of one template, made ahead of the need. */
export interface Stock {
  take(): Promise<{ readonly database: string; readonly ready: boolean }>;
}

/** What a run needs of isolation; one per process, used by one run after another. */
export interface IsolationRoom {
  /** For `KnexWatch.onPool`: takes the pool under management. */
  readonly manage: (pool: ManagedPool) => Gate;
  /** A query of a scope that is over was turned away. */
  readonly stray: (problem: Error, scope: Scope) => void;
  /** Before the first hook of a run: from now on scopes count. */
  begin(plan: IsolationPlan): void;
  /**
   * Inspects and recovers the databases known so far. `setUp` then migrates and seeds, on the app's real pools, unless they
   * hold the very same baseline already. Resolves to the milliseconds that were ours.
   */
  start(setUp: () => Promise<void>): Promise<number>;
  enter(scope: Scope): void;
  leave(scope: Scope): void;
  arrive(scope: Scope): Promise<void>;
  prepared(scope: Scope): Promise<void>;
  closing(scope: Scope): Promise<void>;
  /** A hook of the user's is about to run. The result is called when it has passed. */
  hookBegan: (scope: Scope, hook: WatchedHook) => (() => void) | undefined;
  bodyEnded(scope: Scope): readonly Error[];
  /** The body of a test has failed for good, or a hook. Resolves to whether what it left is kept, so that the run has to end. */
  failed(scope: Scope): Promise<boolean>;
  /** After the last `afterEach` hook of a test that has not timed out: what it has begun may still end in its scope. */
  drain(scope: Scope): Promise<void>;
  depart(scope: Scope): Promise<Departure>;
  /** In words: what the scopes that are not over were given otherwise than in production. */
  caveats(): readonly string[];
  /** In words: who waits for whom just now, in a pool, in the sandbox or for a lock of the server's. */
  waits(): Promise<readonly string[]>;
  /** What there is to say of the error that a test has failed with. */
  hintOn(error: unknown): string | undefined;
  /** Which of the databases has no table, if one has none. */
  withoutTables(): Promise<string | undefined>;
  /** Ends the run: baselines are back, connections returned. */
  finish(): Promise<readonly Error[]>;
  /** Hooks that cleaned after the last test. Asked for after {@link finish}. */
  lastCleaned(): Promise<Pick<RunFacts, 'cleaned' | 'hasRows'>>;
  /** After everybody's teardown: lets the process end although the app's pools still hold connections. */
  letGo(): void;
}

export interface Departure {
  readonly errors: readonly Error[];
  readonly restore: RestoreFacts | undefined;
  /** Hooks that emptied tables. */
  readonly cleaned: readonly CleaningFacts[];
  readonly clone: CloneFacts | undefined;
  /** Time spent on the test by us, from its arrival to its departure, in milliseconds. */
  readonly isolationMs: number;
}

export function createIsolation(options: IsolationOptions): IsolationRoom {
  return new LimitedIsolation(options);
}
