/**
 * Timers as they were when this package was loaded. Tests replace the globals (sinon's fake timers); our own limits must
 * go on meaning real time, or a faked clock would hang the run.
 */
export const realTimers = {
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
  setImmediate: globalThis.setImmediate,
  now: performance.now.bind(performance),
} as const;

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => realTimers.setTimeout(resolve, ms));
}
