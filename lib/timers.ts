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

const origin = performance.timeOrigin;

/** Milliseconds since 1970, steady and precise, and the same in all processes of a machine. */
export function timestamp(): number {
  return origin + realTimers.now();
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => realTimers.setTimeout(resolve, ms));
}
