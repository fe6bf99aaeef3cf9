import { MODES, type Mode } from './modes';

/**
 * A mode given in code (`truncate.it(…)`) instead of by a tag in the title. It is kept on Mocha's own Test or Suite
 * object, under a symbol of the global registry, so that two copies of this package in one process agree. It counts as
 * the innermost tag of that very test or suite.
 */
const KEY = Symbol.for('mocha-rewind.mode');

interface Holder {
  [KEY]?: unknown;
}

/** Marks a test or a suite. Not enumerable: reporters that print or serialise tests never see it. */
export function setExplicitMode(runnableOrSuite: object, mode: Mode): void {
  Object.defineProperty(runnableOrSuite, KEY, { value: mode, configurable: true, writable: true, enumerable: false });
}

/**
 * The mode a test or a suite was marked with; undefined where it wasn't. A retry is a clone that knows nothing of ours,
 * but names the test it was made from (mocha 10.8.2, 11.8.0, 12.0.3 `lib/test.js`: `clone` sets `retriedTest`).
 */
export function explicitModeOf(runnableOrSuite: object): Mode | undefined {
  const own = (runnableOrSuite as Holder)[KEY];
  if (own !== undefined) return MODES.find((mode) => mode === own);
  const original = (runnableOrSuite as { retriedTest?: () => object | undefined }).retriedTest?.();
  return original && original !== runnableOrSuite ? explicitModeOf(original) : undefined;
}
