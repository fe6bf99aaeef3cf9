import { randomInt } from 'node:crypto';

/**
 * Names for test data that nobody else uses, so that tests need no empty table: `unique('alice')` is
 * `alice-7cce0183`, and the next call is another. Eight hexadecimal digits are added, so leave nine characters of room.
 *
 * How unique? Within a process no suffix comes twice (before 2³² calls). Between processes (parallel workers, runs
 * whose rows were kept) suffixes can meet. Each process walks one and the same shuffled circle of the 2³² suffixes from a
 * random place on, so two of them meet only if the stretches they walk overlap. For `k` processes with `n` calls each:
 *
 *     P(any suffix twice) ≈ k² · n / 2³²       8 workers, 10 000 calls each: 1 in 7 700
 *                                              1 000 runs on a database nobody clears, 100 calls each: 1 in 43
 *
 * With suffixes drawn one by one (a random UUID's first 8 digits, say) it would be the birthday bound,
 * `1 - exp(-(k·n)² / 2³³)`: 50 % at 77 000 calls in all, 52 % for those 8 workers. A suffix that comes twice hurts only
 * where it meets the same name. These are no secrets: whoever has seen one can guess the next.
 */
export function unique(name: string): string {
  return `${name}-${nextSuffix()}`;
}

/**
 * `unique.email('alice')` is `alice-7cce0183@example.com` (a domain that RFC 2606 keeps free of mailboxes). Characters
 * that need quoting in an address become `-`, and long names are cut, so that it is always a valid one.
 */
unique.email = (name: string, domain = 'example.com'): string => {
  const local = name.replaceAll(/[^\w.+-]+/g, '-').replaceAll(/\.{2,}|^\.+/g, '-');
  return `${unique(local.slice(0, LOCAL_PART_LIMIT - SUFFIX_LENGTH))}@${domain}`;
};

/** RFC 5321, 4.5.3.1.1. */
const LOCAL_PART_LIMIT = 64;
const SUFFIX_LENGTH = '-7cce0183'.length;

/** Shared by all copies of this package in the process: each with a walk of its own would be another process. */
const walk: { at: number } = ((globalThis as Record<symbol, unknown>)[Symbol.for('mocha-rewind.unique')] ??= {
  at: randomInt(2 ** 32),
}) as { at: number };

function nextSuffix(): string {
  walk.at = (walk.at + 1) >>> 0;
  return shuffle(walk.at).toString(16).padStart(8, '0');
}

/**
 * MurmurHash3's 32-bit finaliser: neighbours land far apart, and every step of it can be undone, so no two numbers
 * share a result.
 *
 * @internal
 */
export function shuffle(n: number): number {
  let h = n >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
