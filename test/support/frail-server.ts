// A PostgreSQL that can be killed like the processes of a machine that ran out of memory, and started again on its files.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Client } from 'pg';
import { serverEnvironment, serverIdentity } from '../../lib/database/identity';
import { serverBinaries } from './database';

export interface FrailServer {
  readonly url: string;
  /** All of its processes, by SIGKILL. Resolves when they are gone. */
  kill(): Promise<void>;
  /** After it was killed. Resolves when it has recovered, and takes connections. */
  start(): Promise<void>;
  /** Its postmaster's process id. */
  readonly pid: number;
  stop(): Promise<void>;
}

/** Runs the binaries of the server that the tests use, with settings like `fsync=off`. */
export async function startFrailServer(...settings: readonly string[]): Promise<FrailServer> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'rewind-frail-'));
  const identity = serverIdentity();
  if (identity.uid !== undefined) fs.chownSync(directory, identity.uid, identity.gid ?? identity.uid);
  const data = path.join(directory, 'data');
  const url = `postgresql://postgres@localhost/postgres?host=${encodeURIComponent(directory)}`;
  const how = { ...identity, cwd: '/', env: serverEnvironment(), stdio: 'ignore' } as const;
  const bin = await serverBinaries();
  execFileSync(path.join(bin, 'initdb'), ['-D', data, '-U', 'postgres', '-A', 'trust', '--no-sync'], how);
  let postmaster: ChildProcess | undefined;

  const start = async (): Promise<void> => {
    const options = ['cluster_name=frail', 'listen_addresses=', ...settings].flatMap((setting) => ['-c', setting]);
    postmaster = spawn(path.join(bin, 'postgres'), ['-D', data, '-k', directory, ...options], how);
    for (let tries = 0; !(await answers(url)); tries++) {
      if (!runs() || tries > 1200) throw new Error('the frail server does not start');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  const runs = (): boolean => postmaster?.exitCode === null && postmaster.signalCode === null;
  const kill = async (): Promise<void> => {
    if (!postmaster?.pid || !runs()) return;
    // Stopped, it can't start others in place of those that are killed.
    postmaster.kill('SIGSTOP');
    const family = [...childrenOf(postmaster.pid), postmaster.pid];
    const ended = once(postmaster, 'exit');
    for (const pid of family) signal(pid, 'SIGKILL');
    await ended;
    while (family.some((pid) => signal(pid, 0))) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  await start();
  return {
    url,
    kill,
    start,
    get pid() {
      return postmaster?.pid ?? 0;
    },
    stop: async () => {
      if (!runs()) await start(); // which removes the shared memory that a killed one has left
      const ended = postmaster && once(postmaster, 'exit');
      postmaster?.kill('SIGQUIT');
      await ended;
      fs.rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function answers(url: string): Promise<boolean> {
  const client = new Client({ connectionString: url });
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query('select 1');
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => {});
  }
}

function childrenOf(parent: number): number[] {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n');
  return lines
    .map((line) => line.trim().split(/\s+/).map(Number))
    .flatMap(([pid, of]) => (pid && of === parent ? [pid] : []));
}

/** False: there is no such process. */
function signal(pid: number, name: 'SIGKILL' | 0): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}
