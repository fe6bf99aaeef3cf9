import { isErrorLike } from '../errors';
import type { Scope } from '../scope';
import { realTimers, within } from '../timers';
import { append, failureOf } from './failures';
import type { RunHandler } from './index';
import {
  type Done,
  type Hook,
  type Runnable,
  type Test,
  bail,
  endWhen,
  ignoreSecondEnd,
  isLastAttempt,
  isTimeout,
  isUncaught,
  withholdBeforeEach,
  wrapRun,
} from './mocha-private';
import { presentable } from './presentable';

/** How long a time-out, or a failure, waits for its explanation. */
const EXPLAINED_WITHIN_MS = 3000;

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
  #running: Runnable | undefined;

  constructor(private readonly handler: RunHandler) {}

  /** Whether code of the user's is running, or being waited for. */
  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  #wrap(runnable: Runnable, wrapper: (run: (done: Done) => void, done: Done) => void): void {
    wrapRun(runnable, (run, done) => {
      this.#running = runnable;
      wrapper(
        (ended) => run((error) => ended(presentable(error))),
        (error) => {
          this.#running = undefined;
          done(error);
        },
      );
    });
  }

  began(scope: Scope, test: Test): void {
    this.#wrap(test, (run, done) => {
      this.#withheld.get(test)?.();
      if (this.#refusals.has(test)) return done(this.#refusals.get(test));
      run((error) =>
        this.#settle(scope, test, error, (settled) => {
          const verdict = this.#verdict(scope, test, settled);
          if (verdict === undefined || verdict === null || test.pending || !isLastAttempt(test)) return done(verdict);
          this.#afterFailure(scope, test, verdict, done);
        }),
      );
    });
  }

  #afterFailure(scope: Scope, runnable: Runnable, verdict: unknown, done: Done): void {
    const failed = async (): Promise<void> => {
      try {
        addCaveats(verdict, this.handler.explainFailure?.() ?? []);
        addHint(verdict, await this.#hintOn(verdict));
        if (await this.handler.failed(scope)) bail(runnable);
      } catch (error) {
        this.charge(scope, failureOf(error));
      }
    };
    void failed().then(() => done(verdict));
  }

  async #hintOn(verdict: unknown): Promise<string | undefined> {
    const hint = this.handler.hintOn?.(verdict).catch(() => undefined);
    return hint && within(EXPLAINED_WITHIN_MS, hint);
  }

  /** A hook of somebody else's: what goes wrong in one that runs for a suite is its own. */
  hookBegan(scope: Scope, hook: Hook, owner: Scope | undefined): void {
    this.#wrap(hook, (run, done) => {
      scope.hookOwner = owner;
      const ends: Done = (verdict) => {
        if (verdict === undefined || verdict === null || hook.pending) return done(verdict);
        this.#afterFailure(scope, hook, verdict, done);
      };
      run((error) => {
        scope.hookOwner = undefined;
        if (scope.kind === 'test' && !isTimeout(error)) return ends(error);
        this.#settle(scope, hook, error, (settled) =>
          ends(scope.kind === 'test' ? settled : this.#own(scope, settled)),
        );
      });
    });
  }

  /** Ends a runnable when all is known that goes with it: rejections nobody handled, what a time-out has waited for. */
  #settle(scope: Scope, runnable: Runnable, error: unknown, settled: Done): void {
    const afterTurn = (go: () => void): void => void realTimers.setImmediate(go);
    const ends = (uncaught: unknown): void => {
      if (isUncaught(error)) ignoreSecondEnd(runnable);
      settled(error ?? uncaught);
    };
    if (!isTimeout(error)) return endWhen(runnable, afterTurn, ends);
    scope.timedOut = true;
    const explained = this.#explain(error).catch(() => {});
    endWhen(runnable, (go) => void explained.then(() => afterTurn(go)), ends);
  }

  async #explain(timeout: Error): Promise<void> {
    const sentences = await within(EXPLAINED_WITHIN_MS, this.handler.explainTimeout());
    if (!sentences || sentences.length === 0) return;
    append(timeout, ['  mocha-rewind: at that moment', ...sentences.map((sentence) => `  - ${sentence}`)].join('\n'));
  }

  /** Its own error, or else a promise that failed unseen: which also is why somebody was waiting in vain. */
  #own(scope: Scope, error: unknown): unknown {
    const [charged] = this.takeCharged(scope);
    return charged && isTimeout(error) ? charged : (error ?? charged);
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
    return this.#own(scope, error) ?? found;
  }
}

function addCaveats(error: unknown, sentences: readonly string[]): void {
  if (sentences.length === 0 || !isErrorLike(error)) return;
  append(error, ['  mocha-rewind: it may matter that under rollback', ...sentences.map((s) => `  - ${s}`)].join('\n'));
}

function addHint(error: unknown, sentence: string | undefined): void {
  if (sentence === undefined || !isErrorLike(error)) return;
  append(error, `  mocha-rewind: ${sentence}`);
}
