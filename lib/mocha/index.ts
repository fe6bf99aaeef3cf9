// The contract of the Mocha room: everything that knows Mocha is behind it.
import type { Plan } from '../audit-plan';
import type { RunFacts, TestFacts } from '../facts';
import type { Mode } from '../modes';
import type { Scope } from '../scope';
import { plug } from './plug';

export { isCommandLine } from './exit-guard';
export { expectActivation } from './inactive';
export { isPlugged } from './plug';

/** Which tests get which mode: the validated settings. */
export interface Tagging {
  /** Mode of a test with no tag and no matching rule. */
  readonly default: Mode;
  /** The words (without `@`) that stand for each mode. */
  readonly tags: Readonly<Record<Mode, readonly string[]>>;
  /** First match wins; a tag beats a rule. `files` gets the spec's path relative to the working directory, with `/`. */
  readonly rules: readonly {
    readonly files?: (file: string) => boolean;
    readonly title?: (fullTitle: string) => boolean;
    readonly mode: Mode;
  }[];
}

/** What an audit wants of a run. */
export interface Audit {
  /** Which tests run, and in which mode if not in their own; undefined: all. */
  readonly plan: Plan | undefined;
}

/** What is known of a run before its first hook. */
export interface RunPlan {
  /** `main` is the main process of `--parallel`: it runs no tests itself, and is asked about before it has a worker. */
  readonly role: 'serial' | 'worker' | 'main';
  /** `MOCHA_WORKER_ID` in a worker. */
  readonly worker: string | undefined;
  /** Tests that are going to run (after `.only` and `--grep`; pending ones left out), per mode. All 0 for `main`. */
  readonly counts: Readonly<Record<Mode, number>>;
  /** Full title of the first of them. */
  readonly first: Readonly<Partial<Record<Mode, string>>>;
}

/**
 * What happens to one run. The asynchronous methods are called from hooks of ours and awaited; the others are called
 * from runner listeners, and must be quick. Whatever they throw is caught and fails that test, or the run, by name.
 */
export interface RunHandler {
  /** In the first root `before all` hook. A rejection stops the run: no test runs, exit code not 0. */
  start(): Promise<void>;
  enter(scope: Scope): void;
  /** `scope.ended` is already true. Inner scopes are always left first. */
  leave(scope: Scope): void;
  /** Before any user code of a test (first `beforeEach`), and before the first `before` hook of a suite of phase 2 to 5. */
  arrive(scope: Scope): Promise<void>;
  /** After the last `before` hook of a suite of phase 2 to 5, if it has any. */
  prepared(scope: Scope): Promise<void>;
  /** A hook is about to run, in this scope. What is returned is called when it has passed. */
  hookBegan?(scope: Scope, hook: RunningHook): (() => void) | undefined;
  /** The body of a test is over (before its `afterEach` hooks). A returned error fails a test that would have passed. */
  bodyEnded(scope: Scope): Error | undefined;
  /** A test or a hook has failed, in its last attempt: sentences on what may be why. */
  explainFailure?(): readonly string[];
  /** What there is to say of the error that it has failed with. It is not waited for long. */
  hintOn?(error: unknown): Promise<string | undefined>;
  /** A test or a hook has timed out, and is still waiting: sentences on what for. They are not waited for long. */
  explainTimeout(): Promise<readonly string[]>;
  /**
   * The body of a test has failed, in its last attempt, and its `afterEach` hooks have not run yet; or a hook of the user's
   * has failed in this scope. Resolves to whether the run ends with it, as with `--bail`.
   */
  failed(scope: Scope): Promise<boolean>;
  /** After the last `afterEach` hook of a test that has not timed out: what it has begun may still end. */
  drain(scope: Scope): Promise<void>;
  /**
   * After that: the test's `scope.ended` is true by now; it is left right after. Each returned error fails that test, and no
   * other; those of an attempt that is tried again are dropped.
   */
  depart(scope: Scope): Promise<readonly Error[]>;
  /**
   * After the last `after` hook of a suite of phase 2 to 5 that has `before` or `after` hooks (skipped by Mocha where a
   * user's `after` hook failed).
   */
  closing(scope: Scope): Promise<void>;
  /** What to attach to a test for reporters, as `test.rewind`: asked for once, after {@link depart}. */
  facts(scope: Scope): TestFacts | undefined;
  /**
   * In the last root `after all` hook, also where {@link start} was rejected; or, where Mocha skipped that hook, when the
   * run has ended. Each returned error fails the run.
   */
  finish(): Promise<readonly Error[]>;
  /** What there is to tell of the run beside its tests: asked for once, after {@link finish}. Goes from a worker to the main process. */
  runFacts(): RunFacts;
  /** In the main process, after `mochaGlobalSetup`: so many workers are about to start. More may follow where one dies. */
  workersStart(count: number): void;
  /** In the main process: what a worker says of the run of one of its files. */
  heard(facts: RunFacts): void;
  /** The runner has ended and the reporter has written its epilogue: the moment to print. `tests` in run order. */
  ended(tests: readonly FinishedTest[], totalMs: number): void;
}

/** A hook of the user's, or of a plugin. */
export interface RunningHook {
  readonly kind: 'before' | 'beforeEach' | 'afterEach' | 'after';
  /** With its suite's, as reporters show it where the hook fails. */
  readonly title: string;
  /** `test/setup.js:12`; undefined where it can't be told. */
  readonly place: string | undefined;
}

/** One attempt of one test that ran, in any process. */
export interface FinishedTest {
  readonly title: string;
  readonly file: string | undefined;
  readonly state: 'passed' | 'failed';
  readonly durationMs: number;
  readonly facts: TestFacts | undefined;
}

export interface MochaPlugin {
  readonly mochaHooks: Mocha.RootHookObject;
}

export interface PlugOptions {
  /**
   * Whether a describe with tests of several phases is split, each part with all of its hooks, or goes whole to the
   * last of these phases. A single describe is kept whole by the word `@whole` in its title. @default true
   */
  readonly split?: boolean;
  /** What an unhandled rejection means that the code under test leaves behind: its test's failure, or nothing. @default 'fail' */
  readonly rejections?: 'fail' | 'ignore';
  /** Tests are left out, or change their mode, and tell where it comes from. */
  readonly audit?: Audit | undefined;
}

/**
 * Hooks into the Mocha that is running: sorts the tests of every run by phase, says in which scope it is, and gives
 * `beginRun`'s handler its moments. Under `--dry-run` the order is shown and no handler is asked for.
 * `REWIND_SHUFFLE` and `REWIND_REVERSE` change the order inside the phases.
 */
export function plugMocha(
  tagging: Tagging,
  beginRun: (plan: RunPlan) => RunHandler,
  options: PlugOptions = {},
): MochaPlugin {
  return plug(tagging, beginRun, options);
}
