import { isDeepStrictEqual } from 'node:util';
import type { MochaConfig } from './find-mocha-config';

/** What has to be there before a file of the project is loaded: such files read DATABASE_URL while they load. */
const BEFORE_FILES = 'mocha-rewind/embedded';

/**
 * The text of a JSON config with `modules` required after all that is required already (a server before the project's own
 * files); undefined where the text can't be edited without changing anything else in it. Comments and layout stay.
 */
export function withRequired(config: MochaConfig, modules: readonly string[]): string | undefined {
  if (config.kind === 'none') return `{\n  "require": [${modules.map((name) => JSON.stringify(name)).join(', ')}]\n}\n`;
  const required = requiredIn(config, config.text);
  const file = required?.find((name) => typeof name === 'string' && /^[./]/.test(name)) as string | undefined;
  if (!required || file === undefined || !modules.includes(BEFORE_FILES)) return appended(config, modules);
  const at = required.indexOf(file);
  const wanted = wantedWith(config, [...required.slice(0, at), BEFORE_FILES, ...required.slice(at)]);
  const text = inFrontOf(file, config.text).find((candidate) => isDeepStrictEqual(parse(candidate), wanted));
  const others = modules.filter((name) => name !== BEFORE_FILES);
  return text === undefined || others.length === 0 ? text : appended({ ...config, text }, others);
}

function appended(config: MochaConfig, modules: readonly string[]): string | undefined {
  const required = requiredIn(config, config.text);
  if (!required) return undefined;
  const wanted = wantedWith(config, [...required, ...modules]);
  // Which of several `"require"`s is Mocha's, and where its object begins, is told by trying: the result is what counts.
  return candidates(config, modules).find((text) => isDeepStrictEqual(parse(text), wanted));
}

/** Each place of a file's name, as an item of a list and as a word alone. */
function inFrontOf(file: string, text: string): string[] {
  const literal = JSON.stringify(file);
  const pieces = text.split(literal);
  return pieces.slice(1).flatMap((_, i) => {
    const index = pieces.slice(0, i + 1).join(literal).length;
    const [head, rest] = [text.slice(0, index), text.slice(index + literal.length)];
    const space = /\n\s*$/.exec(head)?.[0] ?? ' ';
    return [`${head}"${BEFORE_FILES}",${space}${literal}${rest}`, `${head}["${BEFORE_FILES}", ${literal}]${rest}`];
  });
}

function requiredIn({ kind }: MochaConfig, text: string): unknown[] | undefined {
  const whole = parse(text);
  const section = kind === 'package.json' ? whole?.['mocha'] : whole;
  return isRecord(section) ? [section['require'] ?? []].flat() : undefined;
}

/** The config as it should read. */
function wantedWith({ kind, text }: MochaConfig, required: readonly unknown[]): unknown {
  const whole = parse(text) ?? {};
  if (kind !== 'package.json') return { ...whole, require: required };
  return { ...whole, mocha: { ...(whole['mocha'] as object), require: required } };
}

/** Whether the config requires a module already. Also good for configs that are no JSON. */
export function requires({ settings }: MochaConfig, name: string): boolean {
  return new RegExp(String.raw`(?<![\w./-])${name.replaceAll('.', String.raw`\.`)}(?![\w./-])`).test(settings);
}

function candidates({ kind, text }: MochaConfig, modules: readonly string[]): string[] {
  const added = modules.map((name) => JSON.stringify(name)).join(', ');
  const replaceAt = (match: RegExpExecArray, replacement: string): string =>
    text.slice(0, match.index) + replacement + text.slice(match.index + match[0].length);
  const lists = [...text.matchAll(/("require"\s*:\s*\[)([^\]]*?)(\s*,?\s*)\]/g)].map((match) => {
    const [, head = '', items = '', tail = ''] = match;
    const lineBreak = /^\s*\n(\s*)/.exec(items);
    const space = lineBreak ? `,\n${lineBreak[1]}` : ', ';
    const separated = modules.map((name) => JSON.stringify(name)).join(space);
    const rest = tail.replace(',', '');
    return replaceAt(match, `${head}${items}${items.trim() === '' ? separated : space + separated}${rest}]`);
  });
  const single = [...text.matchAll(/("require"\s*:\s*)("(?:\\.|[^"\\])*")/g)].map((match) =>
    replaceAt(match, `${match[1]}[${match[2]}, ${added}]`),
  );
  const missing = [
    ...text.matchAll(kind === 'package.json' ? /("mocha"\s*:\s*\{)([ \t]*\r?\n[ \t]*)?/g : /(\{)([ \t]*\r?\n[ \t]*)?/g),
  ].map((match) => {
    const after = text.slice(match.index + match[0].length);
    const empty = /^\s*\}/.test(after);
    return replaceAt(
      match,
      `${match[1]}${match[2] ?? ' '}"require": [${added}]${empty ? (match[2] ? '\n' : ' ') : `,${match[2] ?? ' '}`}`,
    );
  });
  return [...lists, ...single, ...missing];
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(withoutJsonComments(text.replace(/^\uFEFF/, '')));
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Mocha takes comments in both `.jsonc` and `.json` (`lib/cli/config.cjs`, parsers.json), but no trailing commas. */
function withoutJsonComments(text: string): string {
  return text.replaceAll(/"(?:\\.|[^"\\])*"|\/\/[^\n]*|\/\*[^]*?\*\//g, (token) =>
    token.startsWith('/') ? '' : token,
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
