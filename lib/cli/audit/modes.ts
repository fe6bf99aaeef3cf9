// Which tests could have another mode, told by running them in it.
import type { PlannedTest } from '../../audit-plan';
import type { Mode } from '../../modes';
import type { RunMocha } from './mocha-run';
import { type Subject, reasonOf, subjectsOf } from './subjects';

/** A test that was run again in another mode. */
export interface Trial {
  readonly test: Subject;
  readonly mode: Mode;
  readonly passed: boolean;
  /** What a run would be shorter by; negative where longer. */
  readonly savedMs: number;
  /** Why not, if not. */
  readonly reason: string;
}

export interface ModeFindings {
  /** Committing tests that passed as rollback tests. */
  readonly couldRollBack: readonly Trial[];
  /** Committing tests that failed as rollback tests. */
  readonly haveToCommit: readonly Trial[];
  /** Rollback (or unmanaged) tests that passed as truncate tests, and as rollback tests did not. */
  readonly couldTruncate: readonly Trial[];
  /** Rollback tests that failed as truncate tests, too. */
  readonly failing: readonly Trial[];
}

/** Runs tests in the modes they could have: each isolated as usual, and none of the others. */
export async function tryModes(
  base: ReadonlyMap<string, Subject>,
  mocha: RunMocha,
  options: { readonly unmanaged: boolean },
): Promise<ModeFindings> {
  const all = [...base.values()];
  const committing = all.filter(
    ({ mode, passed }) =>
      passed && (mode === 'truncate' || mode === 'schema' || (options.unmanaged && mode === 'unmanaged')),
  );
  const refused = all.filter(({ mode, passed }) => mode === 'rollback' && !passed);
  const first = await tryAs(mocha, [
    ...committing.map((test) => [test, 'rollback'] as const),
    ...refused.map((test) => [test, 'truncate'] as const),
  ]);
  const rolledBack = first.filter(({ mode }) => mode === 'rollback');
  const unmanaged = rolledBack.filter(({ test, passed }) => !passed && test.mode === 'unmanaged');
  const second = await tryAs(
    mocha,
    unmanaged.map(({ test }) => [test, 'truncate'] as const),
  );
  const truncated = [...first.filter(({ mode }) => mode === 'truncate'), ...second];
  const settled = new Set(second.filter(({ passed }) => passed).map(({ test }) => test));
  return {
    couldRollBack: rolledBack.filter(({ passed }) => passed),
    haveToCommit: rolledBack.filter(({ passed, test }) => !passed && !settled.has(test)),
    couldTruncate: truncated.filter(({ passed }) => passed),
    failing: truncated.filter(({ passed, test }) => !passed && test.mode === 'rollback'),
  };
}

async function tryAs(mocha: RunMocha, tests: readonly (readonly [Subject, Mode])[]): Promise<Trial[]> {
  if (tests.length === 0) return [];
  const plan: PlannedTest[] = tests.map(([{ file, title }, mode]) => ({ file, title, mode }));
  const { report } = await mocha(plan);
  const seen = subjectsOf(report);
  const [hook] = report?.run.failedHooks ?? [];
  const notRun = hook ? `not run: ${hook.title}: ${reasonOf(hook)}` : 'not run: mocha ended before it';
  return tests.map(([test, mode]) => {
    const again = seen.get(test.key);
    const passed = again?.passed === true;
    return {
      test,
      mode,
      passed,
      savedMs: again ? test.ms - again.ms : 0,
      reason: passed ? '' : again ? reasonOf(again) : notRun,
    };
  });
}
