import type { ModeOrigin, RunFacts, TestFacts, UnmanagedConnections } from '../facts';
import type { Mode, Phase } from '../modes';
import { type CleaningHook, cleaningHooksOf } from './cleaning';
import { type ReportedTest, summaryOf } from './summary';

export type JsonState = 'passed' | 'failed' | 'pending';

/** One attempt of one test, as the reporter has seen it. */
export interface SeenTest {
  readonly title: string;
  readonly path: readonly string[];
  readonly file: string | undefined;
  readonly state: JsonState;
  /** Whether the test was run again afterwards (`--retries`). */
  readonly retried: boolean;
  readonly error: string | undefined;
  readonly durationMs: number;
  readonly facts: TestFacts | undefined;
}

/** The run, as the reporter has seen it; times are milliseconds since 1970. */
export interface SeenRun {
  readonly startedAt: number;
  readonly endedAt: number;
  readonly failedHooks: readonly JsonHook[];
  readonly facts: RunFacts | undefined;
}

/** What `mocha-rewind/reporter` writes. */
export interface JsonReport {
  readonly version: 1;
  readonly run: JsonRun;
  readonly totals: JsonTotals;
  readonly tests: readonly JsonTest[];
}

export interface JsonRun {
  /** ISO 8601. */
  readonly startedAt: string;
  readonly durationMs: number;
  /** How many processes ran tests. */
  readonly workers: number;
  /** Our own work around the tests: start, end. With `--parallel` the sum of what all workers did. */
  readonly setupMs: number;
  /** Isolation's part of the whole run, 0 to 1, as the summary has it; with `--parallel`, of what all workers did. */
  readonly isolationShare: number;
  /** Sentences for people: what was recovered, what could not be had, what was ignored. */
  readonly notes: readonly string[];
  /** Connections to a managed server that were not isolated, by who has opened them. */
  readonly unmanagedConnections: readonly UnmanagedConnections[];
  /** Tests that did not run because of them are in no list: Mocha does not tell of them. */
  readonly failedHooks: readonly JsonHook[];
  /** Hooks of yours that emptied tables around tests whose writes are undone anyway, the costliest first. */
  readonly cleaningHooks: readonly CleaningHook[];
}

export interface JsonHook {
  /** As Mocha names it: `users "before all" hook for "are renamed"`. */
  readonly title: string;
  readonly error: string;
}

export interface JsonTotals {
  /** Tests, not attempts; so are the three below. */
  readonly tests: number;
  readonly passed: number;
  readonly failed: number;
  readonly pending: number;
  /** Attempts per mode. */
  readonly modes: Readonly<Record<Mode, number>>;
  readonly isolationMs: number;
  /** Isolation's part of the time the tests took, 0 to 1. Work between tests (start, phase boundaries) is not in it. */
  readonly isolationShare: number;
  /** Those that found something to bring back, and their time. */
  readonly restores: number;
  readonly restoreMs: number;
}

export interface JsonTest {
  /** Relative to the working directory, with `/`. */
  readonly file: string | null;
  readonly title: string;
  /** Titles of the describes around it, from the outside, and its own. */
  readonly path: readonly string[];
  readonly state: JsonState;
  readonly retried: boolean;
  /** Message of what it failed with. */
  readonly error: string | null;
  readonly durationMs: number;
  /**
   * From before its first `beforeEach` hook to after its last `afterEach` hook, in milliseconds since the start of the
   * run; null where not known.
   */
  readonly startMs: number | null;
  readonly endMs: number | null;
  /** `MOCHA_WORKER_ID`, with `--parallel`. */
  readonly worker: string | null;
  /** These three are null for a test that was not run, or whose isolation is not known. */
  readonly mode: Mode | null;
  readonly phase: Phase | null;
  readonly isolationMs: number | null;
  /** What looking for changes took, and undoing them; null where nobody had to look. */
  readonly restoreMs: number | null;
  /** Schema-qualified. */
  readonly tablesRestored: readonly string[];
  /** Rows the restore took away and put back; null where there was none. */
  readonly rowsRemoved: number | null;
  readonly rowsAdded: number | null;
  /** It has used connections that are not managed, and none that are. */
  readonly notIsolated?: true;
  /** In an audit: where the mode comes from. */
  readonly modeFrom?: ModeOrigin;
}

/** @param relative - makes a file's path the one to show. */
export function reportOf(seen: readonly SeenTest[], run: SeenRun, relative: (file: string) => string): JsonReport {
  const tests = seen.map((test) => testOf(test, run, relative));
  const { facts = { setupMs: 0, notes: [] } } = run;
  const durationMs = run.endedAt - run.startedAt;
  return {
    version: 1,
    run: {
      startedAt: new Date(run.startedAt).toISOString(),
      durationMs: rounded(durationMs),
      workers: new Set(tests.map((t) => t.worker).filter((worker) => worker !== null)).size || 1,
      setupMs: rounded(facts.setupMs),
      isolationShare: Number(summaryOf(ranOf(seen), durationMs, facts).share.toFixed(4)),
      notes: facts.notes,
      unmanagedConnections: facts.unmanaged ?? [],
      failedHooks: run.failedHooks,
      cleaningHooks: cleaningHooksOf(ranOf(seen), facts).map((hook) => ({ ...hook, ms: rounded(hook.ms) })),
    },
    totals: totalsOf(seen),
    tests,
  };
}

function totalsOf(seen: readonly SeenTest[]): JsonTotals {
  const summary = summaryOf(ranOf(seen), 0, { setupMs: 0, notes: [] });
  const final = seen.filter((t) => !t.retried);
  const count = (state: JsonState): number => final.filter((t) => t.state === state).length;
  return {
    tests: final.length,
    passed: count('passed'),
    failed: count('failed'),
    pending: count('pending'),
    modes: summary.counts,
    isolationMs: rounded(summary.isolationMs),
    isolationShare: Number(summary.share.toFixed(4)),
    restores: summary.restores,
    restoreMs: rounded(summary.restoreMs),
  };
}

function ranOf(seen: readonly SeenTest[]): ReportedTest[] {
  return seen.flatMap((t) => (t.state === 'pending' ? [] : [{ ...t, state: t.state }]));
}

function testOf(seen: SeenTest, run: SeenRun, relative: (file: string) => string): JsonTest {
  const { file, title, path, state, retried, error, durationMs, facts } = seen;
  const sinceStart = (at: number | undefined): number | null => (at === undefined ? null : rounded(at - run.startedAt));
  return {
    file: file === undefined ? null : relative(file),
    title,
    path,
    state,
    retried,
    error: error ?? null,
    durationMs,
    startMs: sinceStart(facts?.startedAt),
    endMs: sinceStart(facts?.endedAt),
    worker: facts?.worker ?? null,
    mode: facts?.mode ?? null,
    phase: facts?.phase ?? null,
    isolationMs: facts ? rounded(facts.isolationMs) : null,
    restoreMs: facts?.restore ? rounded(facts.restore.ms) : null,
    tablesRestored: facts?.restore?.tables ?? [],
    rowsRemoved: facts?.restore?.rowsRemoved ?? null,
    rowsAdded: facts?.restore?.rowsAdded ?? null,
    ...(facts?.notIsolated && { notIsolated: true }),
    ...(facts?.modeFrom && { modeFrom: facts.modeFrom }),
  };
}

/** Microseconds are precision enough. */
function rounded(ms: number): number {
  return Number(ms.toFixed(3));
}
