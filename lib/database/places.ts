import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { RewindError } from '../errors';
import { type Identity, ownerOf, run } from './identity';

const RUN_PREFIX = 'mocha-rewind-run-';
const TMPFS = '/dev/shm';
const ROOM_WANTED = 512 * 1024 * 1024;
// sun_path of the smallest system (macOS: 104 bytes with the final zero), less "/.s.PGSQL.5432" and our directory's name.
const LONGEST_ROOT = 103 - '/.s.PGSQL.5432'.length - 1 - RUN_PREFIX.length - 12;

const temporary = (): string[] => [...new Set([os.tmpdir(), '/tmp'])];

/** A new directory for one run: data, socket and log are in it. Nobody but the server's user can enter it. */
export function makeRunDirectory(identity: Identity, preferred = TMPFS): string {
  const root = [preferred, ...temporary()].find(
    (candidate) =>
      Buffer.byteLength(candidate) <= LONGEST_ROOT &&
      isUsable(candidate, identity) &&
      (candidate !== preferred || freeBytes(candidate) > ROOM_WANTED),
  );
  if (!root) {
    throw new RewindError('REWIND_SERVER', {
      problem: `There is no directory for the embedded server's files: none of ${[preferred, ...temporary()].join(', ')} is writable, has room, and is short enough to hold a unix socket.`,
      remedy: 'Set TMPDIR to a short path that you can write to, or DATABASE_URL to a server that is running.',
    });
  }
  const directory = path.join(root, RUN_PREFIX + randomBytes(6).toString('hex'));
  fs.mkdirSync(directory, { mode: 0o700 }); // throws if it is there: never into somebody else's directory
  giveTo(identity, directory);
  return directory;
}

/** Run directories that lie about and belong to the user our servers run as. */
export function listRunDirectories(identity: Identity): string[] {
  return [TMPFS, ...temporary()].flatMap((root) =>
    entriesOf(root)
      .filter((name) => name.startsWith(RUN_PREFIX))
      .map((name) => path.join(root, name))
      .filter((directory) => {
        const stat = fs.lstatSync(directory, { throwIfNoEntry: false });
        return stat?.isDirectory() && stat.uid === ownerOf(identity);
      }),
  );
}

/**
 * What is kept between runs: one directory per user in the temp directory, which anybody can write to. So it is used only
 * if it is a real directory of ours that nobody else can write to.
 */
export function cacheDirectory(identity: Identity): string {
  const uid = process.getuid?.() ?? 0;
  const root = temporary().find((candidate) => isUsable(candidate, identity)) ?? os.tmpdir();
  const directory = path.join(root, `mocha-rewind-cache-${uid}`);
  try {
    fs.mkdirSync(directory);
    fs.chmodSync(directory, 0o755); // whatever the umask: the server's user reads binaries from it
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const stat = fs.lstatSync(directory);
  if (!stat.isDirectory() || stat.uid !== uid || (stat.mode & 0o022) !== 0) {
    throw new RewindError('REWIND_SERVER', {
      problem: `${directory} is not a directory that only this user can write to: somebody may have put it there to be run by us.`,
      remedy: 'Have it removed, or set TMPDIR to a directory of your own.',
    });
  }
  return directory;
}

export function giveTo(identity: Identity, file: string): void {
  if (identity.uid !== undefined) fs.chownSync(file, identity.uid, identity.gid ?? identity.uid);
}

/** Whether the server's user can make files in a directory. `TMPDIR` may be closed to it (pam_tmpdir: /tmp/user/0, 0700). */
function isUsable(directory: string, identity: Identity): boolean {
  if (identity.uid !== undefined) {
    return run('/bin/sh', ['-c', 'test -w "$1" && test -x "$1"', 'sh', directory], { identity }).status === 0;
  }
  try {
    fs.accessSync(directory, fs.constants.W_OK | fs.constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function entriesOf(directory: string): string[] {
  try {
    return fs.readdirSync(directory);
  } catch {
    return [];
  }
}

function freeBytes(directory: string): number {
  const { bavail, bsize } = fs.statfsSync(directory);
  return bavail * bsize;
}
