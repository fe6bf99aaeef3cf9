import { type RewindErrorCode, messageOf } from '../errors';
import { presentable } from './presentable';

/**
 * Mocha swallows unhandled rejections of code under test: the test passes, exit code 0 (mochajs/mocha#5507). Node alone
 * would have ended the process. A test that installs a listener of its own deals with them, and is left alone; one that
 * the app has installed for good is no excuse.
 */
export class RejectionWatch {
  #known: ReadonlySet<unknown> = new Set();
  #seen = new WeakSet<object>();

  constructor(private readonly charge: (error: Error) => void) {}

  start(): void {
    process.on('unhandledRejection', this.#listener);
    this.testBegins();
  }

  /** Listeners that are there already are not this test's. */
  testBegins(): void {
    this.#known = new Set(process.listeners('unhandledRejection'));
  }

  stop(): void {
    process.removeListener('unhandledRejection', this.#listener);
  }

  readonly #listener = (reason: unknown, promise: Promise<unknown>): void => {
    // Mocha emits what it does not want a second time (`Runner#unhandled`).
    if (this.#seen.has(promise)) return;
    this.#seen.add(promise);
    const strangers = process.listeners('unhandledRejection').filter((listener) => !this.#known.has(listener));
    const readable = presentable(reason);
    if (strangers.length === 0 && !isMochas(readable) && !isLate(readable)) this.charge(asError(readable));
  };
}

/** Mocha forwards its own errors itself (`errors.js`, `isMochaError`). */
function isMochas(reason: unknown): boolean {
  const code = (reason as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' && code.startsWith('ERR_MOCHA_');
}

/** Nobody waits for the answer of a query that came after its test had ended; it is told otherwise. */
function isLate(reason: unknown): boolean {
  return (reason as { code?: unknown } | undefined)?.code === ('REWIND_LATE_QUERY' satisfies RewindErrorCode);
}

function asError(reason: unknown): Error {
  const error = new Error(`Unhandled rejection: ${messageOf(reason)}`, { cause: reason });
  const frames = reason instanceof Error ? reason.stack?.split('\n').filter((line) => /^\s+at /.test(line)) : undefined;
  error.stack = [`Error: ${error.message}`, ...(frames ?? [])].join('\n');
  return presentable(error) as Error;
}
