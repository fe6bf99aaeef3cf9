import { executionAsyncResource } from 'node:async_hooks';
import { type Mode, type Phase, phaseOf } from '../modes';
import { type Scope, scopeContext } from '../scope';
import { realTimers } from '../timers';
import { Attempts } from './attempts';
import { Vigil, failAfterAll, isCommandLine } from './exit-guard';
import { extendMessage, failureOf } from './failures';
import type { RunHandler } from './index';
import { describeHook } from './hook-place';
import { InjectedHooks } from './injected-hooks';
import {
  type Hook,
  type RunResult,
  type Runner,
  type Suite,
  type Test,
  interceptUncaught,
  isDryRun,
  isOurs,
  neverBeginAfterEnd,
  onListenerError,
} from './mocha-private';
import { leaveOut, reorder } from './order';
import type { Plug } from './plug';
import { Outcomes } from './outcomes';
import { RejectionWatch } from './rejections';
import { MODE_OF_PHASE, planOf, rootModeOf } from './run-plan';
import { Results, attachFacts, attachRunFacts, hearWorkers } from './results';
import { ScopeTracker } from './scope-tracker';

/** What there is once a run has begun that runs tests itself, and not `--dry-run`. */
interface Begun {
  readonly handler: RunHandler;
  readonly attempts: Attempts;
  readonly hooks: InjectedHooks;
}

/** One run: of the whole process, of one file in a parallel worker, or what the main process hears of its workers. */
export class Run {
  readonly #tracker: ScopeTracker;
  readonly #results = new Results();
  readonly #outcomes = new Outcomes();
  readonly #rejections = new RejectionWatch((error) => this.#charge(error));
  /** What can be charged to no test: fails the run. */
  readonly #problems: Error[] = [];
  #handler: RunHandler | undefined;
  #begun: Begun | undefined;
  #phases: ReadonlyMap<Suite, Phase> = new Map();
  #rootMode: Mode = 'rollback';
  #startedAt = 0;
  #endedAt = 0;
  #vigil: Vigil | undefined;
  #listenerThrown: unknown;
  #hookPassed: (() => void) | undefined;

