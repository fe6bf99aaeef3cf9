import type { RunFacts, TestFacts, UnmanagedConnections } from '../facts';
import { MODES, type Mode } from '../modes';
import { type CleaningHook, cleaningHooksOf } from './cleaning';

/** One attempt of one test that ran. Same shape as the `mocha` room's `FinishedTest`. */
export interface ReportedTest {
  readonly title: string;
  readonly file: string | undefined;
  readonly state: 'passed' | 'failed';
  readonly durationMs: number;
  readonly facts: TestFacts | undefined;
}

export interface Summary {
  readonly counts: Readonly<Record<Mode, number>>;
  /** Tests that ran without our being told how they were isolated, or on nothing but connections that are not managed. */
  readonly unknown: number;
  /** Those that found something to bring back, and their time. */
  readonly restores: number;
  readonly restoreMs: number;
  /** Our own time, in tests and around them. */
  readonly isolationMs: number;
  /** That time's part of the run, 0 to 1. With `--parallel`: of the time all workers have worked. */
  readonly share: number;
  readonly notes: readonly string[];
  readonly unmanaged: readonly UnmanagedConnections[];
  /** The user's hooks that emptied tables. */
  readonly cleaning: readonly CleaningHook[];
}

export function summaryOf(tests: readonly ReportedTest[], totalMs: number, run: RunFacts): Summary {
  const counts = Object.fromEntries(MODES.map((mode) => [mode, 0])) as Record<Mode, number>;
  let [unknown, restores, restoreMs, isolationMs, workedMs] = [0, 0, 0, run.setupMs, run.setupMs];
  for (const { facts, durationMs } of tests) {
    workedMs += durationMs + (facts?.isolationMs ?? 0);
    if (!facts) {
      unknown++;
      continue;
    }
    if (facts.notIsolated) unknown++;
    else counts[facts.mode]++;
    isolationMs += facts.isolationMs;
    if (facts.restore && facts.restore.tables.length + facts.restore.sequences > 0) {
      restores++;
      restoreMs += facts.restore.ms;
    }
  }
  const runMs = Math.max(totalMs, workedMs);
  const share = runMs > 0 ? isolationMs / runMs : 0;
  return {
    counts,
    unknown,
    restores,
    restoreMs,
    isolationMs,
    share,
    notes: run.notes,
    unmanaged: run.unmanaged ?? [],
    cleaning: cleaningHooksOf(tests, run),
  };
}
