// Says whether a value is a config, and if not, where it isn't.
import * as v from 'valibot';
import { nearest } from '../edit-distance';
import { MODES, type Mode } from '../modes';
import type { RewindConfig } from './index';
import { configMistake, describeValue } from './mistake';
import { configSchema } from './schema';
import { rememberPlace } from './place';

const KEYS = Object.keys(configSchema.entries);
const RULE_KEYS = ['files', 'title', 'mode'];

/** @param where - what messages call the config: the file's name, or `rewind()`. */
export function validate(given: unknown, where: string): RewindConfig {
  const value = given ?? {};
  if (typeof value !== 'object' || Array.isArray(value) || value instanceof Promise) {
    throw configMistake({
      problem: `${where} has to give an object with settings, not ${describeValue(value)}.`,
      remedy: 'Give the settings themselves: `defineConfig({ … })`. (`knex` alone may be a function or a promise.)',
    });
  }
  const knex = (value as RewindConfig).knex;
  // It is awaited later; until then its rejection must not count as unhandled, which would end the process.
  if (knex instanceof Promise) knex.catch(() => {});

  const result = v.safeParse(configSchema, value, { abortEarly: true });
  if (!result.success) throw mistakeOf(result.issues[0], value, where);
  const config = withoutUndefined(result.output) as RewindConfig;
  assertTagsAgree(config, where);
  rememberPlace(config, where);
  return config;
}

function mistakeOf(issue: v.BaseIssue<unknown>, value: unknown, where: string): Error {
  const path = (issue.path ?? []).map(({ key }) => key as PropertyKey);
  if (issue.type === 'strict_object' && issue.expected === 'never') return unknownKey(path, where);
  const { keys, got } = placeIn(value, path);
  const key = pathText(keys);
  const found = issue.type === 'check' ? '' : `, not ${describeValue(got)}`;
  return configMistake({
    problem: `${where}: \`${key}\` has to be ${issue.message}${found}.`,
    remedy: `Mend \`${key}\`, or leave it out.`,
  });
}

/** The value at a path, which ends where a single word was given for an array of one. */
function placeIn(value: unknown, path: readonly PropertyKey[]): { keys: readonly PropertyKey[]; got: unknown } {
  let got = value;
  for (const [i, key] of path.entries()) {
    if (typeof got !== 'object' || got === null) return { keys: path.slice(0, i), got };
    got = (got as Record<PropertyKey, unknown>)[key];
  }
  return { keys: path, got };
}

function unknownKey(path: readonly PropertyKey[], where: string): Error {
  const known: readonly string[] = path.length === 1 ? KEYS : path[0] === 'tags' ? MODES : RULE_KEYS;
  const meant = nearest(String(path.at(-1)), known);
  return configMistake({
    problem: `${where}: there is no setting \`${pathText(path)}\`${meant ? `; \`${meant}\` was probably meant` : ''}.`,
    remedy: `Known here: ${known.join(', ')}.`,
  });
}

/** `rules[0].mode`. */
function pathText(keys: readonly PropertyKey[]): string {
  return keys.map((k, i) => (typeof k === 'number' ? `[${k}]` : `${i === 0 ? '' : '.'}${String(k)}`)).join('');
}

/** A word may stand for one mode only; the mode's own name always stands for itself. */
function assertTagsAgree(config: RewindConfig, where: string): void {
  const meaning = new Map<string, Mode>(MODES.map((mode) => [mode, mode]));
  for (const mode of MODES) {
    for (const word of [config.tags?.[mode] ?? []].flat()) {
      const other = meaning.get(word) ?? mode;
      if (other !== mode) {
        throw configMistake({
          problem: `${where}: \`tags\` lets @${word} mean both ${other} and ${mode}.`,
          remedy:
            word === other
              ? `@${word} always means ${other}; use another word for ${mode}.`
              : `Leave it out of \`tags.${other}\` or of \`tags.${mode}\`.`,
        });
      }
      meaning.set(word, mode);
    }
  }
}

/** JavaScript users write `knex: maybe`; for everybody after us a setting is there or it is not. */
function withoutUndefined(settings: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
}
