import fs from 'node:fs';
import path from 'node:path';

export interface SourceFile {
  /** Relative to the package's folder, with `/`. */
  readonly path: string;
  readonly text: string;
}

const NOT_SOURCE = new Set(['node_modules', 'dist', 'build', 'out', 'coverage', 'reports', 'public', 'vendor']);
const MOST_FILES = 5_000;
const LARGEST = 256 * 1024;
const DEEPEST = 8;

/** The JavaScript and TypeScript of a package: breadth first, so that what is cut off in a huge one is deep inside. */
export function sourceFiles(root: string): SourceFile[] {
  const found: SourceFile[] = [];
  let folders = [''];
  for (let depth = 0; depth <= DEEPEST && folders.length > 0; depth++) {
    const deeper: string[] = [];
    for (const folder of folders) {
      for (const entry of entriesOf(path.join(root, folder))) {
        const relative = folder === '' ? entry.name : `${folder}/${entry.name}`;
        if (entry.isDirectory()) {
          if (!entry.name.startsWith('.') && !NOT_SOURCE.has(entry.name)) deeper.push(relative);
        } else if (entry.isFile() && isSource(entry.name)) {
          const file = path.join(root, relative);
          if (fs.statSync(file).size <= LARGEST) found.push({ path: relative, text: fs.readFileSync(file, 'utf8') });
          if (found.length >= MOST_FILES) return found;
        }
      }
    }
    folders = deeper;
  }
  return found;
}

export function isTypeScript(file: string): boolean {
  return /\.[cm]?ts$/.test(file);
}

function isSource(name: string): boolean {
  return /\.[cm]?[jt]s$/.test(name) && !/\.d\.[cm]?ts$/.test(name) && !name.startsWith('.');
}

function entriesOf(folder: string): fs.Dirent[] {
  try {
    return fs.readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch {
    return []; // a folder we may not read is not where the app's Knex instance is
  }
}

/**
 * The text with comments and the insides of strings replaced by spaces, so that places stay where they are. Not a
 * parser: a quote inside a regular expression misleads it until the end of that line.
 */
export function withoutCommentsAndStrings(text: string): string {
  return blank(text, (token) =>
    token.startsWith('/') ? blanks(token) : token[0] + blanks(token.slice(1, -1)) + token.at(-1),
  );
}

export function withoutComments(text: string): string {
  return blank(text, (token) => (token.startsWith('/') ? blanks(token) : token));
}

const TOKEN = /\/\/[^\n]*|\/\*[^]*?\*\/|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\[^]|[^`\\])*`/g;

function blank(text: string, replace: (token: string) => string): string {
  return text.replaceAll(TOKEN, replace);
}

function blanks(token: string): string {
  return token.replaceAll(/[^\n]/g, ' ');
}
