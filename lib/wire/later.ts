const nextTick = process.nextTick.bind(process);

/**
 * Runs it in a later turn of the loop, as every answer of a real server comes: a driver may not be ready for one while it
 * still writes. It is the nextTick of when this was loaded: a test may have faked the present one.
 */
export function later(task: () => void): void {
  nextTick(task);
}
