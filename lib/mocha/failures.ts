import path from 'node:path';
import { RewindError, messageOf } from '../errors';
import { presentable } from './presentable';

const OWN = path.resolve(__dirname, '..') + path.sep;

/** Anything that was thrown, as an error whose stack begins with the message and shows no frame of this package. */
export function failureOf(thrown: unknown): Error {
  const error = presentable(thrown);
  if (error instanceof RewindError) return error.withoutStack();
  if (!(error instanceof Error)) return new Error(messageOf(error));
  const lines = error.stack?.split('\n').filter((line) => !(/^\s+at /.test(line) && line.includes(OWN)));
  if (lines) redefine(error, 'stack', lines.join('\n'));
  return error;
}

/** Adds to the words of somebody else's error, which has to be {@link presentable}. */
export function append(error: Error, text: string): void {
  extendMessage(error, `\n\n${text}\n`);
}

export function extendMessage(error: Error, more: string): void {
  const { name, message, stack } = error;
  const extended = message + more;
  // Some have no more than a getter (DOMException, which fetch() and AbortSignal throw).
  redefine(error, 'message', extended);
  if (!stack) return;
  // Reporters look for the message in the stack, to print it once. Knex puts the SQL into the message alone.
  const frames = (): string => stack.slice(Math.max(stack.search(/^\s+at /m), 0));
  redefine(
    error,
    'stack',
    stack.includes(message) ? stack.replace(message, () => extended) : `${name}: ${extended}\n${frames()}`,
  );
}

function redefine(error: Error, name: 'message' | 'stack', value: string): void {
  Object.defineProperty(error, name, { value, configurable: true, writable: true });
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
