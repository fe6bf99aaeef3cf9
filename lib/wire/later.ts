const nextTick = process.nextTick.bind(process);
const { setImmediate } = globalThis;

/**
 * Runs it in a later turn of the loop, as every answer of a real server comes: a driver may not be ready for one while it
 * still writes. It is the nextTick of when this was loaded: a test may have faked the present one.
 */
export function later(task: () => void): void {
  nextTick(task);
}

/**
 * The same behind what promises and ticks have to do until then: a server would not have been quicker. A cursor that is
 * told of an error, or of the end, before it is read from waits for ever (pg-cursor 2.22).
 */
export function muchLater(task: () => void): void {
  setImmediate(task);
}
