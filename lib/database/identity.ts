import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { RewindError } from '../errors';

/** The user PostgreSQL's programs run as; `{}` for ourselves. */
export interface Identity {
  readonly uid?: number;
  readonly gid?: number;
}

/**
 * PostgreSQL refuses to run as root, so root's servers run as an unprivileged user that is there anyway. No user is
 * created on anybody's machine.
 */
export function serverIdentity(): Identity {
  if (process.getuid?.() !== 0) return {};
  const users = fs
    .readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  for (const name of ['postgres', 'nobody']) {
    const user = users.find((fields) => fields[0] === name);
    if (user && Number(user[2]) > 0) return { uid: Number(user[2]), gid: Number(user[3]) };
  }
  throw new RewindError('REWIND_SERVER', {
    problem: 'PostgreSQL cannot run as root, and there is neither a user "postgres" nor a user "nobody" to run it as.',
    remedy: 'Run the tests as another user, or set DATABASE_URL to a server that is running.',
  });
}

/** The user id the server's files belong to. */
export function ownerOf(identity: Identity): number {
  return identity.uid ?? process.getuid?.() ?? -1;
}

// An allow-list: PG* variables would change what the server does, and the rest may hold secrets that another user's
// process has no business with.
const PASSED_ON = ['PATH', 'LD_LIBRARY_PATH', 'DYLD_LIBRARY_PATH', 'DYLD_FALLBACK_LIBRARY_PATH', 'LOCALE_ARCHIVE'];

export function serverEnvironment(): NodeJS.ProcessEnv {
  const passed = PASSED_ON.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]));
  // COPYFILE_DISABLE: else macOS's tar adds a "._" file for every file with extended attributes.
  return { ...(Object.fromEntries(passed) as NodeJS.ProcessEnv), LC_ALL: 'C', TZ: 'UTC', COPYFILE_DISABLE: '1' };
}

export interface RunOptions {
  readonly identity: Identity;
  readonly input?: string;
  /** File descriptor for standard input or output, in place of text. */
  readonly stdin?: number;
  readonly stdout?: number;
}

/** Runs a program to its end. Synchronous: see the reason in server.ts. */
export function run(program: string, args: readonly string[], options: RunOptions): SpawnSyncReturns<string> {
  return spawnSync(program, args, {
    ...options.identity,
    cwd: '/', // ours may be closed to the other user
    env: serverEnvironment(),
    encoding: 'utf8',
    timeout: 60_000,
    killSignal: 'SIGKILL',
    ...(options.input === undefined ? {} : { input: options.input }),
    stdio: [options.stdin ?? 'pipe', options.stdout ?? 'pipe', 'pipe'],
  });
}

/** Why a program failed, in one line; undefined where it did not. */
export function failureOf(result: SpawnSyncReturns<string>): string | undefined {
  if (result.status === 0) return undefined; // whatever `error` says: EPIPE where a program had read enough of its input
  if (result.error) return result.error.message;
  const said = result.stderr.trim();
  return said || `ended with ${result.signal ?? `code ${result.status}`}`;
}
