// Runs in the page, as text: see ../script.ts. No imports but types, no helpers outside the function.
import type { JsonTest } from '../../json';

/** A file or a describe, as long as its tests follow one another in one phase. A describe split by phase is two blocks. */
export interface Block {
  readonly label: string;
  /** A file without its folders, for where there is no room for them. */
  readonly name: string;
  /** What the tests in it have in common, for the search box. */
  readonly query: string;
  readonly startMs: number;
  endMs: number;
  tests: number;
  isolationMs: number;
}

/** What one process did, or one worker. */
export interface Lane {
  readonly worker: string | null;
  /** One row for the files, then one for each level of describes. */
  readonly rows: Block[][];
  readonly phases: (Block & { readonly phase: number })[];
  /** In the order they ran. */
  readonly tests: readonly TimedTest[];
}

export type TimedTest = JsonTest & { readonly startMs: number; readonly endMs: number };

export function layOut(tests: readonly JsonTest[], maxLevels: number): Lane[] {
  const perWorker = new Map<string | null, TimedTest[]>();
  for (const test of tests) {
    if (test.startMs === null || test.endMs === null) continue;
    const timed = test as TimedTest;
    const lane = perWorker.get(test.worker);
    if (lane) lane.push(timed);
    else perWorker.set(test.worker, [timed]);
  }
  return [...perWorker]
    .sort(([a], [b]) => Number(a ?? -1) - Number(b ?? -1))
    .map(([worker, all]) => {
      const ordered = all.sort((a, b) => a.startMs - b.startMs);
      const rows: Block[][] = [];
      const phases: Lane['phases'] = [];
      let [lastKeys, lastPhase]: [string[], number | null] = [[], null];
      for (const test of ordered) {
        const suites = test.path.slice(0, -1).slice(0, maxLevels);
        const labels = [test.file ?? '', ...suites];
        const names = [(test.file ?? '').split('/').at(-1) ?? '', ...suites];
        const queries = [test.file ?? '', ...suites.map((_, depth) => suites.slice(0, depth + 1).join(' '))];
        const keys = labels.map((_, depth) => labels.slice(0, depth + 1).join('\0'));
        const grow = (block: Block): void => {
          block.endMs = Math.max(block.endMs, test.endMs);
          block.tests++;
          block.isolationMs += test.isolationMs ?? 0;
        };
        const begin = (label: string, name: string, query: string): Block => ({
          label,
          name,
          query,
          startMs: test.startMs,
          endMs: test.endMs,
          tests: 1,
          isolationMs: test.isolationMs ?? 0,
        });
        const samePhase = test.phase === lastPhase;
        keys.forEach((key, depth) => {
          const row = (rows[depth] ??= []);
          const open = row.at(-1);
          if (open && samePhase && lastKeys[depth] === key) grow(open);
          else row.push(begin(labels[depth] ?? '', names[depth] ?? '', queries[depth] ?? ''));
        });
        const phase = phases.at(-1);
        if (phase && samePhase) grow(phase);
        else if (test.phase !== null) phases.push({ ...begin('', '', ''), phase: test.phase });
        [lastKeys, lastPhase] = [keys, test.phase];
      }
      return { worker, rows, phases, tests: ordered };
    });
}
