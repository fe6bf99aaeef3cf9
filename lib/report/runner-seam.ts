/**
 * Seam: what Mocha's runner tells a reporter. Read on mocha 10.8.2, 11.8.0 and 12.0.3 (`lib/runner.js`, `lib/test.js`
 * serialize, `lib/nodejs/parallel-buffered-runner.js`). Canary: test/report/reporter.test.ts runs on all three, serial
 * and `--parallel`.
 */
import type { TestFacts } from '../facts';
import { timestamp } from '../timers';
import type { JsonHook, JsonState, SeenTest } from './json';

/** The least we need of `Mocha.Runner`; our types must not depend on @types/mocha. */
export interface RunnerLike {
  /** What Mocha makes its exit code of, read after the `end` listeners (`Runner#run`). */
  failures: number;
  on(event: string, listener: (...args: never[]) => void): unknown;
}

interface TestLike {
  readonly type?: string;
  readonly file?: string;
  readonly duration?: number;
  fullTitle(): string;
  titlePath(): string[];
  /** Ours: put there when the test is over, or carried from a worker. */
  readonly rewind?: TestFacts;
  /** Stands for the test itself in `--parallel`, where each event brings an object of its own. */
  readonly __mocha_id__?: string;
}

/** Not an Error any more after its way from a worker. Never anything else: Mocha wraps what is thrown beside errors. */
interface ErrorLike {
  readonly message: string;
}

interface Seen {
  test: TestLike;
  state: JsonState;
  retried: boolean;
  error: string | undefined;
}

/** What there is to say of a run beside its tests. Times are milliseconds since 1970. */
export interface SeenEvents {
  readonly startedAt: number;
  readonly endedAt: number;
  readonly failedHooks: readonly JsonHook[];
}

/**
 * Calls back at the run's end with every attempt in the order they ended. Only then are the facts there: Mocha says `pass`
 * before the `afterEach` hooks. A test that an `afterEach` hook fails is told of twice; the last word counts.
 */
export function watchRunner(runner: RunnerLike, onEnd: (tests: readonly SeenTest[], events: SeenEvents) => void): void {
  let startedAt = timestamp();
  const attempts = new Map<unknown, Seen>();
  const failedHooks: JsonHook[] = [];
  const see = (state: JsonState, retried: boolean) => (test: TestLike, error?: ErrorLike) => {
    if (test.type !== 'hook') attempts.set(test.__mocha_id__ ?? test, { test, state, retried, error: error?.message });
  };
  runner.on('start', () => (startedAt = timestamp()));
  runner.on('pass', see('passed', false));
  runner.on('fail', see('failed', false));
  runner.on('fail', (hook: TestLike, error: ErrorLike) => {
    if (hook.type === 'hook') failedHooks.push({ title: hook.fullTitle(), error: error.message });
  });
  runner.on('pending', see('pending', false));
  runner.on('retry', see('failed', true));
  runner.on('end', () => {
    onEnd(
      [...attempts.values()].map(({ test, state, retried, error }) => ({
        title: test.fullTitle(),
        path: test.titlePath(),
        file: test.file,
        state,
        retried,
        error,
        durationMs: test.duration ?? 0,
        facts: test.rewind,
      })),
      { startedAt, endedAt: timestamp(), failedHooks },
    );
  });
}
