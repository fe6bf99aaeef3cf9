import { inspect } from 'node:util';
import { isErrorLike, messageOf } from '../errors';

/**
 * What was thrown, as something that Mocha, its reporters and we can read and add to; the same object wherever it is one.
 *
 * Mocha writes to errors (`Runner#_uncaught`: `uncaught`; reporters/base.js: `multiple`, `actual`), and reads them in
 * listeners and in the reporter's last words. Where that throws, the rest of the run or its report is lost.
 */
export function presentable(thrown: unknown): unknown {
  if (typeof thrown === 'bigint') return new Error(`the bigint ${thrown} was thrown, throw an Error :)`); // in Mocha's words
  return isObject(thrown) ? soundOf(thrown, new Map()) : thrown;
}

/** @param copies - of those that are being copied: causes may go round in a circle. */
function soundOf(thrown: object, copies: Map<object, Error>): unknown {
  try {
    return (
      copies.get(thrown) ?? (canBeRead(thrown, new Set()) && canBeAddedTo(thrown) ? thrown : copyOf(thrown, copies))
    );
  } catch {
    return new Error(`what was thrown can't be read: ${inspect(thrown)}`); // a Proxy whose traps throw
  }
}

function canBeRead(thrown: object, seen: Set<object>): boolean {
  seen.add(thrown);
  try {
    const { message, stack, cause } = thrown as Partial<Error>;
    const isText = [message, stack].every((value) => value === undefined || typeof value === 'string');
    // JSON, which is how workers and some reporters tell of errors, knows no BigInt.
    const isJson = Object.getOwnPropertyNames(thrown).every((name) => typeof Reflect.get(thrown, name) !== 'bigint');
    return isText && isJson && (!isObject(cause) || seen.has(cause) || canBeRead(cause, seen));
  } catch {
    return false;
  }
}

function canBeAddedTo(thrown: object): boolean {
  if (!isErrorLike(thrown)) return true; // Mocha makes an Error of it
  const isFixed = (name: string): boolean => Object.getOwnPropertyDescriptor(thrown, name)?.configurable === false;
  return Object.isExtensible(thrown) && !isFixed('message') && !isFixed('stack');
}

function copyOf(thrown: object, copies: Map<object, Error>): Error {
  const copy = new Error();
  copies.set(thrown, copy);
  if (thrown instanceof Error) Object.setPrototypeOf(copy, Object.getPrototypeOf(thrown) as object);
  for (const name of new Set(['message', 'stack', ...Object.getOwnPropertyNames(thrown)])) {
    Object.defineProperty(copy, name, {
      value: valueOf(thrown, name, copies),
      enumerable: Object.prototype.propertyIsEnumerable.call(thrown, name),
      configurable: true,
      writable: true,
    });
  }
  return copy;
}

function valueOf(thrown: object, name: string, copies: Map<object, Error>): unknown {
  try {
    const value: unknown = Reflect.get(thrown, name);
    if (typeof value === 'bigint') return `${value}n`;
    if (name === 'cause' && isObject(value)) return soundOf(value, copies);
    const isText = name === 'message' || name === 'stack';
    return isText && typeof value !== 'string' ? textOf(value) : value;
  } catch (reason) {
    return `(it can't be read: ${messageOf(reason)})`;
  }
}

function textOf(value: unknown): string {
  return value === undefined ? '' : inspect(value);
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}
