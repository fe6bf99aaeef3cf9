/** A seed for this run: REWIND_TEST_SEED, or a new one. Tests print it in their failures. */
export const seed = Number(process.env.REWIND_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));

/** mulberry32: numbers in [0, 1) that depend on the seed alone. */
export function randomFrom(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
