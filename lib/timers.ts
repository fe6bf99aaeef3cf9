const nextTick: unknown = Reflect.get(process, 'nextTick');

/**
 * Timers as they were when this package was loaded. Tests replace the globals (sinon's fake timers); our own limits must
 * go on meaning real time, or a faked clock would hang the run.
 */
export const realTimers = {
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
  setImmediate: globalThis.setImmediate,
  nextTick: process.nextTick.bind(process),
  now: performance.now.bind(performance),
} as const;

/** Those timers that are others now, by the names they go by. */
export function replacedTimers(): readonly string[] {
  return [
    ...(['setTimeout', 'setImmediate'] as const).filter((name) => globalThis[name] !== realTimers[name]),
    ...(Reflect.get(process, 'nextTick') === nextTick ? [] : ['process.nextTick']),
  ];
}

const origin = performance.timeOrigin;

/** Milliseconds since 1970, steady and precise, and the same in all processes of a machine. */
export function timestamp(): number {
  return origin + realTimers.now();
}

/** The promise's value, or after so long nothing. */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<undefined>((resolve) => (timer = realTimers.setTimeout(() => resolve(undefined), ms)));
  try {
    return await Promise.race([promise, limit]);
  } finally {
    realTimers.clearTimeout(timer);
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => realTimers.setTimeout(resolve, ms));
}
