import { MODES, type Mode, type Phase, phaseOf } from '../modes';
import type { RunPlan } from './index';
import { type Runner, type Test, willRun } from './mocha-private';

/** Mode of a suite's own scope, where its tests have another one than it is tagged with. */
export const MODE_OF_PHASE: Readonly<Record<Phase, Mode>> = {
  1: 'rollback',
  2: 'truncate',
  3: 'schema',
  4: 'dirty',
  5: 'unmanaged',
};

/** What a run of this process is going to do. */
export function planOf(runner: Runner, modeOf: (test: Test) => Mode): RunPlan {
  const counts: Record<Mode, number> = { rollback: 0, truncate: 0, nodb: 0, schema: 0, dirty: 0, unmanaged: 0 };
  const first: Partial<Record<Mode, string>> = {};
  runner.suite.eachTest((test) => {
    if (!willRun(runner, test)) return;
    const mode = modeOf(test);
    counts[mode]++;
    first[mode] ??= test.fullTitle();
  });
  const worker = process.env['MOCHA_WORKER_ID'];
  return { role: worker === undefined ? 'serial' : 'worker', worker, counts, first };
}

/** The root's own mode: that of the first phase there is. */
export function rootModeOf({ counts }: RunPlan): Mode {
  const phases = MODES.filter((mode) => counts[mode] > 0).map(phaseOf);
  return MODE_OF_PHASE[phases.sort()[0] ?? 1];
}
