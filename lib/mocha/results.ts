import type { FinishedTest } from './index';
import type { RunFacts, TestFacts } from '../facts';
import type { MochaClass, Runner, Suite, Test } from './mocha-private';
import { extendSerialize } from './mocha-private';

/** Where reporters find the facts: `test.rewind`. Null: the test has run, and nothing is known of it. */
interface WithFacts {
  rewind?: TestFacts | null;
}

/** On a worker's root suite. */
interface WithRunFacts {
  rewind?: RunFacts;
}

export function attachFacts(test: Test, facts: TestFacts | undefined): void {
  (test as WithFacts).rewind = facts ?? null;
}

export function attachRunFacts(root: Suite, facts: RunFacts): void {
  (root as WithRunFacts).rewind = facts;
}

/** Workers send them along. */
export function carryFacts(mocha: MochaClass): void {
  for (const type of [mocha.Test, mocha.Suite]) {
    extendSerialize(type, (node) => {
      const { rewind } = node as WithFacts | WithRunFacts;
      return rewind === undefined ? {} : { rewind };
    });
  }
}

/** In the main process: what each worker knows of each of its files' runs. */
export function hearWorkers(runner: Runner, told: (facts: RunFacts) => void): void {
  runner.on('suite end', (suite: Suite) => {
    const { rewind } = suite as WithRunFacts;
    if (suite.root && rewind) told(rewind);
  });
}

/** Collects every attempt of every test from the runner's events, which in the main process come from the workers. */
export class Results {
  readonly #finished = new Map<string, { readonly test: Test; state: FinishedTest['state'] }>();

  listen(runner: Runner): void {
    runner.on('pass', (test: Test) => this.#note(test, 'passed'));
    runner.on('fail', (test: Test) => this.#note(test, 'failed'));
    runner.on('retry', (test: Test) => this.#note(test, 'failed'));
  }

  /** In the order they ended. */
  get tests(): FinishedTest[] {
    const ran = [...this.#finished.values()].filter(({ test }) => (test as WithFacts).rewind !== undefined);
    return ran.map(({ test, state }) => ({
      title: test.fullTitle(),
      file: test.file,
      state,
      durationMs: test.duration ?? 0,
      facts: (test as WithFacts).rewind ?? undefined,
    }));
  }

  /** A test can fail after it has passed: in Mocha's eyes, when it calls `done()` twice. */
  #note(test: Test, state: FinishedTest['state']): void {
    if (test.type !== 'test') return;
    const known = this.#finished.get(idOf(test));
    if (known) known.state = state;
    else this.#finished.set(idOf(test), { test, state });
  }
}

/** Deserialized tests are a new object in every event; the id is the same (`utils.assignNewMochaID`). */
function idOf(test: Test): string {
  return test.id ?? (test as unknown as Record<'__mocha_id__', string>).__mocha_id__;
}
