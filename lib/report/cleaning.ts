import type { CleaningFacts, RunFacts } from '../facts';
import type { ReportedTest } from './summary';

/** A hook of the user's that emptied tables around tests whose writes are undone anyway: all its runs. */
export interface CleaningHook {
  readonly hook: CleaningFacts['hook'];
  readonly title: string;
  /** `test/setup.js:12`; null where not known: a root-level hook that a required module exports. */
  readonly place: string | null;
  readonly runs: number;
  /** In all. Of the hook, or of its cleaning alone where it also writes. */
  readonly ms: number;
  readonly tables: readonly string[];
  /** Whether it also writes rows: then only its cleaning can go. */
  readonly alsoWrites: boolean;
  /**
   * `needless`: what it empties, a test finds empty anyway, or the hook fills again. `arranges`: it takes rows of the baseline away before a test, which
   * may be what the test wants. `unknown`: it is needless if these tables are empty in the baseline.
   */
  readonly verdict: 'needless' | 'arranges' | 'unknown';
}

/** The costliest first. */
export function cleaningHooksOf(tests: readonly ReportedTest[], run: RunFacts): CleaningHook[] {
  const all = [...tests.flatMap(({ facts }) => facts?.cleaned ?? []), ...(run.cleaned ?? [])];
  const perHook = new Map<string, CleaningFacts[]>();
  for (const cleaned of all) {
    const key = JSON.stringify([cleaned.hook, cleaned.place ?? cleaned.title]);
    const known = perHook.get(key);
    if (known) known.push(cleaned);
    else perHook.set(key, [cleaned]);
  }
  return [...perHook.values()].map((runs) => hookOf(runs, run)).sort((a, b) => b.ms - a.ms);
}

/** Hooks that have nothing to clean. */
export function needless(hooks: readonly CleaningHook[]): CleaningHook[] {
  return hooks.filter((hook) => hook.verdict === 'needless');
}

export function cleaningMs(hooks: readonly CleaningHook[]): number {
  return hooks.reduce((sum, { ms }) => sum + ms, 0);
}

function hookOf(runs: readonly CleaningFacts[], { hasRows = {} }: RunFacts): CleaningHook {
  const [{ hook, title, place }] = runs as readonly [CleaningFacts, ...CleaningFacts[]];
  const tables = [...new Set(runs.flatMap((run) => run.tables))];
  return {
    hook,
    title,
    place: place ?? null,
    runs: runs.length,
    ms: runs.reduce((sum, { ms }) => sum + ms, 0),
    tables,
    alsoWrites: runs.some((run) => run.alsoWrites),
    verdict: hook.startsWith('after') ? 'needless' : verdictOf(runs, hasRows),
  };
}

function verdictOf(
  runs: readonly CleaningFacts[],
  hasRows: Readonly<Record<string, boolean>>,
): CleaningHook['verdict'] {
  const leftEmpty = runs.flatMap((run) => run.leftEmpty);
  if (leftEmpty.some((table) => hasRows[table])) return 'arranges';
  const known = leftEmpty.every((table) => hasRows[table] === false);
  return known && runs.every((run) => run.tables.length > 0) ? 'needless' : 'unknown';
}
