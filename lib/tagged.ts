import { RewindError } from './errors';
import { setExplicitMode } from './explicit-mode';
import type { Mode } from './modes';

/** `it`, `specify` and `test`, with a mode. */
export interface TaggedTest {
  (title: string, fn?: Mocha.Func): Mocha.Test;
  (title: string, fn?: Mocha.AsyncFunc): Mocha.Test;
  (fn: Mocha.Func): Mocha.Test;
  (fn: Mocha.AsyncFunc): Mocha.Test;
  only: Mocha.ExclusiveTestFunction;
  skip: Mocha.PendingTestFunction;
}

/** `describe`, `context` and `suite`, with a mode. */
export interface TaggedSuite {
  (title: string, fn: (this: Mocha.Suite) => void): Mocha.Suite;
  /** Mocha's qunit interface: what follows belongs to the suite. */
  (title: string): Mocha.Suite;
  only: Mocha.ExclusiveSuiteFunction;
  skip: Mocha.PendingSuiteFunction;
}

/**
 * Mocha's own functions, with the mode in code instead of in the title. The mode counts as the innermost tag of that
 * very test or suite; titles stay as they are, so `--grep @truncate` does not find these.
 *
 * ```ts
 * import { truncate } from 'mocha-rewind';
 * truncate.it('sends the receipt after commit', async () => { … });
 * ```
 */
export interface Tagged {
  readonly it: TaggedTest;
  readonly specify: TaggedTest;
  readonly describe: TaggedSuite;
  readonly context: TaggedSuite;
  /** Of Mocha's tdd and qunit interfaces. */
  readonly test: TaggedTest;
  /** Of Mocha's tdd and qunit interfaces. */
  readonly suite: TaggedSuite;
}

/** Rolled back, also where the config or a suite around it says otherwise. */
export const rollback = tagged('rollback');
/** Really commits; what it changed is restored afterwards. */
export const truncate = tagged('truncate');
/** Must not use the database: any use is an error at the call. */
export const nodb = tagged('nodb');
/** Runs on a database of its own, and may change its schema. */
export const schema = tagged('schema');
/** Really commits, and what it writes stays, also for the next run. */
export const dirty = tagged('dirty');
/** Is left alone: for suites with their own cleaning. */
export const unmanaged = tagged('unmanaged');

type Define = (...args: unknown[]) => unknown;

function tagged(mode: Mode): Tagged {
  const marked = <F extends TaggedTest | TaggedSuite>(name: keyof Tagged): F => {
    const variant = (...path: readonly string[]): Define => {
      return (...args) => mark(mochas([name, ...path], mode)(...args), mode);
    };
    return Object.assign(variant(), { only: variant('only'), skip: variant('skip') }) as unknown as F;
  };
  return {
    it: marked('it'),
    specify: marked('specify'),
    describe: marked('describe'),
    context: marked('context'),
    test: marked('test'),
    suite: marked('suite'),
  };
}

/**
 * Mocha's function of that name, `['it', 'only']`. Looked up at each call: Mocha makes new ones for each spec file
 * (`pre-require`), and there are custom interfaces.
 */
function mochas(path: readonly string[], mode: Mode): Define {
  let found: unknown = globalThis;
  for (const name of path) found = (found as Record<string, unknown> | undefined)?.[name];
  if (typeof found === 'function') return found as Define;
  const name = path.join('.');
  throw new RewindError('REWIND_MOCHA', {
    problem: `${mode}.${name}() was called where Mocha has no ${name}().`,
    remedy: 'Call it in a spec file that mocha runs, and by the name that its interface (--ui) has for it.',
  });
}

/** Mocha's tdd interface gives nothing back for a skipped test (`interfaces/common.js`): there is nothing to mark then. */
function mark(runnableOrSuite: unknown, mode: Mode): unknown {
  if (typeof runnableOrSuite === 'object' && runnableOrSuite !== null) setExplicitMode(runnableOrSuite, mode);
  return runnableOrSuite;
}
