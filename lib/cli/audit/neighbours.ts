// Which tests depend on others: in other orders, alone, and on a database that is not clean.
import type { RunMocha } from './mocha-run';
import { type Subject, reasonOf, subjectsOf } from './subjects';

/** A test that passes as the suite is run, and fails otherwise. */
export interface Dependent {
  readonly test: Subject;
  /** How it was run: `alone`, `REWIND_SHUFFLE=1234`, `on dirty data`. */
  readonly when: string;
  readonly reason: string;
  /** The full title of the test that it needs before it, where one was found. */
  readonly needs?: string;
}

/** Tests that pass in the order of the suite, and fail in another one. */
export async function shuffled(
  base: ReadonlyMap<string, Subject>,
  mocha: RunMocha,
  seed: number,
): Promise<readonly Dependent[]> {
  const { report } = await mocha(undefined, { REWIND_SHUFFLE: String(seed) });
  return failingIn(subjectsOf(report), base, `REWIND_SHUFFLE=${seed}`);
}

/** Rollback tests that pass on the baseline, and fail on a database full of what earlier runs have left. */
export async function onDirtyData(base: ReadonlyMap<string, Subject>, mocha: RunMocha): Promise<readonly Dependent[]> {
  const env = { REWIND_DIRTY: '1' };
  await mocha(undefined, env);
  const { report } = await mocha(undefined, env);
  const rolledBack = new Map([...subjectsOf(report)].filter(([, { mode }]) => mode === 'rollback'));
  return failingIn(rolledBack, base, 'on dirty data');
}

function failingIn(
  seen: ReadonlyMap<string, Subject>,
  base: ReadonlyMap<string, Subject>,
  when: string,
): readonly Dependent[] {
  return [...seen.values()].flatMap((again) => {
    const test = base.get(again.key);
    return test?.passed && !again.passed ? [{ test, when, reason: reasonOf(again) }] : [];
  });
}

/** A test in a run of its own; if it fails there, which test before it makes it pass. */
export async function alone(
  test: Subject,
  base: ReadonlyMap<string, Subject>,
  mocha: RunMocha,
): Promise<Dependent | undefined> {
  const run = async (before: readonly Subject[]): Promise<Subject | undefined> =>
    subjectsOf((await mocha([...before, test].map(({ file, title }) => ({ file, title })))).report).get(test.key);
  const single = await run([]);
  if (single?.passed) return undefined;
  const reason = single ? reasonOf(single) : 'not run: a hook failed';
  const order = [...base.values()];
  const needs = test.passed ? await neededBy(order.slice(0, order.indexOf(test)), run) : undefined;
  return { test, when: 'alone', reason, ...(needs && { needs: needs.title }) };
}

/** The last test without which it fails: found by halves, taking one to be enough. */
async function neededBy(
  before: readonly Subject[],
  run: (before: readonly Subject[]) => Promise<Subject | undefined>,
): Promise<Subject | undefined> {
  let [passes, fails] = [0, before.length];
  if (before.length === 0 || !(await run(before))?.passed) return undefined;
  while (fails - passes > 1) {
    const middle = Math.floor((passes + fails) / 2);
    if ((await run(before.slice(middle)))?.passed) passes = middle;
    else fails = middle;
  }
  return before[passes];
}
