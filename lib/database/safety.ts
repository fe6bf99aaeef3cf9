import { inspect } from 'node:util';
import { RewindError, messageOf } from '../errors';
import type { DatabaseInfo } from './index';

/** The user's own word on a database that doesn't look like one for tests. */
export type AllowDatabase = (info: DatabaseInfo) => boolean | Promise<boolean>;

/** One reason to believe that a database may be written to, rolled back and restored. Any one is enough. */
type Check = (info: DatabaseInfo) => boolean | Promise<boolean>;

const TEST_WORDS = new Set(['test', 'tests', 'testing']);

/**
 * `shop_test`, `test-2`, `ShopTests`; not `contest`, `latest` or `la2test`: a word ends where letters end, and where a small letter
 * is followed by a capital one. It begins there too, but not after a digit, unless with a capital (`Shop2Test`). Letters
 * without case count as small, and so do accents that follow their letter.
 */
const WORDS =
  /\p{Lu}[\p{Ll}\p{Lo}\p{Lm}\p{M}]+|(?<![\p{L}\p{M}\p{N}])[\p{Ll}\p{Lo}\p{Lm}\p{M}]+|(?<![\p{Lu}\p{N}])\p{Lu}+(?![\p{Ll}\p{Lo}\p{Lm}\p{M}])/gu;

const namedForTests: Check = ({ name }) => (name.match(WORDS) ?? []).some((word) => TEST_WORDS.has(word.toLowerCase()));

const onEmbeddedServer: Check = ({ embedded }) => embedded;

function allowedByUser(allow: AllowDatabase | undefined): Check {
  return async (info) => {
    if (!allow) return false;
    const mistake = (did: string, cause?: unknown): RewindError =>
      new RewindError('REWIND_CONFIG', {
        problem: `allowDatabase ${did}`,
        remedy: 'Return true for a database that tests may write to, false for any other.',
        cause,
      });
    let answer: unknown;
    try {
      answer = await allow(info);
    } catch (cause) {
      throw mistake(`threw for database "${info.name}": ${messageOf(cause)}`, cause);
    }
    if (typeof answer !== 'boolean')
      throw mistake(`said neither true nor false of database "${info.name}": ${inspect(answer, { depth: 0 })}`);
    return answer;
  };
}

/**
 * Throws `REWIND_UNSAFE_DATABASE` unless the database looks like one for tests, or `allow` says yes. Judged on what the
 * live connection said, because environment variables and config files are what's wrong when it goes wrong.
 */
export async function assertTestDatabase(info: DatabaseInfo, allow?: AllowDatabase): Promise<void> {
  for (const passes of [namedForTests, onEmbeddedServer, allowedByUser(allow)]) {
    if (await passes(info)) return;
  }
  throw refusal(info);
}

function refusal(info: DatabaseInfo): RewindError {
  const quoted = JSON.stringify(info.name);
  return new RewindError('REWIND_UNSAFE_DATABASE', {
    problem:
      `Database ${quoted} does not look like a test database, and nothing was written to it. Seen on the live connection: ` +
      `database ${quoted}, ${placeOf(info)}, role "${info.user}"${info.superuser ? ' (superuser)' : ''}, ` +
      `${sizeOf(info.sizeBytes)}, ${info.tables} table${info.tables === 1 ? '' : 's'}.`,
    remedy:
      `Point the tests at a database with "test" as a word in its name (such as "${info.name}_test"), or, if tests may ` +
      `write to this one, say so in the config: allowDatabase: (info) => info.name === ${quoted}`,
  });
}

function placeOf({ address, port }: DatabaseInfo): string {
  return address === undefined ? 'on a unix socket' : `at ${address.includes(':') ? `[${address}]` : address}:${port}`;
}

function sizeOf(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  while (value >= 1000 && units.length > 1) [value] = [value / 1000, units.shift()];
  return `${value >= 100 || Number.isInteger(value) ? Math.round(value) : value.toFixed(1)} ${units[0]}`;
}
