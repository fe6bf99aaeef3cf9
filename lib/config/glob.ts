import path from 'node:path';
import picomatch from 'picomatch';

const GLOB_OPTIONS: picomatch.PicomatchOptions = { dot: true };

/** Throws where it is not, e.g. for a bracket that is never closed. */
export function assertWellFormed(glob: string): void {
  picomatch(glob, { ...GLOB_OPTIONS, strictBrackets: true });
}

/** The folder, or the file, that has to be there for `glob` to match anything. */
export function baseOf(glob: string): string {
  return picomatch.scan(glob).base;
}

/**
 * Whether a spec file belongs to `glob`, which is relative to `root`. A glob without wildcards that names a folder means
 * all that is in it. The file may be absolute, or relative to the working directory.
 */
export function fileMatcher(glob: string, root: string): (file: string) => boolean {
  const pattern = glob.replace(/^\.\//, '').replace(/\/$/, '');
  const { isGlob, negated } = picomatch.scan(pattern);
  const matches =
    isGlob || negated
      ? picomatch(pattern, GLOB_OPTIONS)
      : (file: string): boolean => file === pattern || file.startsWith(`${pattern}/`);
  return (file) => matches(path.relative(root, path.resolve(file)).split(path.sep).join('/'));
}
