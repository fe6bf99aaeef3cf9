// What the sandbox says when it can't do what production would.
import { RewindError } from '../errors';
import type { ErrorFields } from '../wire';
import { shorten } from './origin';
import type { Transaction } from './session';

export const ABORTED = 'current transaction is aborted, commands ignored until end of transaction block';

const TRUNCATE = 'Tag the test @truncate: it then runs on real connections that really commit.';

/** An error as the server would have sent it, for what is decided here. */
export function serverError(code: string, message: string): Error {
  return Object.assign(new Error(message), { name: 'error', severity: 'ERROR', code });
}

/** A warning as the server would have sent it. */
export function serverWarning(code: string, message: string): ErrorFields {
  return { severity: 'WARNING', code, message };
}

export function unsupported(text: string, what: string, why: string, cause?: unknown): RewindError {
  return new RewindError('REWIND_UNSUPPORTED', {
    problem: `"${shorten(text)}": ${what} can't be isolated by a rollback: ${why}.`,
    remedy: TRUNCATE,
    cause,
  });
}

export function bundled(text: string): RewindError {
  return unsupported(
    text,
    'Several statements under one Sync',
    'which of them are one transaction, and what each does, is told by that message alone',
  );
}

export function interleaved(text: string, owner: Transaction | undefined): RewindError {
  const place = owner?.site ? ` (begun at ${owner.site})` : '';
  return new RewindError('REWIND_INTERLEAVED', {
    problem: `"${shorten(text)}" ran on a second connection while a transaction${place} of the same test was open and had changed something. In production it would neither see those changes nor be undone with them; a rolled-back test has one connection only, and can't reproduce that.`,
    remedy: `Pass the transaction (trx) to this query, or end the transaction first. If the app means it so: ${TRUNCATE}`,
  });
}

const SHARED = 'In a rolled-back test all of them share one real connection';

export function cannotBecome(pinned: string, user: string): RewindError {
  return new RewindError('REWIND_SESSION', {
    problem: `The database is used as "${pinned}" and as "${user}" by connections of the same test. ${SHARED}, which belongs to "${pinned}", and "${pinned}" may not act as "${user}".`,
    remedy: `Make one of them a superuser, or GRANT "${user}" TO "${pinned}", in the test environment; name the instances of both in \`knex\` of the config, so that the stronger one is known from the start. Or: ${TRUNCATE}`,
  });
}

export function actsAsRole(text: string, user: string): RewindError {
  return new RewindError('REWIND_SESSION', {
    problem: `"${shorten(text)}" asks for, or changes, the user of its session. ${SHARED}, on which "${user}" is a role (SET ROLE), and not the session's user.`,
    remedy: `Let an instance of a superuser be known as well: name it in \`knex\` of the config. Or: ${TRUNCATE}`,
  });
}

export function sequenceForgotten(text: string, cause: Error): RewindError {
  return new RewindError('REWIND_SESSION', {
    problem: `"${shorten(text)}" asks for the number that its own connection was given, and another connection of the same test has used sequences since. ${SHARED}, which can't remember both.`,
    remedy: `Ask with RETURNING, or on the connection (in the transaction) that has made the row, before others insert. Or: ${TRUNCATE}`,
    cause,
  });
}

export function temporaryElsewhere(text: string, name: string): RewindError {
  return new RewindError('REWIND_SESSION', {
    problem: `"${shorten(text)}" names the temporary "${name}" of another connection of the same test, which in production would not see it. ${SHARED}.`,
    remedy: `Use a temporary table on the connection (in the transaction) that has made it. If the app means another one: ${TRUNCATE}`,
  });
}

export function sharedSession(text: string, what: string): RewindError {
  return new RewindError('REWIND_SESSION', {
    problem: `"${shorten(text)}": ${what}. ${SHARED}.`,
    remedy: TRUNCATE,
  });
}

export function locksElsewhere(text: string): RewindError {
  return new RewindError('REWIND_INTERLEAVED', {
    problem: `"${shorten(text)}" asks for a session-level advisory lock while another connection of the same test holds one. On the one real connection below them, both would get it.`,
    remedy: TRUNCATE,
  });
}

/** To code that is meant to outlive tests: its transaction began in one, and was rolled back with it. */
export function overtaken(scope: string, text: string): Error {
  const message = `could not go on with "${shorten(text)}": ${scope} has ended, and what ran in its transaction was rolled back with it`;
  const hint = 'Begin the transaction again, as after any serialization failure.';
  return Object.assign(serverError('40001', message), { hint });
}

/** SQLSTATEs that say "not inside a transaction block" where the app has none open. */
export function whyOutside(code: unknown, message: string): string | undefined {
  if (
    code === '25001' &&
    /cannot (run inside|be executed from|be executed within)|inside a transaction block/.test(message)
  ) {
    return 'it has to run outside of any transaction';
  }
  if (code === '2D000') return 'a procedure or DO block wants to commit or roll back';
  if (code === '55P04') return 'a new value of an enum can be used only after a real commit';
  return undefined;
}

export function connectionLost(scope: string, cause: Error): RewindError {
  return new RewindError('REWIND_CONNECTION', {
    problem: `The database connection that held the data of ${scope} was lost (${cause.message}); what it had written is gone.`,
    remedy: `Find out what ended the connection. If the test does it on purpose: ${TRUNCATE}`,
    cause,
  });
}

export function boundaryLost(text: string, how: string): RewindError {
  return new RewindError('REWIND_BOUNDARY', {
    problem: `${text === '' ? 'A statement that only the server has read' : `"${shorten(text)}"`} ended the transaction that isolates this test (${how}). What was written before it may have been committed.`,
    remedy: TRUNCATE,
  });
}

export function leftOpen(what: string, scope: string): RewindError {
  return new RewindError('REWIND_LEFT_OPEN', {
    problem: `${scope} ended with ${what} still open. It was closed, and what it had written was rolled back.`,
    remedy: 'Await it, or close it, before the test ends.',
  });
}
