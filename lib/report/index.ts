// The contract of the report room: what a run cost, for people and for programs.
import { renderSummary } from './render';
import { type ReportedTest, summaryOf } from './summary';
import type { RunFacts } from '../facts';
import type { JsonReport } from './json';

export { type JsonHook, type JsonReport, type JsonRun, type JsonTest, type JsonTotals, reportOf } from './json';
export type { CleaningHook } from './cleaning';
export { renderSummary } from './render';
export { type ReportedTest, type Summary, summaryOf } from './summary';
export { type RunnerLike, watchRunner } from './runner-seam';

/**
 * Writes the summary of a run. To stderr: what the reporter wrote to stdout may be JSON or XML for a program to read, and
 * a terminal shows both.
 */
export function printSummary(tests: readonly ReportedTest[], totalMs: number, run: RunFacts): void {
  process.stderr.write(renderSummary(summaryOf(tests, totalMs, run)));
}

/** What each failed test has sent, for `REWIND_SQL=failed`. */
export function printSqlOfFailures(tests: readonly ReportedTest[]): void {
  for (const { title, state, facts } of tests) {
    if (state !== 'failed' || !facts?.sql) continue;
    const lines = facts.sql.length === 0 ? ['(no query)'] : facts.sql.map((sql, i) => `${i + 1}. ${sql}`);
    process.stderr.write(`  SQL of "${title}":\n${lines.map((line) => `    ${line}\n`).join('')}\n`);
  }
}

/** What other runs have shown, for the page of one. */
export interface Finding {
  readonly title: string;
  /** What all of them have in common. */
  readonly explanation: string;
  readonly items: readonly string[];
}

/** The report as one page that needs nothing else: no network, no other file, no server. */
export function renderHtml(report: JsonReport, findings?: readonly Finding[]): string {
  // Required late: few runs want a page, and every run loads this file.
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  return (require('./html') as typeof import('./html')).renderHtml(report, findings);
}
