/**
 * The tag that a word was probably meant to be. Careful with short words and first letters: `@node` is no `@nodb`,
 * `@fallback` no `@rollback`.
 */
export function suggestionFor(word: string, tags: readonly string[]): string | undefined {
  const plain = normalize(word);
  return tags.find((tag) => {
    const wanted = normalize(tag);
    const distance = editDistance(plain, wanted);
    if (distance === 0) return true;
    if (wanted.length < 5) return distance === 1 && plain.length >= wanted.length && isNoSubstitution(plain, wanted);
    return distance === 1 || (distance === 2 && wanted.length >= 8 && plain[0] === wanted[0]);
  });
}

function normalize(word: string): string {
  return word.toLowerCase().replace(/[-_.:]/g, '');
}

/** One letter too many, or two swapped. */
function isNoSubstitution(a: string, b: string): boolean {
  return a.length !== b.length || [...a].sort().join('') === [...b].sort().join('');
}

/** Insertions, deletions, substitutions, and swaps of neighbours (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let best = Math.min(at(row, j - 1) + 1, at(last, j) + 1, at(last, j - 1) + (same ? 0 : 1));
      if (a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, at(beforeLast, j - 2) + 1);
      row.push(best);
    }
    beforeLast = last;
    last = row;
  }
  return at(last, b.length);
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Infinity;
}
