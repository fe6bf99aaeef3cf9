// Where the config file is.
import fs from 'node:fs';
import path from 'node:path';
import { lilconfig } from 'lilconfig';
import { configMistake } from './mistake';

export const EXTENSIONS = ['.ts', '.cts', '.mts', '.js', '.cjs', '.mjs', '.json'] as const;
export const FILE_NAMES = EXTENSIONS.map((extension) => `rewind.config${extension}`);

export interface Found {
  /** Absolute. */
  readonly file: string;
  readonly exported: unknown;
}

export interface Place {
  readonly cwd: string;
  /** The package's folder. */
  readonly root: string;
  /** `REWIND_CONFIG`. */
  readonly named: string | undefined;
}

export type Load = (file: string, content: string) => Promise<unknown>;

/** The folder of the nearest package.json at or above `cwd`; `cwd` itself where there is none. */
export function packageRoot(cwd: string): string {
  for (let folder = cwd; ; folder = path.dirname(folder)) {
    if (fs.existsSync(path.join(folder, 'package.json'))) return folder;
    if (folder === path.dirname(folder)) return cwd;
  }
}

export async function findConfig({ cwd, root, named }: Place, load: Load): Promise<Found | undefined> {
  const explorer = lilconfig('rewind', {
    searchPlaces: FILE_NAMES,
    stopDir: root,
    cache: false,
    loaders: Object.fromEntries(EXTENSIONS.map((extension) => [extension, load])),
  });
  if (named) {
    const file = path.resolve(cwd, named);
    assertLoadable(file, named);
    return { file, exported: (await explorer.load(file))?.config };
  }
  assertOnlyOne(root);
  const result = await explorer.search(root);
  return result ? { file: result.filepath, exported: result.config } : undefined;
}

function assertLoadable(file: string, named: string): void {
  if (!fs.statSync(file, { throwIfNoEntry: false })?.isFile()) {
    throw configMistake({
      problem: `REWIND_CONFIG names ${named}, and there is no such file (looked at ${file}).`,
      remedy: 'Mend the path (it is relative to the working directory), or unset REWIND_CONFIG.',
    });
  }
  if (!EXTENSIONS.some((extension) => extension === path.extname(file))) {
    throw configMistake({
      problem: `REWIND_CONFIG names ${named}, which is no kind of file a config can be.`,
      remedy: `Use one that ends with ${EXTENSIONS.join(', ')}.`,
    });
  }
}

function assertOnlyOne(root: string): void {
  const present = FILE_NAMES.filter((name) => fs.existsSync(path.join(root, name)));
  if (present.length < 2) return;
  throw configMistake({
    problem: `There is more than one config file in ${root}: ${present.join(' and ')}.`,
    remedy: 'Keep one of them, or say which one counts: REWIND_CONFIG=path.',
  });
}
