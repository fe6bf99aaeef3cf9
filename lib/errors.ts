import { inspect } from 'node:util';

/**
 * Every mistake a user can make, and every promise a test can break, has a code. The README's FAQ has one heading per
 * code, with the first words of the message in it.
 */
export type RewindErrorCode =
  | 'REWIND_CONFIG' // the config file, a setting, or an environment variable is wrong
  | 'REWIND_TAGS' // contradicting or unknown tags in a title
  | 'REWIND_UNSAFE_DATABASE' // the live connection does not look like a test database
  | 'REWIND_SETUP' // migrate or seed failed
  | 'REWIND_SERVER' // the embedded PostgreSQL could not be found or started
  | 'REWIND_CONNECTION' // a connection of ours could not be opened, or was lost
  | 'REWIND_POOLER' // a pooler shares one session of the server among connections
  | 'REWIND_PRIVILEGE' // the role may not do what a snapshot needs
  | 'REWIND_NODB' // a @nodb test used the database
  | 'REWIND_INTERLEAVED' // two open transactions that one connection can't reproduce
  | 'REWIND_SESSION' // what one connection has, and another of the same test must not see
  | 'REWIND_UNSUPPORTED' // a statement that can't run, or has no effect, inside a rolled-back transaction
  | 'REWIND_BOUNDARY' // the test's transaction was ended behind our back
  | 'REWIND_LATE_QUERY' // a query of a test that has already ended
  | 'REWIND_LEFT_OPEN' // a test left a transaction, stream, cursor or lock open
  | 'REWIND_MODE_MIX' // a test's mode doesn't fit the suite it runs in
  | 'REWIND_RESTORE' // the database could not be brought back to its checkpoint
  | 'REWIND_STUCK' // the server has not answered, or something did not end
  | 'REWIND_SCHEMA_CHANGED' // a committing test changed the schema
  | 'REWIND_LEAK' // rows reached the database past a scope
  | 'REWIND_MOCHA' // Mocha has not taken our hooks
  | 'REWIND_QUERY_COUNT'; // expectQueries() counted another number

const README = 'https://www.npmjs.com/package/mocha-rewind#';

export interface RewindErrorParts {
  /** What happened and why that is a problem: names the file, the setting, the test or the statement. */
  readonly problem: string;
  /** What to do about it. */
  readonly remedy: string;
  /** The error that caused this one, if any. */
  readonly cause?: unknown;
}

/** The only error class this package throws on purpose. `code` is stable; `problem` and `remedy` are for people. */
export class RewindError extends Error {
  override readonly name = 'RewindError';
  readonly problem: string;
  readonly remedy: string;

  constructor(
    readonly code: RewindErrorCode,
    parts: RewindErrorParts,
  ) {
    super(
      `${code}: ${parts.problem}\n  ${parts.remedy}\n  ${README}${code.toLowerCase()}`,
      parts.cause === undefined ? undefined : { cause: parts.cause },
    );
    this.problem = parts.problem;
    this.remedy = parts.remedy;
  }

  /**
   * The same error without a stack: for mistakes whose place is named in the message, where our frames are noise. Mocha
   * prints what a plugin throws by `console.error`, which would also repeat every property: it gets the message alone.
   */
  withoutStack(): this {
    Object.defineProperty(this, inspect.custom, { value: () => this.message, configurable: true });
    Object.defineProperty(this, 'stack', {
      value: `${this.name}: ${this.message}`,
      configurable: true,
      writable: true,
    });
    return this;
  }
}

/** The message of anything that can be thrown, also of what throws when it is looked at. */
export function messageOf(thrown: unknown): string {
  try {
    return String(isErrorLike(thrown) ? thrown.message : thrown);
  } catch {
    return inspect(thrown); // calls no getter and no trap of a Proxy
  }
}

/** What Mocha takes for an error (`isError` in runner.js): whatever has a message. */
export function isErrorLike(thrown: unknown): thrown is Error {
  return thrown instanceof Error || typeof (thrown as Partial<Error> | undefined | null)?.message === 'string';
}
