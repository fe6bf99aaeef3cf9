// Names in the text of a statement, quoted or not.

/** Whether a text has one of these names in it, as a word of its own. */
export function mentioning(names: readonly string[]): (text: string) => boolean {
  if (names.length === 0) return () => false;
  const any = names.map((name) => name.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')).join('|');
  const pattern = new RegExp(`(?<![\\p{L}\\p{N}_$])(?:${any})(?![\\p{L}\\p{N}_$])`, 'iu');
  return (text) => pattern.test(text);
}
