// What a test has begun and not awaited: it is waited for when the test ends, and told at the end of the run.
import { RewindError } from '../errors';
import { type Unfinished, shorten } from '../sandbox';
import { type Scope, nameOf } from '../scope';

/** Of each kind so many are named; the rest is counted. */
const NAMED = 3;

/** What is told of a run in a few sentences, however many tests it is about. */
export class Unawaited {
  readonly #tests = new Map<string, string>();
  readonly #late: string[] = [];
  readonly #outer = new Set<string>();

  /** A test's body, or its hooks, are over, and this is not. */
  still(scope: Scope, unfinished: readonly Unfinished[]): void {
    for (const { by, text, what } of unfinished) {
      if (by === scope) this.#tests.set(nameOf(scope), whatOf({ text, what }));
      else this.#outer.add(whatOf({ text, what }));
    }
  }

  late(problem: Error): void {
    const sentence = problem instanceof RewindError ? problem.problem : problem.message;
    this.#late.push(sentence.replace(/[.] It was \w.*$/, ''));
  }

  /** Each is told once. */
  takeSentences(): readonly string[] {
    const tests = Array.from(this.#tests, ([test, what]) => `${test} (${what})`);
    const sentences = [
      listed(tests, (n) =>
        n === 1
          ? 'A test did not await all that it had begun, which was waited for'
          : `${n} tests did not await all that they had begun, which was waited for`,
      ),
      listed(
        [...this.#outer],
        (n) => `${n === 1 ? 'A statement' : `${n} statements`} of code that outlives tests ran into a test's end`,
      ),
      listed(this.#late, (n) => `${n === 1 ? 'A query' : `${n} queries`} of tests that had ended came too late`),
    ];
    this.#tests.clear();
    this.#outer.clear();
    this.#late.length = 0;
    return sentences.filter((sentence) => sentence !== undefined);
  }
}

function listed(all: readonly string[], sentence: (count: number) => string): string | undefined {
  if (all.length === 0) return undefined;
  const more = all.length > NAMED ? `, and ${all.length - NAMED} more` : '';
  return `${sentence(all.length)}: ${all.slice(0, NAMED).join('; ')}${more}`;
}

/** In words: what is not over. */
function whatOf({ what, text }: Pick<Unfinished, 'what' | 'text'>): string {
  return what === 'a connection'
    ? 'it waited for a connection'
    : `${what === 'a query' ? '' : 'a transaction since '}"${shorten(text)}"`;
}

/** `unawaited: 'fail'`: each is to be awaited, also where it would have ended well. */
export function notAwaited(scope: Scope, unfinished: readonly Unfinished[]): RewindError {
  return new RewindError('REWIND_LEFT_OPEN', {
    problem: `${nameOf(scope)} ended before all that it had begun was over: ${unfinished.map(whatOf).join(', ')}.`,
    remedy:
      "Await every query, and end every transaction, in the test. (`unawaited: 'note'` in the config lets tests pass without.)",
  });
}

/** A transaction in which nothing happened any more: nobody is going to end it. */
export function leftOpen(scope: Scope, label: string, { text, site }: Unfinished): RewindError {
  const where = site === undefined ? '' : ` on the connection that was taken at ${site}`;
  return new RewindError('REWIND_LEFT_OPEN', {
    problem: `${nameOf(scope)} left a transaction open in ${label}${where}, begun with "${shorten(text)}". Its connection was closed.`,
    remedy: 'Commit or roll back every transaction before the test ends.',
  });
}
