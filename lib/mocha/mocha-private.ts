/**
 * The seam to Mocha: the only file that touches what Mocha does not document. Read on 10.8.2, 11.8.0 and 12.0.3;
 * `test/mocha/canary.test.ts` says in words what a newer version has moved.
 */
import { EventEmitter } from 'node:events';
import os from 'node:os';
import { explicitModeOf, setExplicitMode } from '../explicit-mode';
import { presentable } from './presentable';
import type { Done, Hook, MochaClass, MochaInstance, Runnable, Runner, Suite, Test } from './mocha-types';

export type * from './mocha-types';

export type HookKind = 'beforeAll' | 'beforeEach' | 'afterEach' | 'afterAll';
const HOOK_KINDS: readonly HookKind[] = ['beforeAll', 'beforeEach', 'afterEach', 'afterAll'];

/**
 * The Mocha classes loaded in this process. The one that runs has loaded the plugin, so it is in the cache; asking
 * `require('mocha')` could find another copy (hoisting, npx), and is a namespace object in 12.
 */
export function loadedMochas(): MochaClass[] {
  const found = new Set<MochaClass>();
  for (const [file, module] of Object.entries(require.cache)) {
    if (!/[\\/]lib[\\/]mocha\.c?js$/.test(file)) continue; // 10, 11: lib/mocha.js; 12: lib/mocha.cjs
    const exported: unknown = module?.exports;
    if (isMochaClass(exported)) found.add(exported);
  }
  return [...found];
}

export function isMochaClass(exported: unknown): exported is MochaClass {
  if (typeof exported !== 'function') return false;
  const { prototype, Runner } = exported as Partial<MochaClass>;
  return Boolean(Runner) && typeof prototype?.run === 'function';
}

/** Whether this is the main process of `--parallel` (with `--jobs 1` Mocha runs serially, whatever its options say). */
export function isParallelMain(mocha: MochaInstance): boolean {
  return mocha._runnerClass?.prototype.isParallelMode?.() ?? false;
}

/** `--pass-on-failing-test-suite`: the exit code is to be 0 (`createExitHandler`). */
export function passesAnyway(mocha: MochaInstance): boolean {
  return mocha.options?.passOnFailingTestSuite ?? false;
}

/** How many workers it starts with (`buffered-worker-pool`, and `Pool` of workerpool). */
export function workersOf({ files, options }: MochaInstance): number {
  return Math.min(files.length, Math.max(1, options?.jobs ?? os.cpus().length - 1));
}

export function isDryRun(runner: Runner): boolean {
  return Boolean(runner._opts?.dryRun);
}

/** Whether this test is going to run: selected by `--grep`, and not pending. */
export function willRun(runner: Runner, test: Test): boolean {
  return !test.isPending() && runner.grepTotal({ eachTest: (visit) => visit(test) }) > 0;
}

export function hooksOf(suite: Suite, kind: HookKind): Hook[] {
  return (suite as unknown as Record<string, Hook[]>)[`_${kind}`] ?? [];
}

export function kindOf(hook: Runnable): HookKind | undefined {
  return HOOK_KINDS.find((kind) => hooksOf(hook.parent, kind).includes(hook as Hook));
}

/**
 * `--fail-hook-affected-tests` (11.8, 12) emits `test` for tests that are never run, with their state already set
 * (`Runner#failAffectedTests`).
 */
export function isSynthetic(test: Test): boolean {
  return test.state !== undefined;
}

export type HookPlace = 'first' | 'last' | { readonly after: Hook };

/**
 * Adds a hook of ours. Mocha reads the arrays live (`Runner#hook`), so that this works while hooks of that kind run.
 * It has no time limit of Mocha's: a seed takes as long as it takes, and the limits are where the waiting is done.
 */
export function addHook(suite: Suite, kind: HookKind, place: HookPlace, body: (hook: Hook) => Promise<void>): void {
  if (suite.isPending()) return; // Mocha would take none
  const add = (suite as unknown as Record<HookKind, (title: string, fn: () => Promise<void>) => unknown>)[kind];
  add.call(suite, 'mocha-rewind', () => body(hook));
  const hooks = hooksOf(suite, kind);
  const hook: Hook = hooks.pop()!; // 12 returns it, 10 and 11 return the suite
  hook.timeout(0);
  ours.add(hook);
  if (place === 'first') hooks.unshift(hook);
  else if (place === 'last') hooks.push(hook);
  else hooks.splice(hooks.indexOf(place.after) + 1, 0, hook);
}

const ours = new WeakSet<Hook>();

export function isOurs(hook: Hook): boolean {
  return ours.has(hook);
}

/** A suite that is run a second time (`cleanReferencesAfterRun(false)`) must not keep the hooks of the first. */
export function removeOurHooks(suite: Suite): void {
  for (const kind of HOOK_KINDS) {
    const hooks = hooksOf(suite, kind);
    const others = hooks.filter((hook) => !ours.has(hook));
    if (others.length < hooks.length) hooks.splice(0, hooks.length, ...others);
  }
}

