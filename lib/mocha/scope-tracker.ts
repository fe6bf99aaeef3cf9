import type { Mode } from '../modes';
import { type Scope, scopeContext } from '../scope';
import { type Runnable, type Suite, type Test, isHolder, isSynthetic, kindOf } from './mocha-private';

export interface ScopeListener {
  modeOf(node: Suite | Test): Mode;
  entered(scope: Scope, node: Suite | Test): void;
  left(scope: Scope, node: Suite | Test): void;
}

interface Frame {
  readonly scope: Scope;
  readonly node: Suite | Test;
}

/**
 * Which scope the run is in: a stack, moved by runner events, all of which Mocha emits synchronously and before any user
 * code of the new place. There is no event for the end of a test (its `afterEach` hooks come after `test end`, and may
 * be cut short): it is over when its last `afterEach` hook of ours says so, or at the latest when anything else begins.
 *
 *   suite        → endTest, push the suite
 *   test         → endTest, push the test            (each attempt of `--retries` is a test)
 *   hook (…All)  → endTest, unwind to the hook's suite
 *   suite end    → endTest, unwind to the suite, pop it
 *   end          → unwind everything
 */
export class ScopeTracker {
  readonly #stack: Frame[] = [];

  constructor(private readonly listener: ScopeListener) {}

  get current(): Scope | undefined {
    return this.#stack.at(-1)?.scope;
  }

  get currentTest(): { readonly scope: Scope; readonly test: Test } | undefined {
    const top = this.#stack.at(-1);
    return top?.scope.kind === 'test' ? { scope: top.scope, test: top.node as Test } : undefined;
  }

  scopeOf(suite: Suite): Scope | undefined {
    return this.#stack.find((frame) => frame.node === suite)?.scope;
  }

  suiteBegan(suite: Suite): void {
    this.endTest();
    if (!isHolder(suite)) this.#push(suite.parent ? 'suite' : 'root', suite);
    this.#enterContext();
  }

  testBegan(test: Test): void {
    if (isSynthetic(test)) return;
    this.endTest();
    this.#push('test', test);
    this.#enterContext();
  }

  hookBegan(hook: Runnable): void {
    const kind = kindOf(hook);
    if (kind === 'beforeAll' || kind === 'afterAll') {
      this.endTest();
      this.#unwindTo(hook.parent);
    }
    this.#enterContext();
  }

  /** A hook that takes a callback may have ended in somebody else's asynchronous context. */
  hookEnded(): void {
    this.#enterContext();
  }

  suiteEnded(suite: Suite): void {
    this.endTest();
    this.#unwindTo(suite);
    if (this.#stack.at(-1)?.node === suite) this.#pop();
    this.#enterContext();
  }

  runEnded(): void {
    while (this.#stack.length > 0) this.#pop();
    this.#enterContext();
  }

  endTest(): void {
    if (this.currentTest) this.#pop();
  }

  #unwindTo(suite: Suite): void {
    if (!this.#stack.some((frame) => frame.node === suite)) return;
    while (this.#stack.at(-1)?.node !== suite) this.#pop();
  }

  #push(kind: Scope['kind'], node: Suite | Test): void {
    const scope: Scope = {
      kind,
      title: node.fullTitle(),
      file: node.file,
      mode: this.listener.modeOf(node),
      parent: this.current,
      ended: false,
      timedOut: false,
    };
    this.#stack.push({ scope, node });
    this.listener.entered(scope, node);
  }

  #pop(): void {
    const frame = this.#stack.pop();
    if (!frame) return;
    frame.scope.ended = true;
    this.listener.left(frame.scope, frame.node);
  }

  #enterContext(): void {
    scopeContext.enterWith(this.current);
  }
}
