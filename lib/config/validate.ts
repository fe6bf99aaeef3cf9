// Says whether a value is a config, and if not, where it isn't.
import { MODES, type Mode } from '../modes';
import type { RewindConfig } from './index';
import { configMistake, describeValue } from './mistake';
import { rememberPlace } from './place';
import { settings } from './schema';

/**
 * The config with tags as arrays of bare words and without keys that are `undefined`; throws where it isn't one.
 * `where` is what messages call it.
 */
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

  const config = settings(value, { where, key: '' }) as RewindConfig;
  assertTagsAgree(config, where);
  rememberPlace(config, where);
  return config;
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
