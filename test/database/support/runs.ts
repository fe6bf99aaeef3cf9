// Real mocha processes that load `mocha-rewind/embedded`, as this user or another, and what they leave behind.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CHILD, type Finished, type Project, type ProjectOptions, project, repo } from '../../support/project';

export interface User {
  readonly name: string;
  readonly uid?: number;
  readonly gid?: number;
}

export const SELF: User = { name: process.getuid?.() === 0 ? 'root' : 'an ordinary user' };

/** An unprivileged user to run as, if this process may; else the reason why there is none. */
export function otherUser(): User | string {
  if (process.getuid?.() !== 0) return 'only root can run as somebody else';
  const row = fs
    .readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((line) => line.startsWith('nobody:'));
  if (!row) return 'there is no user "nobody"';
  const [, , uid, gid] = row.split(':');
  const user = { name: 'an ordinary user', uid: Number(uid), gid: Number(gid) };
  const reads = ['-e', 'require("node:fs").accessSync(process.argv[1])', path.join(repo, 'dist', 'embedded.js')];
  if (spawnSync(process.execPath, reads, { ...user, cwd: '/' }).status === 0) return user;
  return 'the repository, or node, is closed to other users';
}

/** What a fixture says of the server it found, in one line of its output. */
export interface Seen {
  readonly directory: string;
  readonly postmaster: number;
  /** Key and id of the System V shared memory segment, as in `postmaster.pid`. */
  readonly segment: string;
  /** PostgreSQL's major version. */
  readonly major: string;
}

/** The head of a spec file: it tells the test which server it sees while it is imported, and has a function to connect. */
export const SPEC = `
const fs = require('node:fs');
const assert = require('node:assert/strict');
const { Client } = require('pg');
const client = async () => {
  const c = new Client({ connectionString: process.env.DATABASE_URL });
  c.on('error', () => {});
  await c.connect();
  return c;
};
const forever = () => new Promise((resolve) => setTimeout(resolve, 60_000));
const directory = new URL(process.env.DATABASE_URL).searchParams.get('host');
const lock = fs.readFileSync(directory + '/data/postmaster.pid', 'utf8').split('\\n');
console.log('SEEN ' + JSON.stringify({ directory, postmaster: Number(lock[0]), segment: lock[6].trim(),
  major: fs.readFileSync(directory + '/data/PG_VERSION', 'utf8').trim() }) + ' END');
`;

export interface Lab {
  readonly project: Project;
  /** The run's TMPDIR: cache and all are in it. */
  readonly temp: string;
  start(args?: readonly string[], options?: StartOptions): Started;
  /** Runs mocha to its end. */
  run(args?: readonly string[], options?: StartOptions): Promise<Ended>;
  remove(): void;
}

export interface StartOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly user?: User;
  /** In a process group of its own, as a shell starts it. */
  readonly ownGroup?: boolean;
  /** A command that runs node as its last arguments. */
  readonly under?: readonly string[];
}

export interface Started {
  readonly child: ChildProcess;
  readonly finished: Promise<Ended>;
  /** Resolves when `text` is in the output. */
  readonly says: (text: string) => Promise<void>;
  /** Resolves when a spec file has been loaded. */
  readonly sees: () => Promise<Seen>;
}

export interface Ended extends Finished {
  readonly seen: readonly Seen[];
}

