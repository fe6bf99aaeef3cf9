// Reports for the page to show, of any size, the same each time.
import type { JsonReport, JsonTest } from '../../lib/report/json';

export function jsonTest(over: Partial<JsonTest> = {}): JsonTest {
  const title = over.title ?? 'users are renamed';
  return {
    file: 'test/users.test.js',
    title,
    path: ['users', title.replace(/^users /, '')],
    state: 'passed',
    retried: false,
    error: null,
    durationMs: 4,
    startMs: null,
    endMs: null,
    worker: null,
    mode: 'rollback',
    phase: 1,
    isolationMs: 0.1,
    restoreMs: null,
    tablesRestored: [],
    rowsRemoved: null,
    rowsAdded: null,
    ...over,
  };
}

export function jsonReport(tests: readonly JsonTest[], over: Partial<JsonReport['run']> = {}): JsonReport {
  const count = (state: string): number => tests.filter((t) => t.state === state).length;
  const sum = (of: (test: JsonTest) => number | null): number => tests.reduce((ms, test) => ms + (of(test) ?? 0), 0);
  const isolationMs = sum((t) => t.isolationMs);
  const isolationShare = isolationMs / (isolationMs + sum((t) => t.durationMs) || 1);
  return {
    version: 1,
    run: {
      startedAt: '2026-01-02T03:04:05.678Z',
      durationMs: 1_234,
      workers: 1,
      setupMs: 56,
      isolationShare,
      notes: [],
      unmanagedConnections: [],
      failedHooks: [],
      cleaningHooks: [],
      ...over,
    },
    totals: {
      tests: tests.length,
      passed: count('passed'),
      failed: count('failed'),
      pending: count('pending'),
      modes: { rollback: 0, truncate: 0, nodb: 0, schema: 0, dirty: 0, unmanaged: 0 },
      isolationMs,
      isolationShare,
      restores: tests.filter((t) => t.restoreMs !== null).length,
      restoreMs: sum((t) => t.restoreMs),
    },
    tests,
  };
}

/** `count` tests in files of 20, one after the other; each tenth really commits, in phase 2; each 500th fails. */
export function sampleTests(count: number): JsonTest[] {
  let nowMs = 10;
  return Array.from({ length: count }, (_, i) => ({ i, truncate: i % 10 === 9 }))
    .sort((a, b) => Number(a.truncate) - Number(b.truncate))
    .map(({ i, truncate }) => {
      const durationMs = 1 + (i % 7);
      const isolationMs = truncate ? 2 + (i % 3) : 0.1;
      const startMs = nowMs;
      nowMs += durationMs + isolationMs;
      return jsonTest({
        file: `test/area-${Math.floor(i / 20)}.test.js`,
        title: `area ${Math.floor(i / 20)} does thing ${i}`,
        path: [`area ${Math.floor(i / 20)}`, `does thing ${i}`],
        durationMs,
        isolationMs,
        startMs,
        endMs: nowMs,
        ...(truncate && { mode: 'truncate', phase: 2, restoreMs: isolationMs - 1, rowsRemoved: 3, rowsAdded: 1 }),
        ...(truncate && { tablesRestored: ['public.users', 'audit.log'] }),
        ...(i % 500 === 250 && {
          state: 'failed',
          error: 'REWIND_LEAK: rows of "x" are left\n  Find who committed them.',
        }),
      });
    });
}
