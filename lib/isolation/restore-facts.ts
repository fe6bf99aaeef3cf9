import type { RestoreFacts } from '../facts';
import type { Restored } from '../snapshot';

/** Of one test, over all databases; undefined where nothing had to be brought back. */
export function restoreFactsOf(restores: readonly Restored[]): RestoreFacts | undefined {
  if (restores.every((r) => r.tables.length + r.sequences === 0)) return undefined;
  const tables = restores.flatMap((r) => r.tables);
  return {
    ms: sum(restores.map((r) => r.ms)),
    tables: tables.map((t) => t.name),
    rowsRemoved: sum(tables.map((t) => t.removed)),
    rowsAdded: sum(tables.map((t) => t.added)),
    sequences: sum(restores.map((r) => r.sequences)),
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}
