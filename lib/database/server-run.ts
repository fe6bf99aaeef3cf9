import fs from 'node:fs';
import path from 'node:path';
import { realTimers, sleep } from '../timers';
import { DATA } from './cluster';
import type { Identity } from './identity';
import { type Keeper, startKeeper } from './keeper';
import { makeRunDirectory } from './places';
import { SETTINGS } from './settings';
import { KEPT, claim, sweepNow } from './sweep';

const END_LIMIT_MS = 10_000;

/**
 * One server in one directory, from nothing to nothing: `empty` (the directory is ours) → `kept` (a keeper runs the
 * server) → `gone`. It gets to `gone` from everywhere, also when the process just exits.
 */
export class ServerRun {
  readonly directory: string;
  readonly #claim: { release(): void };
  #state: 'empty' | 'kept' | 'gone' = 'empty';
  #keeper: Keeper | undefined;
  readonly #onExit = (): void => {
    if (this.#state === 'kept' && this.#serverHasEnded()) {
      process.stderr.write(`REWIND_SERVER: the embedded PostgreSQL ended before its time. Its log:\n${this.log()}\n`);
    }
    this.endNow();
  };

  constructor(private readonly identity: Identity) {
    this.directory = makeRunDirectory(identity);
    this.#claim = claim(this.directory);
    process.once('exit', this.#onExit);
  }

  /** Starts the server on the data directory that is there by now. False if it ended, or took too long: see the log. */
  start(postgres: string, limitMs = 30_000): boolean {
    if (this.#state !== 'empty') throw new Error(`start() of a server that is ${this.#state}`);
    const settings = Object.entries(SETTINGS).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const args = ['-D', this.#data(), '-k', this.directory, '-p', '5432', ...settings];
    this.#keeper = startKeeper(this.directory, postgres, args, this.identity);
    this.#state = 'kept';
    const limit = realTimers.now() + limitMs;
    while (!this.#isReady()) {
      if (this.#keeper.isGone() || this.#serverHasEnded() || realTimers.now() > limit) return false;
      pause(2);
    }
    return true;
  }

  /** From now on the server goes on when this process is over, until somebody ends it. Returns the id of its process. */
  keep(): number {
    process.off('exit', this.#onExit);
    fs.writeFileSync(path.join(this.directory, KEPT), '');
    return Number(readIfThere(path.join(this.#data(), 'postmaster.pid')).split('\n')[0]);
  }

  log(): string {
    return readIfThere(path.join(this.directory, 'log')).trim();
  }

  /** Ends the server and waits for it, without giving other code a turn: for `exit` listeners and failed starts. */
  endNow(): void {
    this.#release();
    const limit = realTimers.now() + END_LIMIT_MS;
    while (this.#keeper && !this.#keeper.isGone() && fs.existsSync(this.directory) && realTimers.now() < limit)
      pause(2);
    if (fs.existsSync(this.directory)) sweepNow(this.directory, this.identity);
  }

  async end(): Promise<void> {
    this.#release();
    const limit = realTimers.now() + END_LIMIT_MS;
    while (this.#keeper && !this.#keeper.isGone() && realTimers.now() < limit) await sleep(2);
    if (fs.existsSync(this.directory)) sweepNow(this.directory, this.identity);
  }

  #release(): void {
    if (this.#state === 'gone') return;
    this.#state = 'gone';
    process.off('exit', this.#onExit);
    this.#claim.release();
    this.#keeper?.release();
  }

  #data(): string {
    return path.join(this.directory, DATA);
  }

  #serverHasEnded(): boolean {
    return fs.existsSync(path.join(this.directory, 'ended'));
  }

  /** Line 8 of the pid file is what `pg_ctl --wait` looks at (pidfile.h, since PostgreSQL 10). */
  #isReady(): boolean {
    return readIfThere(path.join(this.#data(), 'postmaster.pid')).split('\n')[7]?.trim() === 'ready';
  }
}

function readIfThere(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