/** Lets no `beforeEach` hook of anybody run for this test, from inside our own (first) one. Returns the way back. */
export function withholdBeforeEach(test: Test, current: Hook): () => void {
  const withheld: [Hook[], Hook[]][] = [];
  for (let suite: Suite | undefined = test.parent; suite; suite = suite.parent) {
    const hooks = hooksOf(suite, 'beforeEach');
    withheld.push([hooks, hooks.splice(hooks.indexOf(current) + 1)]);
  }
  return () => {
    for (const [hooks, rest] of withheld.splice(0)) hooks.push(...rest);
  };
}

/** Replaces how a hook, or one attempt of a test, is run this once (`--retries` makes a new object for each attempt). */
export function wrapRun(runnable: Runnable, wrapper: (run: (done: Done) => void, done: Done) => void): void {
  runnable.run = (done) => {
    Reflect.deleteProperty(runnable, 'run');
    wrapper((inner) => {
      try {
        runnable.run(inner);
      } catch (thrown) {
        if (runnable.allowUncaught) throw thrown;
        inner(thrown); // Mocha has looked at what the body has thrown, and that threw (`Runnable#run`: `instanceof`)
      }
    }, done);
  };
}

const SUITE_PROPERTIES = new Set(
  `title ctx suites tests root pending file parent delayed id __mocha_id__ _retries _timeout _slow _bail _onlyTests
  _onlySuites _events _eventsCount _maxListeners _beforeAll _beforeEach _afterEach _afterAll`.split(/\s+/),
);
const HOOK_PROPERTIES = new Set(
  `title fn body async sync type ctx parent file id __mocha_id__ timer callback state err duration timedOut pending
  _currentRetry _timeout _slow _retries _error _allowedGlobals allowUncaught originalTitle _events _eventsCount
  _maxListeners`.split(/\s+/),
);

/**
 * A second suite like this one, without its tests and child suites. It shares the context object, so nothing that was
 * made for the original has to be re-pointed. Hooks are new objects: Mocha deletes a hook's function when its suite has
 * ended (`Suite#cleanReferences`), and a time-out sticks to a hook (`Runnable#timedOut`).
 */
export function cloneSuite(suite: Suite): Suite {
  const clone = suite.clone();
  clone.pending = suite.pending;
  clone.parent = suite.parent;
  if (suite.file !== undefined) clone.file = suite.file;
  for (const kind of HOOK_KINDS) {
    hooksOf(clone, kind).push(...hooksOf(suite, kind).map((hook) => cloneHook(hook, clone)));
  }
  copyExpandos(suite, clone, SUITE_PROPERTIES);
  const mode = explicitModeOf(suite);
  if (mode) setExplicitMode(clone, mode);
  return clone;
}

/**
 * A nameless group below the root for root-level tests that run later than the first suites. Full titles stay as they
 * were, since Mocha leaves out the title of anything that is `root`.
 */
export function makeHolder(root: Suite): Suite {
  const holder = root.clone();
  holder.root = true;
  holder.parent = root;
  holders.add(holder);
  return holder;
}

const holders = new WeakSet<Suite>();

export function isHolder(suite: Suite): boolean {
  return holders.has(suite);
}

function cloneHook(hook: Hook, suite: Suite): Hook {
  const clone = new (hook.constructor as new (title: string, fn: unknown) => Hook)(hook.title, hook.fn);
  clone.parent = suite;
  clone.ctx = hook.ctx;
  if (hook.file !== undefined) clone.file = hook.file;
  clone.timeout(hook.timeout());
  clone.slow(hook.slow());
  clone.retries(hook.retries());
  const globals = hook.globals();
  if (globals) clone.globals(globals);
  copyExpandos(hook, clone, HOOK_PROPERTIES);
  return clone;
}

/** What users hang on a suite or hook: `this.tenant = …` in a `describe`. */
function copyExpandos(from: object, to: object, known: ReadonlySet<string>): void {
  for (const [key, value] of Object.entries(from)) {
    if (!known.has(key)) (to as Record<string, unknown>)[key] = value;
  }
}

const TIMEOUT = 'ERR_MOCHA_TIMEOUT';

export function isTimeout(error: unknown): error is Error {
  return (error as { code?: unknown } | undefined)?.code === TIMEOUT;
}

/** Told by the runner, not by the runnable itself (`Runner#_uncaught`). */
export function isUncaught(error: unknown): boolean {
  return (error as { uncaught?: unknown } | undefined)?.uncaught === true;
}

/**
 * Finds the Runner without its class, where {@link loadedMochas} finds none: our own hook, at its synchronous return,
 * makes the runner emit `hook end` with that very hook. Nothing else can run in between.
 */
