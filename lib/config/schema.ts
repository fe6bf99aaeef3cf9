// What a config may hold. What is expected of a value is said in words to be read after "has to be".
//
// Without a library for schemas: zod takes 50 ms to load, and each worker of --parallel would load it again.
import { types } from 'node:util';
import { messageOf } from '../errors';
import { MODES } from '../modes';
import { describeValue } from './mistake';
import { type Reader, arrayOf, object, oneOf, oneOrMore, optional, suiting, unfit } from './readers';

const isFunction = (value: unknown): boolean => typeof value === 'function';
const isObject = (value: unknown): boolean => isFunction(value) || (typeof value === 'object' && value !== null);

const callable = suiting(isFunction, 'a function');
/** An asynchronous one would always be true. */
const predicate = suiting(
  (value) => isFunction(value) && !types.isAsyncFunction(value),
  'a function that answers at once (not an async one)',
);
const mode = oneOf(MODES);

/** What can be a tag in a title. There it has an `@`; here it is taken with it or without. */
const WORD = /^@?([\p{L}\p{N}_](?:[\p{L}\p{N}_:.-]*[\p{L}\p{N}_])?)$/u;
const WORDS = 'a word, or an array of words';
const text = suiting((value) => typeof value === 'string', WORDS);
const word: Reader = (value, spot) => {
  const [, bare] = WORD.exec(text(value, spot) as string) ?? [];
  if (bare !== undefined) return bare;
  throw unfit(spot, `one word of letters and digits, not ${describeValue(value)}`);
};
const words = optional(oneOrMore(word, WORDS));

function globOf(what: string): Reader {
  const string = suiting((value) => typeof value === 'string', `a glob of ${what} (one string)`);
  return (value, spot) => {
    const pattern = string(value, spot) as string;
    const wrong = whatIsWrongWith(pattern);
    if (wrong !== undefined) throw unfit(spot, `a glob of ${what}: ${wrong} (${describeValue(pattern)})`);
    return pattern;
  };
}

function whatIsWrongWith(pattern: string): string | undefined {
  if (pattern.trim() === '') return 'it is empty';
  if (/^(?:[\\/]|[A-Za-z]:)/.test(pattern)) return "it has to be relative to the package's folder";
  if (/^(?:\.[\\/])?\.\.[\\/]/.test(pattern)) return "it points out of the package's folder";
  try {
    // eslint-disable-next-line @typescript-eslint/no-require-imports -- late: picomatch takes 4 ms to load, and few need it
    (require('./glob') as typeof import('./glob')).assertWellFormed(pattern);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

/** `true` is no glob more than what is watched anyway. */
const globs = oneOrMore(globOf('files'), 'true, false, a glob of files, or an array of globs');
const reuse: Reader = (value, spot) =>
  value === true ? [] : value === false ? undefined : optional(globs)(value, spot);

const title = suiting(
  (value) => types.isRegExp(value) || (typeof value === 'string' && value !== ''),
  'a RegExp, or text the full title has to contain',
);
const someRule = object(
  { files: optional(globOf('spec files')), title: optional(title), mode },
  'a rule: `{ files, title, mode }`',
);
const rule: Reader = (value, spot) => {
  const read = someRule(value, spot) as { files?: unknown; title?: unknown };
  if (read.files !== undefined || read.title !== undefined) return read;
  throw unfit(
    spot,
    'given `files`, `title`, or both: as it stands it would match every test, which is what `default` is for',
  );
};

/** All of it optional. */
const SETTINGS: Readonly<Record<string, Reader>> = {
  knex: suiting(isObject, 'a Knex instance, a record of them, or a function or promise that gives one'),
  pools: suiting(isObject, 'a `pg.Pool`, an array of them, or a function that gives one'),
  include: predicate,
  exclude: predicate,
  migrate: callable,
  seed: callable,
  reuse,
  default: mode,
  split: suiting((value) => typeof value === 'boolean', 'true or false'),
  rejections: oneOf(['fail', 'ignore']),
  leaks: oneOf(['always', 'never']),
  tags: object(
    Object.fromEntries(MODES.map((m) => [m, words])),
    "an object of words for modes: `{ rollback: 'transaction' }`",
  ),
  rules: arrayOf(rule, 'an array of rules'),
  allowDatabase: callable,
};

export const settings = object(
  Object.fromEntries(Object.entries(SETTINGS).map(([key, read]) => [key, optional(read)])),
  'an object with settings',
);
