import type { ModeOrigin } from '../facts';
import type { Phase } from '../modes';
import type { Attempts } from './attempts';
import { combine, failureOf } from './failures';
import type { RunHandler } from './index';
import { type Hook, type Suite, type Test, addHook, hooksOf, removeOurHooks } from './mocha-private';
import type { Outcomes } from './outcomes';
import { attachFacts } from './results';
import type { ScopeTracker } from './scope-tracker';

export interface HookedRun {
  readonly handler: RunHandler;
  readonly tracker: ScopeTracker;
  readonly attempts: Attempts;
  readonly phases: ReadonlyMap<Suite, Phase>;
  readonly outcomes: Outcomes;
  /** Why no test may run, if so. */
  readonly refusal: Error | undefined;
  /** In an audit: where a test's mode comes from. */
  readonly originOf: ((test: Test) => ModeOrigin) | undefined;
  /** What fails the run and is not yet told. */
  takeProblems(): readonly Error[];
}

/** `idle` → `started` (the first root hook has run) → `finished`. */
type Stage = 'idle' | 'started' | 'finished';

/** The asynchronous moments of a run: hooks of ours, first or last where that counts, and only where they are needed. */
export class InjectedHooks {
  #stage: Stage = 'idle';

  constructor(private readonly run: HookedRun) {}

  /** `joining`: the root `before all` hook that is running already, where the run could not be had any earlier. */
  inject(root: Suite, joining?: Hook): void {
    forEachSuite(root, removeOurHooks);
    addHook(root, 'beforeAll', joining ? { after: joining } : 'first', () => this.#start());
    addHook(root, 'beforeEach', 'first', (hook) => this.#arrive(hook));
    addHook(root, 'afterEach', 'last', (hook) => this.#depart(hook));
    addHook(root, 'afterAll', 'last', () => this.#finishOrThrow());
    forEachSuite(root, (suite) => {
      if (suite !== root) this.#injectInto(suite);
    });
  }

  /** `RunHandler.finish`, once, where Mocha has skipped our hook because another root-level `after` hook failed. */
  async finishIfDue(): Promise<readonly Error[]> {
    if (this.#stage !== 'started') return [];
    this.#stage = 'finished';
    try {
      return await this.run.handler.finish();
    } catch (error) {
      return [failureOf(error)];
    }
  }

  /** A suite of rolled-back tests needs nothing: what its hooks write is undone with its scope. */
  #injectInto(suite: Suite): void {
    if ((this.run.phases.get(suite) ?? 1) === 1) return;
    const prepares = hooksOf(suite, 'beforeAll').length > 0;
    const cleans = hooksOf(suite, 'afterAll').length > 0;
    if (prepares) {
      addHook(suite, 'beforeAll', 'first', () => this.#atSuite(suite, 'arrive'));
      addHook(suite, 'beforeAll', 'last', () => this.#atSuite(suite, 'prepared'));
    }
    if (prepares || cleans) addHook(suite, 'afterAll', 'last', () => this.#atSuite(suite, 'closing'));
  }

  async #start(): Promise<void> {
    this.#stage = 'started';
    if (this.run.refusal) throw this.run.refusal;
    try {
      await this.run.handler.start();
    } catch (error) {
      throw failureOf(error);
    }
  }

  async #atSuite(suite: Suite, moment: 'arrive' | 'prepared' | 'closing'): Promise<void> {
    const scope = this.run.tracker.scopeOf(suite);
    try {
      if (scope) await this.run.handler[moment](scope);
    } catch (error) {
      throw failureOf(error);
    }
  }

  async #arrive(hook: Hook): Promise<void> {
    const current = this.run.tracker.currentTest;
    if (!current) return;
    const { scope, test } = current;
    try {
      if (!this.run.attempts.isRefused(test)) await this.run.handler.arrive(scope);
    } catch (error) {
      this.run.attempts.refuse(test, error);
    }
    this.run.attempts.hold(test, hook);
  }

  async #depart(hook: Hook): Promise<void> {
    const current = this.run.tracker.currentTest;
    if (!current) return;
    const { scope, test } = current;
    const errors: Error[] = [];
    try {
      if (!scope.timedOut) await this.run.handler.drain(scope);
      // From here on its code may do no more: a body that timed out could go on while we tidy up after it.
      scope.ended = true;
      errors.push(...(await this.run.handler.depart(scope)));
      const facts = this.run.handler.facts(scope);
      const origin = this.run.originOf && { modeFrom: this.run.originOf(test) };
      attachFacts(test, facts && { ...facts, ...origin });
    } catch (error) {
      scope.ended = true;
      errors.push(failureOf(error));
    }
    errors.push(...this.run.attempts.takeCharged(scope));
    this.run.tracker.endTest();
    // What a failed attempt left behind is no reason to fail the test, if the next attempt passes.
    if (errors.length > 0 && !this.run.attempts.isRetried(test)) {
      this.run.outcomes.fail(test, hook, combine(errors.map(failureOf)));
    } else {
      this.run.outcomes.tell();
    }
  }

  async #finishOrThrow(): Promise<void> {
    const { tracker, attempts } = this.run;
    const errors = [...(await this.finishIfDue()), ...this.run.takeProblems()];
    if (tracker.current) errors.push(...attempts.takeCharged(tracker.current));
    if (errors.length > 0) throw combine(errors.map(failureOf));
  }
}

function forEachSuite(suite: Suite, visit: (suite: Suite) => void): void {
  visit(suite);
  for (const child of suite.suites) forEachSuite(child, visit);
}
