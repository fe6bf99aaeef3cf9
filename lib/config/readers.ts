// How the value of a setting is read: checked, and brought into its one form.
import { nearest } from '../edit-distance';
import type { RewindError } from '../errors';
import { configMistake, describeValue } from './mistake';

/** Where a value stands. */
export interface Spot {
  /** What messages call the config. */
  readonly where: string;
  /** `rules[0].mode`; empty for the config itself. */
  readonly key: string;
}

/** Gives the value in its one form, or throws. */
export type Reader = (value: unknown, spot: Spot) => unknown;

/** `expected` is to be read after "has to be". */
export function unfit({ where, key }: Spot, expected: string): RewindError {
  return configMistake({
    problem: `${where}: \`${key}\` has to be ${expected}.`,
    remedy: `Mend \`${key}\`, or leave it out.`,
  });
}

/** A value that is taken as it is. */
export function suiting(fits: (value: unknown) => boolean, expected: string): Reader {
  return (value, spot) => {
    if (fits(value)) return value;
    throw unfit(spot, `${expected}, not ${describeValue(value)}`);
  };
}

export function oneOf(words: readonly string[]): Reader {
  return suiting((value) => words.some((word) => word === value), `one of ${words.map((w) => `'${w}'`).join(', ')}`);
}

export function optional(read: Reader): Reader {
  return (value, spot) => (value === undefined ? undefined : read(value, spot));
}

export function arrayOf(read: Reader, expected: string): Reader {
  const array = suiting(Array.isArray, expected);
  return (value, spot) =>
    (array(value, spot) as unknown[]).map((item, i) => read(item, { ...spot, key: `${spot.key}[${i}]` }));
}

/** A single word is as good as an array of one. */
export function oneOrMore(read: Reader, expected: string): Reader {
  const array = arrayOf(read, expected);
  return (value, spot) => (typeof value === 'string' ? [read(value, spot)] : array(value, spot));
}

/** An object with these keys and no others. What is `undefined` is left out: JavaScript users write `knex: maybe`. */
export function object(readers: Readonly<Record<string, Reader>>, expected: string): Reader {
  const known = Object.keys(readers);
  const given = suiting((v) => typeof v === 'object' && v !== null && !Array.isArray(v), expected);
  return (value, { where, key }) => {
    const settings = given(value, { where, key }) as Record<string, unknown>;
    const inside = (name: string): string => (key === '' ? name : `${key}.${name}`);
    const stranger = Object.keys(settings).find((name) => !known.includes(name));
    if (stranger !== undefined) throw unknownKey(where, inside(stranger), nearest(stranger, known), known);
    const read = Object.entries(readers).map(([name, reader]) => [
      name,
      reader(settings[name], { where, key: inside(name) }),
    ]);
    return Object.fromEntries(read.filter(([, setting]) => setting !== undefined)) as Record<string, unknown>;
  };
}

function unknownKey(where: string, key: string, meant: string | undefined, known: readonly string[]): RewindError {
  return configMistake({
    problem: `${where}: there is no setting \`${key}\`${meant ? `; \`${meant}\` was probably meant` : ''}.`,
    remedy: `Known here: ${known.join(', ')}.`,
  });
}
