import { isErrorLike } from '../errors';
import { append } from './failures';
import { type Hook, type Runner, type Test, wrapEmit } from './mocha-private';

interface Held {
  readonly event: 'pass' | 'fail';
  readonly test: Test & { err?: unknown };
  readonly error: unknown;
  overruled: boolean;
}

/**
 * Mocha tells how a test has ended before its `afterEach` hooks, and so before it departs. That is held back until then:
 * a test that is failed by what departing finds has failed, and has not passed as well; and reporters that print a
 * failure at once (tap, json-stream, doc) print all that there is to say of it.
 */
export class Outcomes {
  #held: Held | undefined;
  #tell: () => void = () => {};

  watch(runner: Runner, isCurrent: (test: unknown) => boolean): void {
    wrapEmit(runner, (emit, event, args) => {
      this.#tell = () => this.#tellWith(emit);
      const [subject, detail] = args;
      if ((event === 'pass' || event === 'fail') && !this.#held && isCurrent(subject)) {
        this.#hold({ event, test: subject as Test, error: detail, overruled: false });
        return true;
      }
      const held = this.#held;
      // `test end` comes right after.
      if (!held || event === 'hook' || event === 'hook end') return emit(event, ...args);
      if (event === 'test end' && subject === held.test) return true;
      if (!held.overruled) this.#tell();
      const heard = emit(event, ...args);
      this.#tell();
      return heard;
    });
  }

  /** What is held back is told. */
  tell(): void {
    this.#tell();
  }

  /** From inside our last `afterEach` hook. A test that has failed already is not failed again, but gets more to say. */
  fail(test: Test, hook: Hook, error: Error): void {
    const held = this.#held?.test === test ? this.#held : undefined;
    if (held?.event === 'fail' && isErrorLike(held.error)) {
      append(held.error, error.message);
      return this.#tell();
    }
    if (held?.event === 'pass') held.overruled = true;
    hook.error(error);
  }

  #hold(held: Held): void {
    this.#held = held;
    // Where reporters put it, and hooks look for it: `this.currentTest.err`.
    if (held.event === 'fail') held.test.err = held.error;
  }

  #tellWith(emit: (event: string, ...args: unknown[]) => boolean): void {
    const held = this.#held;
    if (!held) return;
    this.#held = undefined;
    // Left there, it would be another error to them (`reporters/base.js`).
    if (held.event === 'fail') delete held.test.err;
    if (!held.overruled) emit(held.event, held.test, ...(held.event === 'fail' ? [held.error] : []));
    emit('test end', held.test);
  }
}
