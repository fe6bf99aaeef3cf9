import { append } from './failures';
import { type Hook, type Runner, type Test, wrapEmit } from './mocha-private';

/**
 * Mocha tells that a test has passed before its `afterEach` hooks, and so before it departs. That is held back until then:
 * a test that is failed by what departing finds has failed, and has not passed as well. A failure is not held back, since
 * hooks may want to see `this.currentTest.err`, which reporters set.
 */
export class Outcomes {
  #passed: { readonly test: unknown; overruled: boolean } | undefined;
  #failed: { readonly test: unknown; readonly error: unknown } | undefined;
  #tell: () => void = () => {};

  watch(runner: Runner, isCurrent: (test: unknown) => boolean): void {
    wrapEmit(runner, (emit, event, args) => {
      this.#tell = () => this.#tellWith(emit);
      const [subject, detail] = args;
      if (event === 'pass' && isCurrent(subject)) {
        this.#passed = { test: subject, overruled: false };
        return true;
      }
      if (event === 'fail') this.#failed = { test: subject, error: detail };
      const passed = this.#passed;
      // `test end` comes right after `pass`.
      if (!passed || event === 'hook' || event === 'hook end') return emit(event, ...args);
      if (event === 'test end' && subject === passed.test) return true;
      if (!passed.overruled) this.#tell();
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
    const own = this.#failed?.test === test ? this.#failed.error : undefined;
    if (own instanceof Error && Object.isExtensible(own)) return append(own, error.message);
    if (this.#passed) this.#passed.overruled = true;
    hook.error(error);
  }

  #tellWith(emit: (event: string, test: unknown) => boolean): void {
    const passed = this.#passed;
    if (!passed) return;
    this.#passed = undefined;
    if (!passed.overruled) emit('pass', passed.test);
    emit('test end', passed.test);
  }
}
