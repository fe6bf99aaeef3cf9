import { editDistance } from '../edit-distance';

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
