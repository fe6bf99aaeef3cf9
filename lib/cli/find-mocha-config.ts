import fs from 'node:fs';
import path from 'node:path';

/** Where this project tells Mocha what to require. */
export interface MochaConfig {
  /** `none`: there is none, and `.mocharc.json` is the one to make. `foreign`: one that only people can edit. */
  readonly kind: 'json' | 'package.json' | 'foreign' | 'none';
  /** Relative to the package's folder. */
  readonly path: string;
  /** Of the whole file; empty where there is none. */
  readonly text: string;
  /** The part of it that is for Mocha, as text: all of it, but for a package.json. */
  readonly settings: string;
}

/** In Mocha's order of precedence (mocha 12.0.3 `lib/cli/config.cjs`; `.mjs` is new in it). */
const FILES = ['.cjs', '.js', '.mjs', '.yaml', '.yml', '.jsonc', '.json'].map((extension) => `.mocharc${extension}`);

/** Mocha looks in the working directory and above; a file above belongs to other packages as well. */
export function findMochaConfig(root: string): MochaConfig {
  for (let folder = root; ; folder = path.dirname(folder)) {
    const name = FILES.find((file) => fs.existsSync(path.join(folder, file)));
    if (name) {
      const json = folder === root && name.includes('.json');
      return read(root, path.join(folder, name), json ? 'json' : 'foreign');
    }
    const { mocha } = folder === root ? packageJson(root) : {};
    if (mocha !== undefined) {
      return { ...read(root, path.join(root, 'package.json'), 'package.json'), settings: JSON.stringify(mocha) };
    }
    if (folder === path.dirname(folder)) return { kind: 'none', path: '.mocharc.json', text: '', settings: '' };
  }
}

/** Empty where there is none that can be read. */
export function packageJson(root: string): Readonly<Record<string, unknown>> {
  try {
    const parsed: unknown = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'));
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function read(root: string, file: string, kind: MochaConfig['kind']): MochaConfig {
  const text = fs.readFileSync(file, 'utf8');
  return { kind, path: path.relative(root, file).split(path.sep).join('/'), text, settings: text };
}
