import type { TestFacts } from '../facts';
import type { Mode, Phase } from '../modes';
import { summaryOf } from './summary';

export type JsonState = 'passed' | 'failed' | 'pending';

/** One attempt of one test, as the reporter has seen it. */
export interface SeenTest {
  readonly title: string;
  readonly file: string | undefined;
  readonly state: JsonState;
  /** Whether the test was run again afterwards (`--retries`). */
  readonly retried: boolean;
  readonly durationMs: number;
  readonly facts: TestFacts | undefined;
}

/** What `mocha-rewind/reporter` writes. */
export interface JsonReport {
  readonly version: 1;
  readonly totals: JsonTotals;
  readonly tests: readonly JsonTest[];
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
  readonly state: JsonState;
  readonly retried: boolean;
  readonly durationMs: number;
  /** These three are null for a test that was not run, or whose isolation is not known. */
  readonly mode: Mode | null;
  readonly phase: Phase | null;
  readonly isolationMs: number | null;
  /** What looking for changes took, and undoing them; null where nobody had to look. */
  readonly restoreMs: number | null;
  /** Schema-qualified. */
  readonly tablesRestored: readonly string[];
}

/** @param relative - makes a file's path the one to show. */
export function reportOf(seen: readonly SeenTest[], relative: (file: string) => string): JsonReport {
  const ran = seen.flatMap((t) => (t.state === 'pending' ? [] : [{ ...t, state: t.state }]));
  const summary = summaryOf(ran, 0, { setupMs: 0, notes: [] });
  const final = seen.filter((t) => !t.retried);
  const count = (state: JsonState): number => final.filter((t) => t.state === state).length;
  return {
    version: 1,
    totals: {
      tests: final.length,
      passed: count('passed'),
      failed: count('failed'),
      pending: count('pending'),
      modes: summary.counts,
      isolationMs: rounded(summary.isolationMs),
      isolationShare: Number(summary.share.toFixed(4)),
      restores: summary.restores,
      restoreMs: rounded(summary.restoreMs),
    },
    tests: seen.map(({ file, title, state, retried, durationMs, facts }) => ({
      file: file === undefined ? null : relative(file),
      title,
      state,
      retried,
      durationMs,
      mode: facts?.mode ?? null,
      phase: facts?.phase ?? null,
      isolationMs: facts ? rounded(facts.isolationMs) : null,
      restoreMs: facts?.restore ? rounded(facts.restore.ms) : null,
      tablesRestored: facts?.restore?.tables ?? [],
    })),
  };
}

/** Microseconds are precision enough. */
function rounded(ms: number): number {
  return Number(ms.toFixed(3));
}
