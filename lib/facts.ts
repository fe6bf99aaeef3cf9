import type { Mode, Phase } from './modes';

/** What is known of one attempt of one test when it is over. Plain JSON: it crosses from parallel workers to the main process. */
export interface TestFacts {
  readonly mode: Mode;
  readonly phase: Phase;
  /** Time this package itself spent for the test, in milliseconds. */
  readonly isolationMs: number;
  /** What bringing the database back took; undefined where nothing had to be restored. */
  readonly restore?: RestoreFacts;
  /** Of a test that ran on a database of its own. */
  readonly clone?: CloneFacts;
  /** From the first `beforeEach` to the last `afterEach`, our own work included; milliseconds since 1970 in any process. */
  readonly startedAt?: number;
  readonly endedAt?: number;
  /** `MOCHA_WORKER_ID`, in a worker of `--parallel`. */
  readonly worker?: string;
  /** In an audit: where the mode comes from. */
  readonly modeFrom?: ModeOrigin;
  /** Hooks that emptied tables since the last test that is known of. */
  readonly cleaned?: readonly CleaningFacts[];
  /** It is to be rolled back, or without a database, and has used connections that are not managed, and none that are. */
  readonly notIsolated?: true;
  /** With `REWIND_SQL=failed`: the statements of the test, in order, each with its values. */
  readonly sql?: readonly string[];
}

/** What gives a test its mode. */
export interface ModeOrigin {
  /** `audit`: that of an audit, in place of its own. */
  readonly by: 'tag' | 'code' | 'rule' | 'default' | 'audit';
  /** Of a tag or code: which title of the test's path it is at, 0 for the outermost describe. */
  readonly level?: number;
  /** Of a tag: the word, without `@`. */
  readonly word?: string;
  /** The mode without it. */
  readonly otherwise?: Mode;
}

export interface RestoreFacts {
  readonly ms: number;
  /** Schema-qualified names of the tables that were brought back. */
  readonly tables: readonly string[];
  readonly rowsRemoved: number;
  readonly rowsAdded: number;
  readonly sequences: number;
}

export interface CloneFacts {
  /** Whether it was made ahead of the need. */
  readonly ready: boolean;
  /** What the test waited for it, in milliseconds. */
  readonly waitedMs: number;
}

/** What is known of a whole run beside its tests; in a worker, of the run of one file. Plain JSON, as above. */
export interface RunFacts {
  /** Milliseconds of our own work outside tests: workers' databases, start, phase boundaries, end; of all workers together. */
  readonly setupMs: number;
  /** Sentences for people: what was recovered, what could not be had, what was ignored. */
  readonly notes: readonly string[];
  /** Connections to a managed server that are not ours to isolate. */
  readonly unmanaged?: readonly UnmanagedConnections[];
  /** What no test could be told of: `after` hooks of the last suites. */
  readonly cleaned?: readonly CleaningFacts[];
  /** Whether the tables that hooks emptied before tests hold rows in the baseline, as far as it is known. */
  readonly hasRows?: Readonly<Record<string, boolean>>;
}

/** Connections that go past us, of one kind. */
export interface UnmanagedConnections {
  readonly count: number;
  /** The package that has opened them, `postgres`; undefined where it can't be told. */
  readonly driver?: string;
  /** `localhost:5432` */
  readonly address: string;
  /** Where the project's code has asked for them: `src/queue.js:12`. */
  readonly place?: string;
}

/** One run of a hook that emptied whole tables, around tests whose writes are undone anyway. */
export interface CleaningFacts {
  readonly hook: 'before' | 'beforeEach' | 'afterEach' | 'after';
  readonly title: string;
  /** `test/setup.js:12`, where known. */
  readonly place?: string;
  /** Of the hook, or of its cleaning where it also writes. */
  readonly ms: number;
  /** As its SQL names them; none for a DO block. */
  readonly tables: readonly string[];
  /** Those of them that it does not fill again. */
  readonly leftEmpty: readonly string[];
  /** Whether it also writes rows, or changes some. */
  readonly alsoWrites: boolean;
}
