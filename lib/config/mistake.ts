import { inspect, types } from 'node:util';
import { RewindError, type RewindErrorParts } from '../errors';

/** A mistake in the config: one message that names the file and the key, and nothing else. */
export function configMistake(parts: RewindErrorParts): RewindError {
  return new RewindError('REWIND_CONFIG', parts).withoutStack();
}

/** How a message names a value nobody expected: shortly, and without the password if it is a connection string. */
export function describeValue(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === 'string') {
    const text = value.replace(/:\/\/[^@/\s]*@/g, '://…@');
    return JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}...` : text);
  }
  if (types.isAsyncFunction(value)) return 'an async function';
  if (typeof value === 'function') return /^class\b/.test(String(value)) ? `a class (${value.name})` : 'a function';
  if (Array.isArray(value)) return 'an array';
  if (value instanceof Promise) return 'a promise';
  if (typeof value !== 'object') return `${typeof value} ${inspect(value)}`;
  const name = (Object.getPrototypeOf(value) as { constructor?: { name?: string } } | null)?.constructor?.name;
  return name && name !== 'Object' ? `an object of class ${name}` : 'an object';
}
