// What a config may hold. Messages of the schema are what is expected, to be read after "has to be".
import { types } from 'node:util';
import picomatch from 'picomatch';
import { z } from 'zod';
import { messageOf } from '../errors';
import { MODES } from '../modes';
import { GLOB_OPTIONS } from './glob';
import { describeValue } from './mistake';

/** Marks a message that needs no ", not …" after it. */
const COMPLETE = { complete: true } as const;

type AnyFunction = (...args: never[]) => unknown;

const isFunction = (value: unknown): value is AnyFunction => typeof value === 'function';
const isObject = (value: unknown): value is object =>
  isFunction(value) || (typeof value === 'object' && value !== null);

/** Not called: zod would wrap a function it knows as one, and the app's instance has to stay itself. */
const callable = z.custom<AnyFunction>(isFunction, 'a function');
/** An asynchronous one would always be true. */
const predicate = z.custom<AnyFunction>(
  (value) => isFunction(value) && !types.isAsyncFunction(value),
  'a function that answers at once (not an async one)',
);
const mode = z.enum(MODES, { error: () => `one of ${MODES.map((m) => `'${m}'`).join(', ')}` });

/** What can be a tag in a title. There it has an `@`; here it is taken with it or without. */
const word = z
  .string({ error: () => 'a word, or an array of words' })
  .transform((text) => text.replace(/^@/, ''))
  .refine((text) => /^[\p{L}\p{N}_](?:[\p{L}\p{N}_:.-]*[\p{L}\p{N}_])?$/u.test(text), 'one word of letters and digits');
const words = z.preprocess(
  (value) => (typeof value === 'string' ? [value] : value),
  z.array(word, { error: () => 'a word, or an array of words' }),
);

const globOf = (what: string): z.ZodType<string, string> =>
  z.string({ error: () => `a glob of ${what} (one string)` }).check((context) => {
    const wrong = whatIsWrongWith(context.value);
    if (wrong) {
      const message = `a glob of ${what}: ${wrong} (${describeValue(context.value)})`;
      context.issues.push({ code: 'custom', message, input: context.value, params: COMPLETE });
    }
  });
const glob = globOf('spec files');
/** `true` is no glob more than what is watched anyway. */
const reuse = z.preprocess(
  (value) => (value === true ? [] : value === false ? undefined : typeof value === 'string' ? [value] : value),
  z.array(globOf('files'), { error: () => 'true, false, a glob of files, or an array of globs' }).optional(),
);

function whatIsWrongWith(pattern: string): string | undefined {
  if (pattern.trim() === '') return 'it is empty';
  if (/^(?:[\\/]|[A-Za-z]:)/.test(pattern)) return "it has to be relative to the package's folder";
  if (/^(?:\.[\\/])?\.\.[\\/]/.test(pattern)) return "it points out of the package's folder";
  try {
    picomatch(pattern, { ...GLOB_OPTIONS, strictBrackets: true });
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

const title = z.custom<RegExp | string>(
  (value) => types.isRegExp(value) || (typeof value === 'string' && value !== ''),
  'a RegExp, or text the full title has to contain',
);
const rule = z
  .strictObject(
    { files: glob.optional(), title: title.optional(), mode },
    { error: () => 'a rule: `{ files, title, mode }`' },
  )
  .refine((r) => r.files !== undefined || r.title !== undefined, {
    error: 'given `files`, `title`, or both: as it stands it would match every test, which is what `default` is for',
    params: COMPLETE,
  });

export const configSchema = z.strictObject({
  knex: z.custom(isObject, 'a Knex instance, a record of them, or a function or promise that gives one').optional(),
  pools: z.custom(isObject, 'a `pg.Pool`, an array of them, or a function that gives one').optional(),
  include: predicate.optional(),
  exclude: predicate.optional(),
  migrate: callable.optional(),
  seed: callable.optional(),
  reuse,
  default: mode.optional(),
  split: z.boolean({ error: () => 'true or false' }).optional(),
  rejections: z.enum(['fail', 'ignore'], { error: () => "one of 'fail', 'ignore'" }).optional(),
  leaks: z.enum(['always', 'never'], { error: () => "one of 'always', 'never'" }).optional(),
  tags: z
    .strictObject(Object.fromEntries(MODES.map((m) => [m, words.optional()])), {
      error: () => "an object of words for modes: `{ rollback: 'transaction' }`",
    })
    .optional(),
  rules: z.array(rule, { error: () => 'an array of rules' }).optional(),
  allowDatabase: callable.optional(),
});