export function captureRunner(hook: Hook, captured: (runner: Runner) => void): void {
  const emitter = EventEmitter.prototype as unknown as {
    emit: (this: EventEmitter, ...args: Parameters<Emit>) => boolean;
  };
  const { emit } = emitter;
  emitter.emit = function (event, ...args) {
    if (event === 'hook end' && args[0] === hook) {
      emitter.emit = emit;
      captured(this as Runner);
    }
    return emit.call(this, event, ...args);
  };
}

type Emit = (event: string | symbol, ...args: unknown[]) => boolean;

/** Replaces how the runner tells of what happens. */
export function wrapEmit(
  runner: Runner,
  wrapper: (emit: Emit, event: string | symbol, args: readonly unknown[]) => boolean,
): void {
  const emit: Emit = runner.emit.bind(runner);
  runner.emit = (event, ...args: unknown[]) => wrapper(emit, event, args);
}

/** Tells of exceptions in listeners: Mocha goes on as if they were the test's, or stops without a word. */
export function onListenerError(runner: Runner, told: (error: unknown) => void): void {
  wrapEmit(runner, (emit, event, args) => {
    try {
      return emit(event, ...args);
    } catch (error) {
      told(error);
      throw error;
    }
  });
}

/**
 * Asks first about exceptions that nobody has caught. `Runner#_uncaught` gives them to the runnable it has begun last:
 * where that has passed already it ends the run, and where that is a root hook of ours, all tests fail with it.
 */
export function interceptUncaught(runner: Runner, takes: (thrown: unknown) => boolean): void {
  const { uncaught } = runner;
  runner._removeEventListener(process, 'uncaughtException', uncaught);
  runner.uncaught = (thrown) => {
    if (runner.allowUncaught || !takes(thrown)) uncaught(presentable(thrown));
  };
  runner._addEventListener(process, 'uncaughtException', runner.uncaught);
}

/**
 * At `end`: an exception before the first suite ends the run at once, and Mocha begins it all the same (`Runner#_uncaught`
 * emits `end`, and `Runner#run` has the beginning due). In a worker its tests would run beside those of the next file, and
 * nobody would hear of them: now none runs.
 */
export function neverBeginAfterEnd(runner: Runner): void {
  if (runner.state !== 'idle' || runner.isParallelMode()) return;
  runner.suite.tests = [];
  runner.suite.suites = [];
  runner.emit = () => false;
}

/** Such an exception belongs to a runnable that is no test, of which a worker would tell nothing but its fields. */
export function serializeUncaught({ Runnable, Test }: MochaClass): void {
  Runnable.prototype.serialize ??= Test.prototype.serialize;
}

const MULTIPLE_DONE = 'ERR_MOCHA_MULTIPLE_DONE';

/**
 * A body that an uncaught exception has ended may go on, and come to its own end: that is no second `done()`, which would
 * be told as a failure of its own, and crash the process once the run is over (`Runner#fail`).
 */
export function ignoreSecondEnd(runnable: Runnable): void {
  const emit: Emit = runnable.emit.bind(runnable);
  runnable.emit = (event, ...args: unknown[]) =>
    (event === 'error' && (args[0] as { code?: unknown }).code === MULTIPLE_DONE) || emit(event, ...args);
}

/** Lets facts about a test or a suite cross from a worker to the main process, whose serializer knows a fixed list of fields. */
export function extendSerialize({ prototype }: MochaClass['Test' | 'Suite'], more: (node: object) => object): void {
  const serialize = prototype.serialize as (this: object) => Record<string, unknown>;
  prototype.serialize = function () {
    return { ...serialize.call(this), ...more(this) };
  };
}

/**
 * Ends a test or hook some time after its body: after a turn of the event loop at least, since only then has Node told of
 * the rejections nobody handled. An exception thrown in the meantime still fails this one, where Mocha alone would end
 * the whole run (`Runner#_uncaught`: "cannot recover gracefully").
 */
export function endWhen(runnable: Runnable, ready: (go: () => void) => void, end: (uncaught: unknown) => void): void {
  let uncaught: unknown;
  const held: unknown[] = [];
  const { callback } = runnable;
  runnable.callback = (error) => (uncaught ??= error);
  // A second `done()` is told of by an `error` event, which has to come after the `pass` it contradicts.
  runnable.emit = (event, ...args: unknown[]) => event === 'error' && held.push(args[0]) > 0;
  ready(() => {
    Reflect.deleteProperty(runnable, 'emit');
    if (callback) runnable.callback = callback;
    end(uncaught);
    for (const error of held) runnable.emit('error', error);
  });
}

/** From now on the run ends with the first failure (`Suite#bail`, asked before each test and each suite). */
export function bail({ parent }: Runnable): void {
  let root: Suite | undefined = parent;
  while (root?.parent) root = root.parent;
  const each = (suite: Suite): void => {
    suite.bail(true);
    suite.suites.forEach(each);
  };
  if (root) each(root);
}

export function isLastAttempt(test: Test): boolean {
  return test.currentRetry() >= test.retries();
}
