import { RewindError } from '../errors';
import { giveUpConnections } from '../sandbox';
import { type Scope, nameOf } from '../scope';
import { within } from '../timers';
import type { Departure, IsolationOptions, IsolationPlan } from './index';
import { Isolation } from './isolation';
import { StoppedClock } from './stopped-clock';
import { isServerBusy } from './waits';

/** How long a server is asked what it is doing, and how long what was given up may take to end. */
const ANSWERED_WITHIN_MS = 3000;

const CLOCK_REMEDY =
  'Whoever fakes a clock has to give it back in an afterEach hook, which also runs where the test fails, or fake no more than `Date`.';

const NOTHING: Departure = { errors: [], restore: undefined, cleaned: [], clone: undefined, isolationMs: 0 };

/**
 * Nobody waits for ever: hooks of ours have no time limit of Mocha's. What takes long is not cut short, as long as the
 * server works on it; a server that does not answer, or an end that does not come, ends the run.
 */
export class LimitedIsolation extends Isolation {
  #isSettingUp = false;
  #givenUp: { readonly problem: string; readonly remedy: string } | undefined;

  readonly #clock = new StoppedClock();
  readonly #limitMs: number;
  readonly #answeredWithinMs: number;

  constructor(options: IsolationOptions) {
    super(options);
    this.#limitMs = options.limitMs;
    this.#answeredWithinMs = Math.min(ANSWERED_WITHIN_MS, options.limitMs);
  }

  override begin(plan: IsolationPlan): void {
    this.#givenUp = undefined;
    giveUpConnections(undefined);
    super.begin(plan);
  }

  override start(setUp: () => Promise<void>): Promise<number> {
    const unlimited = async (): Promise<void> => {
      this.#isSettingUp = true;
      try {
        await setUp();
      } finally {
        this.#isSettingUp = false;
      }
    };
    return this.#limited('before the first test', () => super.start(unlimited));
  }

  override enter(scope: Scope): void {
    this.#clock.entered(scope);
    super.enter(scope);
  }

  override leave(scope: Scope): void {
    super.leave(scope);
    this.#clock.left(scope);
  }

  override arrive(scope: Scope): Promise<void> {
    return this.#limited(`before ${nameOf(scope)}`, () => super.arrive(scope));
  }

  override prepared(scope: Scope): Promise<void> {
    return this.#unlessGivenUp(`after the before hooks of ${nameOf(scope)}`, () => super.prepared(scope));
  }

  override closing(scope: Scope): Promise<void> {
    return this.#unlessGivenUp(`after ${nameOf(scope)}`, () => super.closing(scope));
  }

  override async drain(scope: Scope): Promise<void> {
    if (!this.#givenUp) await super.drain(scope);
  }

  override async depart(scope: Scope): Promise<Departure> {
    return (await this.#unlessGivenUp(`after ${nameOf(scope)}`, () => super.depart(scope))) ?? NOTHING;
  }

  override async finish(): Promise<readonly Error[]> {
    if (!this.#givenUp) return this.#limited('at the end of the run', () => super.finish());
    await within(this.#answeredWithinMs, super.finish());
    return [];
  }

  /** Whoever arrives is told. */
  async #unlessGivenUp<T>(when: string, step: () => Promise<T>): Promise<T | undefined> {
    return this.#givenUp ? undefined : this.#limited(when, step);
  }

  async #limited<T>(when: string, step: () => Promise<T>): Promise<T> {
    if (this.#givenUp) throw this.#stuck(this.#givenUp);
    const result = step().then((value) => ({ value }));
    result.catch(() => {});
    for (;;) {
      const ended = await within(this.#limitMs, result);
      if (ended) return ended.value;
      if (this.#isSettingUp || (await this.#isServerBusy())) continue;
      const lately = await within(0, result);
      if (lately) return lately.value;
      throw await this.#giveUp(when);
    }
  }

  async #isServerBusy(): Promise<boolean> {
    const answers = Promise.all(this.used().map((database) => isServerBusy(database)));
    return (await within(this.#answeredWithinMs, answers).catch(() => undefined))?.includes(true) ?? false;
  }

  async #giveUp(when: string): Promise<RewindError> {
    const sentences = await within(this.#answeredWithinMs, this.waits());
    const clock = this.#clock.describe();
    const waits =
      [...(sentences ?? []), ...(clock ? [clock] : [])].join(' ') ||
      'The server does not answer, or has nothing to do for it.';
    this.#givenUp = {
      problem: `mocha-rewind has waited in vain ${when}, for ${this.#limitMs / 1000} s. ${waits}`,
      remedy: `No test was run after that; the next run restores the database first. ${clock ? CLOCK_REMEDY : 'Is the server all right, and is there a way to it?'} \`hookTimeout\` in the config sets how long is waited.`,
    };
    const error = this.#stuck(this.#givenUp);
    giveUpConnections(error);
    return error;
  }

  #stuck(parts: { readonly problem: string; readonly remedy: string }): RewindError {
    return new RewindError('REWIND_STUCK', parts);
  }
}
