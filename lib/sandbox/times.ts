// What the time is for a statement: its own, or that of the BEGIN of the app's transaction. The server is asked for the
// latter in the same message as the first statement that needs it, and keeps it where functions can read it.
import { realTimers } from '../timers';
import type { Reach } from './behind';
import { BEGUN, LOUDLY, QUIETLY } from './retimed';
import type { Transaction } from './session';
import type { SavepointStack } from './stack';
import type { Wire } from './wire';

/** The time of a transaction that began with the real one. */
export const NOW = 'now()';

/** The time of a transaction in the message in which it is asked for. */
export const ASKED = `to_timestamp(current_setting('${BEGUN}')::float8)`;

/** Makes functions again that the statement may call and that ask for the time, and tells them the time. */
export function setTime(stack: SavepointStack, tx: Transaction | undefined, { clocks }: Reach, first: boolean): void {
  if (clocks.length === 0) return;
  const missing = clocks.filter((sql) => stack.noted(sql) === undefined);
  if (missing.length > 0) {
    for (const sql of [QUIETLY, ...missing, LOUDLY]) stack.queue(sql);
    for (const sql of missing) stack.note(sql, true);
  }
  if (tx) {
    if (first) tx.clock ??= NOW;
    askTime(stack, tx);
  } else if (first) {
    tell(stack, `extract(epoch from ${NOW})::text`, NOW);
  } else if (stack.noted(BEGUN) !== undefined) {
    tell(stack, "''", undefined);
  }
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
export function keepTime(tx: Transaction, answer: Wire['answer']): void {
  if (tx.clock === undefined && tx.asked !== undefined && answer?.sql === tx.asked)
    tx.clock = `to_timestamp(${answer.value})`;
}
