import { MODES, type Mode } from '../../modes';
import type { JsonReport, JsonTest } from '../json';

/** The figures of the page that are not of one test. */
export interface Digest {
  readonly modes: readonly ModeLine[];
  readonly tables: readonly TableLine[];
  readonly files: readonly FileLine[];
  readonly problems: readonly ProblemLine[];
}

export interface ModeLine {
  readonly mode: Mode;
  readonly tests: number;
  readonly isolationMs: number;
  readonly medianMs: number;
  readonly p95Ms: number;
  readonly maxMs: number;
  /** Isolation's part of the time these tests took, 0 to 1. */
  readonly share: number;
}

export interface TableLine {
  readonly name: string;
  readonly restores: number;
}

export interface FileLine {
  readonly file: string;
  readonly tests: number;
  readonly failed: number;
  readonly durationMs: number;
  readonly isolationMs: number;
  readonly restores: number;
}

/** Failures by our own error codes: leaks, late queries, transactions left open. */
export interface ProblemLine {
  readonly code: string;
  readonly tests: readonly string[];
}

export function digestOf({ tests }: JsonReport): Digest {
  return { modes: modesOf(tests), tables: tablesOf(tests), files: filesOf(tests), problems: problemsOf(tests) };
}

/** The smallest value that `part` of the values are not above. */
export function quantile(values: readonly number[], part: number): number {
  const ordered = [...values].sort((a, b) => a - b);
  return ordered[Math.max(0, Math.ceil(part * ordered.length) - 1)] ?? 0;
}

function modesOf(tests: readonly JsonTest[]): ModeLine[] {
  return MODES.flatMap((mode) => {
    const mine = tests.filter((test) => test.mode === mode);
    if (mine.length === 0) return [];
    const costs = mine.map((test) => test.isolationMs ?? 0);
    const isolationMs = sum(costs);
    const wholeMs = sum(mine.map((test) => test.durationMs)) + isolationMs;
    return [
      {
        mode,
        tests: mine.length,
        isolationMs,
        medianMs: quantile(costs, 0.5),
        p95Ms: quantile(costs, 0.95),
        maxMs: quantile(costs, 1),
        share: wholeMs > 0 ? isolationMs / wholeMs : 0,
      },
    ];
  });
}

function tablesOf(tests: readonly JsonTest[]): TableLine[] {
  const restores = new Map<string, number>();
  for (const name of tests.flatMap((test) => test.tablesRestored)) restores.set(name, (restores.get(name) ?? 0) + 1);
  return [...restores]
    .map(([name, count]) => ({ name, restores: count }))
    .sort((a, b) => b.restores - a.restores || (a.name < b.name ? -1 : 1));
}

function filesOf(tests: readonly JsonTest[]): FileLine[] {
  const perFile = new Map<string, JsonTest[]>();
  for (const test of tests) {
    const file = test.file ?? '(no file)';
    const known = perFile.get(file);
    if (known) known.push(test);
    else perFile.set(file, [test]);
  }
  return [...perFile]
    .map(([file, mine]) => ({
      file,
      tests: mine.length,
      failed: mine.filter((test) => test.state === 'failed').length,
      durationMs: sum(mine.map((test) => test.durationMs)),
      isolationMs: sum(mine.map((test) => test.isolationMs ?? 0)),
      restores: mine.filter((test) => test.tablesRestored.length > 0).length,
    }))
    .sort((a, b) => b.isolationMs - a.isolationMs);
}

function problemsOf(tests: readonly JsonTest[]): ProblemLine[] {
  const perCode = new Map<string, Set<string>>();
  for (const { error, title } of tests) {
    for (const [code] of error?.matchAll(/\bREWIND_[A-Z_]+\b/g) ?? []) {
      perCode.set(code, (perCode.get(code) ?? new Set()).add(title));
    }
  }
  return [...perCode].map(([code, titles]) => ({ code, tests: [...titles] }));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}
