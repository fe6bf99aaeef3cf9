import type { RunFacts } from './facts';

/** On the global object: the reporter may come from another copy of this package than the plugin. */
const KEY = Symbol.for('mocha-rewind.runFacts');
const holder = globalThis as { [KEY]?: () => RunFacts };

/** Lets reporters read what is known of the run that has begun. */
export function publishRunFacts(read: () => RunFacts): void {
  holder[KEY] = read;
}

/** Undefined where no run was isolated in this process. */
export function currentRunFacts(): RunFacts | undefined {
  return holder[KEY]?.();
}
