import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { openingOwn } from '../own-sockets';
import { type Identity, run, serverEnvironment } from './identity';
import { listRunDirectories } from './places';

const UNCLAIMED_LIMIT_MS = 10 * 60 * 1000;

/** In a run's directory: its server is to outlive the run, for somebody to look at. For a day, at most. */
export const KEPT = 'kept';
const KEPT_LIMIT_MS = 24 * 60 * 60 * 1000;

/**
 * Marks a run's directory as in use for as long as this process lives, by listening on a socket in it: the kernel stops
 * answering when the process dies, and unlike a process id it can't be mistaken for another process's, nor is it
 * invisible from another container that shares the temp directory.
 */
export function claim(directory: string): { release(): void } {
  const server = net.createServer((socket) => socket.destroy());
  server.on('error', () => {});
  server.listen(ownerSocket(directory)); // binds before it returns (net.js: a path needs no lookup)
  server.unref();
  return { release: () => void server.close() };
}

function ownerSocket(directory: string): string {
  return path.join(directory, 'owner');
}

/**
 * Removes what runs left behind whose process and keeper were both killed. Goes on in the background: nobody waits for
 * it. Returns the directories it found stale.
 */
export async function sweepRunDirectories(identity: Identity): Promise<string[]> {
  const directories = listRunDirectories(identity);
  const stale = await Promise.all(
    directories.map(async (directory) => ((await isStale(directory)) ? [directory] : [])),
  );
  for (const directory of stale.flat()) sweepInBackground(directory, identity);
  return stale.flat();
}

async function isStale(directory: string): Promise<boolean> {
  const isKept = fs.existsSync(path.join(directory, KEPT)) && !isOlder(path.join(directory, KEPT), KEPT_LIMIT_MS);
  if (isKept && (await failureToConnect(path.join(directory, '.s.PGSQL.5432'))) === undefined) return false;
  const failure = await failureToConnect(ownerSocket(directory));
  // Without a socket it may be a run that is just starting.
  return failure === 'ECONNREFUSED' || (failure === 'ENOENT' && isOlder(directory, UNCLAIMED_LIMIT_MS));
}

/** Undefined where somebody listens. */
function failureToConnect(file: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = openingOwn(() => net.connect(file));
    socket.unref();
    socket.on('connect', () => {
      socket.destroy();
      resolve(undefined);
    });
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'unknown'));
  });
}

function isOlder(file: string, limitMs: number): boolean {
  const stat = fs.lstatSync(file, { throwIfNoEntry: false });
  return stat !== undefined && Date.now() - stat.mtimeMs > limitMs;
}

/**
 * Runs as the server's user, never as root: the directory is that user's to play with. A process is ended only if its
 * command line names the directory. (One that can't be looked at ends itself: a postmaster checks its pid file once a
 * minute and shuts down when that is gone; postmaster.c, ServerLoop.) Shared memory of a killed postmaster is removed if
 * nobody is attached to it; its key and id are in line 7 of the pid file.
 */
const SWEEPER = `
directory=$1
lock="$directory/data/postmaster.pid"
if read -r server <"$lock"; then
  command=$(tr '\\0' ' ' <"/proc/$server/cmdline" || ps -o args= -p "$server")
  case $command in *"$directory/data"*)
    kill -QUIT "$server"
    tries=0
    while [ -e "$lock" ] && kill -0 "$server" && [ $tries -lt 400 ]; do sleep 0.02; tries=$((tries + 1)); done
  esac
fi
if [ -e "$lock" ] && [ -e /proc/sysvipc/shm ]; then
  set -- $(sed -n 7p "$lock")
  awk -v key="$1" -v id="$2" '$1 == key && $2 == id && $7 == 0 { print $2 }' /proc/sysvipc/shm | xargs -r -n 1 ipcrm -m
fi
cd /
rm -rf "$directory"
`;

const command = (directory: string): string[] => ['-c', SWEEPER, 'mocha-rewind-sweeper', directory];

export function sweepInBackground(directory: string, identity: Identity): ChildProcess {
  const child = spawn('/bin/sh', command(directory), {
    ...identity,
    cwd: '/',
    env: serverEnvironment(),
    detached: true,
    stdio: 'ignore',
  });
  child.on('error', () => {});
  child.unref();
  return child;
}

export function sweepNow(directory: string, identity: Identity): void {
  run('/bin/sh', command(directory), { identity });
}
