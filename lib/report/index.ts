// The contract of the report room: what a run cost, for people and for programs.
import { renderSummary } from './render';
import { type ReportedTest, summaryOf } from './summary';
import type { RunFacts } from '../facts';

export { renderSummary } from './render';
export { type ReportedTest, type Summary, summaryOf } from './summary';

/**
 * Writes the summary of a run. To stderr: what the reporter wrote to stdout may be JSON or XML for a program to read, and
 * a terminal shows both.
 */
export function printSummary(tests: readonly ReportedTest[], totalMs: number, run: RunFacts): void {
  process.stderr.write(renderSummary(summaryOf(tests, totalMs, run)));
}