  constructor(
    private readonly plug: Plug,
    private readonly runner: Runner,
  ) {
    this.#tracker = new ScopeTracker({
      modeOf: (node) => this.#modeOf(node),
      entered: (scope, node) => this.#entered(scope, node),
      left: (scope, node) => this.#left(scope, node),
    });
  }

  /** Follows the runner from its `start` event on. */
  attach(): void {
    this.#watch();
    onListenerError(this.runner, (error) => this.#listenerThrew(error));
    interceptUncaught(this.runner, (thrown) => this.#begun !== undefined && this.#takes(thrown));
    this.#outcomes.watch(this.runner, (test) => test === this.#tracker.currentTest?.test);
    this.#on('start', () => this.#begin());
    this.#on('suite', (suite: Suite) => this.#tracker.suiteBegan(suite));
    this.#on('test', (test: Test) => this.#tracker.testBegan(test));
    this.#on('hook', (hook: Hook) => this.#hookBegan(hook));
    this.#on('hook end', () => this.#hookEnded());
    this.#on('suite end', (suite: Suite) => this.#tracker.suiteEnded(suite));
    this.#on('retry', (test: Test) => this.#begun?.attempts.willRetry(test));
  }

  /**
   * The main process of `--parallel`: all it hears happened elsewhere, some time ago. It starts at once, or when its
   * `mochaGlobalSetup` is over.
   */
  attachToMain(handler: RunHandler, workers: number): void {
    this.#startedAt = realTimers.now();
    this.#handler = handler;
    if (this.runner.started) this.#safely(() => handler.workersStart(workers));
    else this.#on('start', () => handler.workersStart(workers));
    hearWorkers(this.runner, (facts) => this.#safely(() => handler.heard(facts)));
    this.#watch();
  }

  #watch(): void {
    this.#vigil = new Vigil(
      () => this.#where(),
      () => this.runner.failures > 0,
    );
    this.#results.listen(this.runner);
    this.#on('end', () => this.#end());
  }

  /** Joins a run that is in its first root `before all` hook already, and whose callback is out of reach. */
  join(hook: Hook): void {
    this.attach();
    this.#safely(() => {
      this.#begin(hook);
      this.#tracker.suiteBegan(this.runner.suite);
    });
    this.runner.once('end', () => realTimers.setImmediate(() => void this.conclude(0).then(exitWith)));
  }

  /** After the reporter's epilogue: the result that goes to the callback of `Mocha#run`. Never rejects. */
  async conclude(result: RunResult): Promise<RunResult> {
    this.#vigil?.over();
    this.#problems.push(...((await this.#begun?.hooks.finishIfDue()) ?? []));
    this.#safely(() => this.#begun && attachRunFacts(this.runner.suite, this.#begun.handler.runFacts()));
    this.#safely(() => this.#handler?.ended(this.#results.tests, this.#endedAt - this.#startedAt));
    this.#problems.forEach(tell);
    return withFailures(result, this.#problems.splice(0).length);
  }

  /** Another run begins, and what is left of this one is not looked at any more. */
  forget(): void {
    this.#rejections.stop();
  }

  #begin(joining?: Hook): void {
    this.#startedAt = realTimers.now();
    try {
      this.#prepare(joining);
    } catch (error) {
      this.#stop(failureOf(error));
    }
  }

  #prepare(joining: Hook | undefined): void {
    const root = this.runner.suite;
    const { error, warnings } = this.plug.tags.scan(root);
    for (const warning of warnings) process.stderr.write(`mocha-rewind: ${warning}\n`);
    leaveOut(root, (test) => this.plug.tags.isLeftOut(test));
    this.#phases = reorder(root, this.plug.order);
    if (isDryRun(this.runner)) {
      if (error) this.#stop(failureOf(error));
      return;
    }
    const plan = planOf(this.runner, (test) => this.plug.tags.modeOf(test));
    this.#rootMode = rootModeOf(plan);
    const handler = this.plug.beginRun(plan);
    const attempts = new Attempts(handler);
    const hooks = new InjectedHooks({
      handler,
      attempts,
      tracker: this.#tracker,
      outcomes: this.#outcomes,
      phases: this.#phases,
      refusal: error && failureOf(error),
      originOf: this.plug.options.audit && ((test) => this.plug.tags.originOf(test)),
      takeProblems: () => this.#problems.splice(0),
    });
    hooks.inject(root, joining);
    this.#handler = handler;
    this.#begun = { handler, attempts, hooks };
    if (this.plug.options.rejections !== 'ignore') this.#rejections.start();
  }

  /** Ends a run that can't be had before it begins, where no hook of ours would do it. */
  #stop(error: Error): void {
    this.runner.suite.tests = [];
    this.runner.suite.suites = [];
    this.#problems.push(error);
  }

  #end(): void {
    this.#endedAt = realTimers.now();
    if (this.#vigil) this.#vigil.stage = 'reporting';
    // What a test has left behind can fail after the last one has ended; elsewhere nobody waits for that.
    if (!isCommandLine()) this.forget();
    neverBeginAfterEnd(this.runner);
    this.#tracker.runEnded();
  }

  #entered(scope: Scope, node: Suite | Test): void {
    if (!this.#begun) return;
    const { handler, attempts } = this.#begun;
    this.#vigil?.goesOn();
    if (scope.kind === 'test') {
      attempts.began(scope, node as Test);
      this.#rejections.testBegins();
      attachFacts(node as Test, undefined);
    }
    try {
      handler.enter(scope);
    } catch (error) {
      if (scope.kind === 'test') attempts.refuse(node as Test, error);
      else this.#problems.push(failureOf(error));
    }
  }

  #left(scope: Scope, node: Suite | Test): void {
    if (!this.#begun) return;
    const { handler, attempts } = this.#begun;
    if (scope.kind === 'test') attempts.over(node as Test);
    this.#problems.push(...attempts.takeCharged(scope));
    this.#safely(() => handler.leave(scope));
  }

  #hookBegan(hook: Hook): void {
    this.#tracker.hookBegan(hook);
    const scope = this.#tracker.current;
    this.#hookPassed = scope && this.#begun?.handler.hookBegan?.(scope, describeHook(hook));
    if (!scope || isOurs(hook)) return;
    this.#begun?.attempts.hookBegan(scope, hook, this.#tracker.scopeOf(hook.parent));
  }

  #hookEnded(): void {
    this.#tracker.hookEnded();
    const passed = this.#hookPassed;
    this.#hookPassed = undefined;
    passed?.();
  }

  /** Whose rejection it is: the asynchronous context is believed only if it names a test that has ended. */
  #charge(error: Error): void {
    const origin = scopeContext.getStore();
    const current = this.#tracker.currentTest;
    // A test that is departing has ended, but can still fail.
    if (origin?.kind === 'test' && origin.ended && origin !== current?.scope) {
      extendMessage(error, ` (in "${origin.title}", after it had ended)`);
      this.#failRun(failureOf(error));
    } else if (this.#tracker.current) {
      this.#begun?.attempts.charge(this.#tracker.current, error);
    } else {
      this.#failRun(error);
    }
  }

  #failRun(error: Error): void {
    if (this.#vigil?.stage !== 'over') return void this.#problems.push(error);
    tell(error);
    failAfterAll();
  }

  /**
   * Mocha blames an uncaught exception on what it has begun last. That is right while code of the user's is waited for,
   * unless a timer has thrown that was set by a test that is over.
   */
  #takes(thrown: unknown): boolean {
    const origin = scopeContext.getStore();
    const leftBehind = origin?.kind === 'test' && origin.ended && isTimer(executionAsyncResource());
    const isOfRun = thrown === this.#listenerThrown || this.#endedAt > 0;
    if (isOfRun || (this.#begun?.attempts.isRunning && !leftBehind)) return false;
    this.#charge(failureOf(thrown));
    return true;
  }

  #modeOf(node: Suite | Test): Mode {
    const own = this.plug.tags.modeOf(node);
    if (!('suites' in node)) return own;
    if (!node.parent) return this.#rootMode;
    const phase = this.#phases.get(node) ?? phaseOf(own);
    return phase === phaseOf(own) ? own : MODE_OF_PHASE[phase];
  }

  #where(): string {
    const { current } = this.#tracker;
    const thrown = this.#listenerThrown === undefined ? undefined : failureOf(this.#listenerThrown);
    const [message, frame] = thrown?.stack?.split('\n') ?? [];
    const reason = message === undefined ? '' : `, because a listener threw "${message}" ${frame?.trim() ?? ''}`;
    if (this.runner.isParallelMode()) return 'while workers were running';
    if (this.#startedAt === 0) return 'before it had begun';
    if (this.#vigil?.stage === 'reporting') return `while its results were reported${reason}`;
    return `${!current || current.kind === 'root' ? 'between tests' : `in "${current.title}"`}${reason}`;
  }

  /** The run is lost. A worker would not even exit: the main process would wait for ever. */
  #listenerThrew(error: unknown): void {
    this.#listenerThrown = error;
    if (process.env['MOCHA_WORKER_ID'] !== undefined) process.exit();
  }

  /** An exception in a listener ends Mocha's run at once, with exit code 0. */
  #on<Args extends readonly never[]>(event: string, listener: (...args: Args) => void): void {
    this.runner.prependListener(event, (...args: unknown[]) =>
      this.#safely(() => listener(...(args as unknown as Args))),
    );
  }

  #safely(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#problems.push(failureOf(error));
    }
  }
}

function tell(problem: Error): void {
  process.stderr.write(`\nmocha-rewind: ${problem.stack ?? problem.message}\n`);
}

/** Set for one purpose, unlike a socket, which is used by one test after another. */
function isTimer(resource: object): boolean {
  return ['Timeout', 'Immediate'].includes((resource.constructor as { name: string } | undefined)?.name ?? '');
}

function withFailures(result: RunResult, more: number): RunResult {
  if (typeof result === 'number') return result + more;
  result.failureCount += more;
  return result;
}

/** Mocha sets the exit code at `exit` (`exitMochaLater`), and was asked to before us. */
function exitWith(failures: RunResult): void {
  if (failures !== 0) process.once('exit', () => (process.exitCode ||= 1));
}
