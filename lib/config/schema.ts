// What a config may hold. Messages of the schema are what is expected, to be read after "has to be"; those of a check
// are whole, those of everything else are followed by what was found.
import { types } from 'node:util';
import * as v from 'valibot';
import { messageOf } from '../errors';
import { MODES } from '../modes';
import { globs } from './globs';
import { describeValue } from './mistake';

type AnyFunction = (...args: never[]) => unknown;

const isFunction = (value: unknown): value is AnyFunction => typeof value === 'function';
const isObject = (value: unknown): boolean => isFunction(value) || (typeof value === 'object' && value !== null);

const object = (expected: string): v.GenericSchema => v.custom<object>(isObject, expected);
const callable = v.custom<AnyFunction>(isFunction, 'a function');
/** An asynchronous one would always be true. */
const predicate = v.custom<AnyFunction>(
  (value) => isFunction(value) && !types.isAsyncFunction(value),
  'a function that answers at once (not an async one)',
);
const modeWords = `one of ${MODES.map((m) => `'${m}'`).join(', ')}`;
const mode = v.picklist(MODES, modeWords);

/** A single word is as good as an array of one. */
const arrayed = v.transform((value: unknown) => (typeof value === 'string' ? [value] : value));

/** What can be a tag in a title. There it has an `@`; here it is taken with it or without. */
const word = v.pipe(
  v.string('a word, or an array of words'),
  v.transform((text) => text.replace(/^@/, '')),
  v.regex(/^[\p{L}\p{N}_](?:[\p{L}\p{N}_:.-]*[\p{L}\p{N}_])?$/u, 'one word of letters and digits'),
);
const words = v.pipe(v.unknown(), arrayed, v.array(word, 'a word, or an array of words'));

function globOf(what: string): v.GenericSchema {
  return v.pipe(
    v.string(`a glob of ${what} (one string)`),
    v.check(
      (pattern) => whatIsWrongWith(pattern) === undefined,
      ({ input }) => `a glob of ${what}: ${whatIsWrongWith(input)} (${describeValue(input)})`,
    ),
  );
}

function whatIsWrongWith(pattern: string): string | undefined {
  if (pattern.trim() === '') return 'it is empty';
  if (/^(?:[\\/]|[A-Za-z]:)/.test(pattern)) return "it has to be relative to the package's folder";
  if (/^(?:\.[\\/])?\.\.[\\/]/.test(pattern)) return "it points out of the package's folder";
  try {
    globs().assertWellFormed(pattern);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

/** `true` is no glob more than what is watched anyway. */
const reuse = v.pipe(
  v.unknown(),
  v.transform((value) => (value === true ? [] : value === false ? undefined : value)),
  arrayed,
  v.optional(v.array(globOf('files'), 'true, false, a glob of files, or an array of globs')),
);

const title = v.custom<RegExp | string>(
  (value) => types.isRegExp(value) || (typeof value === 'string' && value !== ''),
  'a RegExp, or text the full title has to contain',
);
const rule = v.pipe(
  v.strictObject(
    { files: v.optional(globOf('spec files')), title: v.optional(title), mode: v.optional(mode) },
    'a rule: `{ files, title, mode }`',
  ),
  v.forward(
    v.check(({ mode: given }) => given !== undefined, `${modeWords}, not undefined`),
    ['mode'],
  ),
  v.check(
    ({ files, title: text }) => files !== undefined || text !== undefined,
    'given `files`, `title`, or both: as it stands it would match every test, which is what `default` is for',
  ),
);

const milliseconds = v.custom<number>(
  (value) => typeof value === 'number' && value >= 1 && value < 2 ** 31,
  'a number of milliseconds, 1 or more',
);

export const configSchema = v.strictObject({
  knex: v.optional(object('a Knex instance, a record of them, or a function or promise that gives one')),
  pools: v.optional(object('a `pg.Pool`, an array of them, or a function that gives one')),
  include: v.optional(predicate),
  exclude: v.optional(predicate),
  migrate: v.optional(callable),
  seed: v.optional(callable),
  reuse: v.optional(reuse),
  default: v.optional(mode),
  split: v.optional(v.boolean('true or false')),
  rejections: v.optional(v.picklist(['fail', 'ignore'], "one of 'fail', 'ignore'")),
  leaks: v.optional(v.picklist(['always', 'never'], "one of 'always', 'never'")),
  hookTimeout: v.optional(milliseconds),
  drain: v.optional(milliseconds),
  unawaited: v.optional(v.picklist(['note', 'fail'], "one of 'note', 'fail'")),
  tags: v.optional(
    v.strictObject(
      Object.fromEntries(MODES.map((m) => [m, v.optional(words)])),
      "an object of words for modes: `{ rollback: 'transaction' }`",
    ),
  ),
  rules: v.optional(v.array(rule, 'an array of rules')),
  allowDatabase: v.optional(callable),
});