/** A project with spec files (each gets {@link SPEC} in front), and a temp directory of its own. */
export function lab(specs: Readonly<Record<string, string>>, options: Partial<ProjectOptions> = {}): Lab {
  const files = Object.fromEntries(Object.entries(specs).map(([name, text]) => [name, SPEC + text]));
  const p = project({ ...options, files: { ...files, ...options.files } });
  // Short, whatever TMPDIR is: sockets may lie in it.
  const temp = fs.mkdtempSync('/tmp/rewind-lab-');
  fs.chmodSync(temp, 0o1777);
  const children: ChildProcess[] = [];
  const start: Lab['start'] = (
    args = Object.keys(specs),
    { env = {}, user = SELF, ownGroup = false, under = [] } = {},
  ) => {
    const [command = process.execPath, ...rest] = [...under, process.execPath, ...mochaArguments(p, args)];
    const child = spawn(command, rest, {
      ...(user.uid === undefined ? {} : { uid: user.uid, gid: user.gid }),
      cwd: p.dir,
      env: { ...environment(temp), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: ownGroup,
    });
    children.push(child);
    return follow(child);
  };
  return {
    project: p,
    temp,
    start,
    run: (args, more) => start(args, more).finished,
    remove: () => {
      for (const child of children) if (child.exitCode === null) child.kill('SIGKILL'); // those of a test that failed
      p.remove();
      fs.rmSync(temp, { recursive: true, force: true });
    },
  };
}

function mochaArguments(p: Project, args: readonly string[]): string[] {
  const mocha = path.join(p.dir, 'node_modules', 'mocha', 'bin', 'mocha.js');
  return [mocha, '--require', 'mocha-rewind/embedded', ...args];
}

function environment(temp: string): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, TMPDIR: temp, ...CHILD };
}

function follow(child: ChildProcess): Started {
  let output = '';
  const streams = { stdout: '', stderr: '' };
  const listeners = new Set<() => void>();
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.on('data', (data: Buffer) => {
      streams[name] += data.toString();
      output += data.toString();
      for (const listener of listeners) listener();
    });
  }
  const finished = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      resolve({ code, signal, ...streams, output, seen: seenIn(output) });
    });
  });
  const says = async (text: string): Promise<void> => {
    const heard = new Promise<void>((resolve) => {
      const check = (): void => (output.includes(text) ? resolve() : undefined);
      listeners.add(check);
      check();
    });
    const ended = finished.then((end) => {
      if (!output.includes(text)) throw new Error(`mocha ended without saying "${text}":\n${end.output}`);
    });
    await Promise.race([heard, ended]);
  };
  const sees = async (): Promise<Seen> => {
    await says('} END');
    return seenIn(output)[0] ?? assert.fail(output);
  };
  return { child, finished, says, sees };
}

function seenIn(output: string): Seen[] {
  return [...output.matchAll(/SEEN (.*) END/g)].map((match) => JSON.parse(match[1] ?? '') as Seen);
}

/** Processes whose command line names the directory. */
export function processesOf(directory: string): string[] {
  const { stdout } = spawnSync('ps', ['-A', '-o', 'pid=,args='], { encoding: 'utf8' });
  const lines = stdout ? stdout.split('\n') : fromProc();
  return lines.filter((line) => line.includes(directory));
}

/** For systems without \`ps\`. */
function fromProc(): string[] {
  return fs
    .readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        return [`${pid} ${fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')}`];
      } catch {
        return [];
      }
    });
}

/** What is still there of a run: nothing, if all is well. */
export function tracesOf(seen: Seen): string[] {
  const segments = fs.existsSync('/proc/sysvipc/shm') ? fs.readFileSync('/proc/sysvipc/shm', 'utf8').split('\n') : [];
  const [key, id] = seen.segment.split(/ +/);
  return [
    ...(fs.existsSync(seen.directory) ? [`directory ${seen.directory}`] : []),
    ...processesOf(seen.directory).map((line) => `process ${line}`),
    ...segments
      .filter((line) => line.trim().split(/ +/).slice(0, 2).join() === [key, id].join())
      .map((line) => `shared memory ${line}`),
  ];
}

export function assertNoTrace(ended: Pick<Ended, 'seen' | 'output'>): void {
  assert.ok(ended.seen.length > 0, `no server was seen:\n${ended.output}`);
  for (const seen of ended.seen) {
    assert.equal(fs.existsSync(seen.directory), false, `${seen.directory} is still there`);
    // The keeper's last act is to remove the directory: it may need another moment to exit.
    if (tracesOf(seen).length > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
    assert.deepEqual(tracesOf(seen), []);
  }
}

/** The same where the process had no time to wait for it. */
export async function assertNoTraceSoon(ended: Pick<Ended, 'seen' | 'output'>): Promise<void> {
  for (let tries = 0; tries < 200 && ended.seen.some((seen) => tracesOf(seen).length > 0); tries += 1) await sleep(50);
  assertNoTrace(ended);
}

export const isLinux = os.platform() === 'linux';
