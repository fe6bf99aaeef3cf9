import { isDeepStrictEqual } from 'node:util';
import type { MochaConfig } from './find-mocha-config';

/**
 * The text of a JSON config with `modules` required after all that is required already; undefined where the text can't be
 * edited without changing anything else in it. Comments and layout stay.
 */
export function withRequired(config: MochaConfig, modules: readonly string[]): string | undefined {
  if (config.kind === 'none') return `{\n  "require": [${modules.map((name) => JSON.stringify(name)).join(', ')}]\n}\n`;
  const before = parse(config.text);
  const section = config.kind === 'package.json' ? before?.['mocha'] : before;
  if (!before || !isRecord(section)) return undefined;
  const required = [section['require'] ?? []].flat();
  const mended = { ...section, require: [...required, ...modules] };
  const wanted = config.kind === 'package.json' ? { ...before, mocha: mended } : mended;
  // Which of several `"require"`s is Mocha's, and where its object begins, is told by trying: the result is what counts.
  return candidates(config, modules).find((text) => isDeepStrictEqual(parse(text), wanted));
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
