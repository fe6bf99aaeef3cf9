// What tells pools apart by how they make their connections. Custom parameters (`app.tenant`) are in no list of the
// server's: whoever sets one on a new connection names it.
const CUSTOM = /\b[a-z_]\w*\.[a-z_][\w.]*/gi;

/** Adds what may be the name of a custom parameter to `names`. */
export function customsIn(text: unknown, names: Set<string>): void {
  if (typeof text === 'string') for (const [name] of text.matchAll(CUSTOM)) names.add(name.toLowerCase());
}

/** What tells pools apart that make their connections differently. Two that can't be told apart are alike. */
export function likenessOf(parts: readonly unknown[]): string {
  try {
    return JSON.stringify(parts, (_key, value: unknown) => (typeof value === 'function' ? numberOf(value) : value));
  } catch {
    return `unique ${++serial}`; // settings that lead in a circle
  }
}

let serial = 0;
const numbers = new WeakMap<object, string>();

/** Functions with the same source may close over different things. */
function numberOf(fn: object): string {
  let number = numbers.get(fn);
  if (number === undefined) numbers.set(fn, (number = `function ${++serial}`));
  return number;
}
