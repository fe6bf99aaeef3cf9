import type { Scope } from '../scope';
import { realTimers } from '../timers';
import { failureOf } from './failures';
import type { RunHandler } from './index';
import { type Hook, type Test, endAfterTurn, isTimeout, withholdBeforeEach, wrapRun } from './mocha-private';

/**
 * What decides how one attempt of a test ends, beside its own code. Mocha ends the whole run when a root hook throws, so
 * a test is failed where its body would have failed: an attempt that may not run fails in the place of its body, and
 * what is found when the body is over fails a test that would have passed.
 */
export class Attempts {
  readonly #refusals = new Map<Test, unknown>();
  readonly #withheld = new Map<Test, () => void>();
  readonly #charged = new Map<Scope, Error[]>();
  readonly #retried = new WeakSet<Test>();

  constructor(private readonly handler: RunHandler) {}

  began(scope: Scope, test: Test): void {
    wrapRun(test, (run, done) => {
      this.#withheld.get(test)?.();
      if (this.#refusals.has(test)) return done(this.#refusals.get(test));
      run((error) => {
        if (isTimeout(error)) scope.timedOut = true;
        endAfterTurn(test, realTimers.setImmediate, (uncaught) => done(this.#verdict(scope, test, error ?? uncaught)));
      });
    });
  }

  /** The body of this attempt is not to run; it fails with this error. */
  refuse(test: Test, error: unknown): void {
    if (!this.#refusals.has(test)) this.#refusals.set(test, failureOf(error));
  }

  /** From inside our own, first `beforeEach` hook: nothing more runs of a refused attempt but its `afterEach` hooks. */
  hold(test: Test, current: Hook): void {
    if (this.#refusals.has(test)) this.#withheld.set(test, withholdBeforeEach(test, current));
  }

  isRefused(test: Test): boolean {
    return this.#refusals.has(test);
  }

  /** Something went wrong while this test ran that its own code was not told of. */
  charge(scope: Scope, error: Error): void {
    const known = this.#charged.get(scope);
    if (known) known.push(error);
    else this.#charged.set(scope, [error]);
  }

  takeCharged(scope: Scope): readonly Error[] {
    const errors = this.#charged.get(scope) ?? [];
    this.#charged.delete(scope);
    return errors;
  }

  willRetry(test: Test): void {
    this.#retried.add(test);
  }

  /** This attempt has failed, and another one follows. */
  isRetried(test: Test): boolean {
    return this.#retried.has(test);
  }

  over(test: Test): void {
    this.#withheld.get(test)?.();
    this.#withheld.delete(test);
    this.#refusals.delete(test);
  }

  /** Why the test has failed; nothing if it has passed. */
  #verdict(scope: Scope, test: Test, error: unknown): unknown {
    if (test.pending) return error;
    let found: Error | undefined;
    try {
      found = this.handler.bodyEnded(scope);
    } catch (thrown) {
      found = failureOf(thrown);
    }
    const [charged] = this.takeCharged(scope);
    // A promise that failed unseen is why the test was waiting in vain.
    if (charged && isTimeout(error)) return charged;
    return error ?? charged ?? found;
  }
}
