// The database handles of a config, whichever way they were given.
import type { Knex } from 'knex';
import type { Pool } from 'pg';
import type { RewindConfig } from './index';
import { foreignKind, isKnex, isPool, wellKnown } from './knex-seam';
import { configMistake, describeValue } from './mistake';
import { placeOf } from './place';
import { framesOf, ownMessage } from './user-frames';

/** The instances by name, in the order given; a single one is called `default`. Undefined: `knex` is not set. */
export async function resolveInstances(config: RewindConfig): Promise<Readonly<Record<string, Knex>> | undefined> {
  if (config.knex === undefined) return undefined;
  const given = await evaluate(config.knex, isKnex, 'knex', config);
  if (isKnex(given)) return { default: assertKnex(given, 'knex', config) };
  const named = isPlainRecord(given) && !wellKnown(given) ? Object.entries(given) : [];
  if (named.length === 0) throw notA(given, 'knex', 'a Knex instance, or a record of named ones', config);
  return Object.fromEntries(named.map(([name, value]) => [name, assertKnex(value, `knex.${name}`, config)]));
}

export async function resolvePools(config: RewindConfig): Promise<readonly Pool[]> {
  if (config.pools === undefined || config.pools === 'all') return [];
  const given = await evaluate(config.pools, isPool, 'pools', config);
  const expected = 'a `pg.Pool`, or an array of them';
  if (!Array.isArray(given)) {
    if (!isPool(given)) throw notA(given, 'pools', expected, config);
    return [given];
  }
  return given.map((value: unknown, i) => {
    if (!isPool(value)) throw notA(value, `pools[${i}]`, 'a `pg.Pool`', config);
    return value;
  });
}

/** Calls a function that isn't the handle itself (Knex instances are functions), and awaits a promise. */
async function evaluate(
  given: unknown,
  isHandle: (value: unknown) => boolean,
  key: string,
  config: RewindConfig,
): Promise<unknown> {
  if (isHandle(given) || wellKnown(given) || isClass(given)) return given;
  try {
    return await (typeof given === 'function' ? (given as () => unknown)() : given);
  } catch (thrown) {
    const what = typeof given === 'function' ? `the function \`${key}\` threw` : `the promise \`${key}\` was rejected`;
    throw configMistake({
      problem: [`${placeOf(config)}: ${what}: ${ownMessage(thrown)}`, ...framesOf(thrown)].join('\n'),
      remedy: 'No test was run.',
      cause: thrown,
    });
  }
}

function assertKnex(value: unknown, key: string, config: RewindConfig): Knex {
  if (!isKnex(value)) throw notA(value, key, 'a Knex instance', config);
  const foreign = foreignKind(value);
  if (!foreign) return value;
  throw configMistake({
    problem: `${placeOf(config)}: \`${key}\` is ${foreign}.`,
    remedy: 'Only PostgreSQL through the driver "pg" can be isolated; give such an instance, or leave this one out.',
  });
}

function notA(value: unknown, key: string, expected: string, config: RewindConfig): Error {
  const known = wellKnown(value);
  const empty = isPlainRecord(value) && Object.keys(value).length === 0;
  return configMistake({
    problem: `${placeOf(config)}: \`${key}\` has to be ${expected}, not ${known ?? (empty ? 'an empty object' : describeValue(value))}.`,
    remedy: empty
      ? 'Modules that require each other in a circle see each other empty: give a function, `knex: () => require(…)`.'
      : 'Give what your app itself queries with.',
  });
}

/** An object literal, or the namespace of an ES module. */
function isPlainRecord(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function isClass(value: unknown): boolean {
  return typeof value === 'function' && /^class\b/.test(String(value));
}
