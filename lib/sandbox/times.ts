// What the time is for a statement: its own, or that of the BEGIN of the app's transaction. The server is asked for the
// latter in the same message as the first statement that needs it, and keeps it where functions can read it.
import { quoteLiteral } from '../sql';
import { realTimers } from '../timers';
import type { Reach } from './behind';
import { BEGUN, LOUDLY, QUIETLY } from './retimed';
import type { Session, Transaction } from './session';
import { IDENTITY } from './profiles';
import type { SavepointStack } from './stack';
import type { SandboxServer } from './server';

/** The time of a transaction that began with the real one. */
export const NOW = 'now()';

/** The time of a transaction in the message in which it is asked for. */
export const ASKED = `to_timestamp(current_setting('${BEGUN}')::float8)`;

/** Makes functions again that the statement may call and that ask for the time, and tells them the time. */
export function setTime(
  stack: SavepointStack,
  session: Session,
  { clocks }: Reach,
  user: string,
  first: boolean,
): void {
  if (clocks.length === 0) return;
  const { tx } = session;
  remake(stack, session, clocks, user);
  if (tx) {
    if (first) tx.clock ??= NOW;
    askTime(stack, tx);
  } else if (first) {
    tell(stack, `extract(epoch from ${NOW})::text`, NOW);
  } else if (stack.noted(BEGUN) !== undefined) {
    tell(stack, "''", undefined);
  }
}

/** Makes functions again, unless that is done already in a transaction around. */
export function remake(stack: SavepointStack, session: Session, clocks: readonly string[], user: string): void {
  const missing = clocks.filter((sql) => stack.noted(sql) === undefined);
  if (missing.length === 0) return;
  stack.queueAll(asOwner(session, user, [QUIETLY, ...missing, LOUDLY]));
  for (const sql of missing) stack.note(sql, true);
}

/** After RESET ALL: nobody has been told the time. */
export function forgetTime(stack: SavepointStack): void {
  stack.note(BEGUN, undefined);
}

/** Statements in the name of the user that the real connection belongs to, whoever the client may act as. */
export function asOwner(
  { tx, settings, home }: Session,
  user: string,
  statements: readonly string[],
): readonly string[] {
  const may = IDENTITY.some((name) => settings.has(name) || home.settings.has(name) || tx?.locals.has(name));
  return may ? asUser(user, statements) : statements;
}

function asUser(user: string, statements: readonly string[]): readonly string[] {
  const keep = (name: string): string => `set_config('rewind.${name}', current_setting('${name}'), true)`;
  const give = (name: string): string => `SELECT set_config('${name}', current_setting('rewind.${name}'), true)`;
  return [
    `SELECT ${IDENTITY.map(keep).join(', ')}`,
    `SELECT set_config('role', 'none', true)`,
    `SELECT set_config('session_authorization', ${quoteLiteral(user)}, true)`,
    ...statements,
    ...IDENTITY.map(give),
  ];
}

function tell(stack: SavepointStack, value: string, whose: Transaction | typeof NOW | undefined): string {
  const sql = `SELECT pg_catalog.set_config('${BEGUN}', ${value}, true)`;
  stack.queue(sql);
  stack.note(BEGUN, whose);
  return sql;
}

/** Queues the question for the time of `tx`. Who comes next gets what is answered. */
export function askTime(stack: SavepointStack, tx: Transaction): void {
  if (stack.noted(BEGUN) === tx) return;
  const begun = tx.clock ?? `statement_timestamp() - interval '${realTimers.now() - tx.begun} ms'`;
  const sql = tell(stack, `extract(epoch from ${begun})::text`, tx);
  if (tx.clock === undefined) tx.asked = sql;
}

/** Keeps what the server has answered. */
export function keepTime(tx: Transaction, answer: SandboxServer['answer']): void {
  if (tx.clock === undefined && tx.asked !== undefined && answer?.sql === tx.asked)
    tx.clock = `to_timestamp(${answer.value})`;
}
