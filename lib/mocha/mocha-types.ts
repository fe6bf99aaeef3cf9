// What Mocha's objects look like, its documented side and what mocha-private.ts knows beyond that. Types alone.
import type { EventEmitter } from 'node:events';

export type Done = (error?: unknown) => void;

export interface Runnable extends EventEmitter {
  title: string;
  type: 'test' | 'hook';
  fn: unknown;
  file?: string;
  parent: Suite;
  ctx: unknown;
  id: string;
  state?: 'passed' | 'failed' | 'pending';
  pending?: boolean;
  duration?: number;
  isPending(): boolean;
  fullTitle(): string;
  timeout(): number;
  timeout(ms: number): void;
  slow(): number;
  slow(ms: number): void;
  retries(): number;
  retries(n: number): void;
  currentRetry(): number;
  globals(): string[] | undefined;
  globals(names: string[]): void;
  run(done: Done): void;
  /** Ends the running attempt from outside: how the runner tells a test of an uncaught exception (`Runner#_uncaught`). */
  callback?: Done;
  allowUncaught?: boolean;
}

export type Test = Runnable;

export interface Hook extends Runnable {
  /** Fails the test this hook runs for, and lets the run go on (public: `Hook#error`). */
  error(error: unknown): void;
}

export interface Suite extends EventEmitter {
  title: string;
  file?: string;
  root: boolean;
  pending: boolean;
  parent: Suite | undefined;
  tests: Test[];
  suites: Suite[];
  isPending(): boolean;
  fullTitle(): string;
  eachTest(visit: (test: Test) => void): unknown;
  clone(): Suite;
  bail(bail: boolean): void;
}

export interface Runner extends EventEmitter {
  suite: Suite;
  failures: number;
  /** Of a runner that runs tests itself. */
  state: 'idle' | 'running' | 'stopped';
  /** In the main process of `--parallel` already when `Mocha#run` returns, unless there is a `mochaGlobalSetup`. */
  started: boolean;
  grepTotal(suite: { eachTest(visit: (test: Test) => void): unknown }): number;
  isParallelMode(): boolean;
  /** The listener of `uncaughtException` (bound `Runner#_uncaught`). */
  uncaught: (thrown: unknown) => void;
  allowUncaught?: boolean;
  _addEventListener(target: EventEmitter, event: string, listener: (...args: never[]) => void): void;
  _removeEventListener(target: EventEmitter, event: string, listener: (...args: never[]) => void): void;
  _opts?: { dryRun?: boolean };
}

/** What the callback of `Mocha#run` gets: the number of failures, or in a worker what goes to the main process. */
export type RunResult = number | { failureCount: number };

export interface MochaInstance {
  files: string[];
  options?: { readonly passOnFailingTestSuite?: boolean; readonly jobs?: number };
  _runnerClass?: { prototype: Partial<Pick<Runner, 'isParallelMode'>> };
}

export interface MochaClass {
  prototype: { run: (this: MochaInstance, done?: (result: RunResult) => void) => Runner };
  Runnable: { prototype: { serialize?: (this: Test) => Record<string, unknown> } };
  Test: { prototype: { serialize: (this: Test) => Record<string, unknown> } };
  Suite: { prototype: { serialize: (this: Suite) => Record<string, unknown> } };
  Runner: unknown;
}
