// Titles in the text of spec files. Not a parser: what it can't be sure of, it leaves to people.
import type { Mode } from '../../modes';

/** What a title's tag is to become. */
export interface TagChange {
  /** The word to take out, without `@`. */
  readonly remove?: string;
  /** The mode to tag it with. */
  readonly add?: Mode;
}

/** A string literal that is the first argument of `it`, `describe` and the like: `truncate.it.only('…'`. */
const CALL =
  /\b(?:it|specify|test|describe|context|suite)(?:\s*\.\s*(?:only|skip))?\s*\(\s*('(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\[^]|[^`\\])*`)/g;

/** The text with that one title changed; in words why not, where it can't be done. */
export function changeTitle(text: string, title: string, change: TagChange): { readonly text: string } | string {
  const places = [...text.matchAll(CALL)].filter((match) => meaning(match[1] ?? '') === title);
  const [place] = places;
  if (!place) return 'its title is not in the file as it is shown';
  if (places.length > 1) return `its title is in the file ${places.length} times`;
  const literal = place[1] ?? '';
  const quote = literal[0] ?? '';
  const changed = quote + retitled(literal.slice(1, -1), change) + quote;
  if (changed === literal || changed.length === 2) return 'its tag can’t be taken out of its title';
  const end = place.index + place[0].length;
  return { text: text.slice(0, end - literal.length) + changed + text.slice(end) };
}

function retitled(raw: string, { remove, add }: TagChange): string {
  const tag = add === undefined ? '' : `@${add}`;
  if (remove === undefined) return `${raw} ${tag}`;
  const word = new RegExp(String.raw`(\s*)@${escaped(remove)}(?![\p{L}\p{N}_:.-])`, 'u');
  return raw.replace(word, (_, space: string) => (tag ? space + tag : '')).trim();
}

function escaped(word: string): string {
  return word.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', b: '\b', f: '\f', v: '\v', '0': '\0' };

/** What a literal says; undefined for a template that is filled in. */
function meaning(literal: string): string | undefined {
  const raw = literal.slice(1, -1);
  if (literal.startsWith('`') && /(?<!\\)\$\{/.test(raw)) return undefined;
  return raw.replaceAll(
    /\\(?:u\{([\da-fA-F]+)\}|u([\da-fA-F]{4})|x([\da-fA-F]{2})|([^]))/g,
    (_, ...parts: string[]) => {
      const [braced, four, two, character = ''] = parts;
      const code = braced ?? four ?? two;
      return code === undefined ? (ESCAPES[character] ?? character) : String.fromCodePoint(Number.parseInt(code, 16));
    },
  );
}
