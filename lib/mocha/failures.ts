import path from 'node:path';
import { RewindError } from '../errors';

const OWN = path.resolve(__dirname, '..') + path.sep;

/** Anything that was thrown, as an error whose stack begins with the message and shows no frame of this package. */
export function failureOf(thrown: unknown): Error {
  if (thrown instanceof RewindError) return thrown.withoutStack();
  if (!(thrown instanceof Error)) return new Error(String(thrown));
  const lines = thrown.stack?.split('\n').filter((line) => !(/^\s+at /.test(line) && line.includes(OWN)));
  if (lines) Object.defineProperty(thrown, 'stack', { value: lines.join('\n'), configurable: true, writable: true });
  return thrown;
}

/** Adds to the words of somebody else's error. */
export function append(error: Error, text: string): void {
  extendMessage(error, `\n\n${text}\n`);
}

export function extendMessage(error: Error, more: string): void {
  const { message, stack } = error;
  error.message = message + more;
  // Reporters look for the message in the stack, to print it once.
  if (stack?.includes(message)) error.stack = stack.replace(message, () => error.message);
}

/** Several errors where Mocha has room for one. */
export function combine(errors: readonly Error[]): Error {
  const [first, ...others] = errors;
  if (first && others.length === 0) return first;
  const message = errors.map((error) => error.message).join('\n');
  const combined = new AggregateError(errors, message);
  combined.stack = errors.map((error) => error.stack ?? error.message).join('\n');
  return combined;
}
