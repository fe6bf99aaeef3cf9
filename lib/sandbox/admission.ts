// May a statement run now, or would one real connection make it see, or become part of, what another client connection
// has not committed? Rules 1 to 3; rule 4 is the sandbox's clock.
//
//  1. The other transaction has changed nothing (and can be begun again unnoticed): it is parked, the statement runs as
//     if it weren't there, which is what production does.
//  2. It has: the statement waits until that transaction ends. Production might have been as slow.
//  3. … unless the statement comes from inside that transaction's own callback: then its end waits for the statement, and
//     what production would do can't be had.
//  4. Waiting has a limit, for the transactions whose callback we can't see.
//
// What asks for an advisory lock that another connection holds waits as well (locks.ts).
import { isInside } from './flow';
import type { LockVerdict } from './locks';
import { hasFixedSnapshot, type Session, type Transaction } from './session';
import type { SavepointStack } from './stack';
import { scriptWrites } from './statement';
import type { Task } from './session';

export type Verdict = 'run' | 'wait' | 'refuse';

interface State {
  readonly stack: SavepointStack;
  readonly open: ReadonlySet<Session>;
  readonly locks: { verdict(task: Task): LockVerdict };
  readonly pinned: { writesBehind(text: string): boolean } | undefined;
}

export function admit(task: Task, state: State): Verdict {
  const { session, script } = task;
  if (!session.tx?.failed) {
    const lock = state.locks.verdict(task);
    if (lock === 'waits') return 'wait';
    if (lock === 'false') return 'run'; // it is answered here
  }
  if (task.skips && !isOpen(task.skips, state) && !endedWell(task.skips)) return 'refuse';
  if (state.open.size === 0) return 'run';
  if (script.kind === 'one' && sendsNothing(task, state)) return 'run';
  for (const other of state.open) {
    if (other === session || !other.tx) continue;
    if (inTheWay(other, task, state))
      return isInside(session.inside, other) || gotPast(other, task) ? 'refuse' : 'wait';
  }
  for (const other of state.open) if (other !== session) park(other, state.stack);
  return 'run';
}

/**
 * Whether it would not have waited in production for what the other transaction has locked: NOWAIT has an error for that. SKIP
 * LOCKED goes on without those rows, and may wait here if that transaction then changes them, so that they are not found.
 */
function gotPast({ tx }: Session, task: Task): boolean {
  const { script } = task;
  const tries = script.kind === 'one' ? script.statement.tries : undefined;
  if (!tx || !tries) return false;
  const locked = tx.wrote.some((text) =>
    tries.tables.some((table) => text.toLowerCase().includes(table.toLowerCase())),
  );
  if (locked && tries.otherwise === 'skip') task.skips = tx;
  return locked && tries.otherwise === 'error';
}

/** Whether what it had locked is changed now. */
function endedWell({ committed, wrote }: Transaction): boolean {
  return committed && wrote.some((text) => !LOCKS_ONLY.test(text));
}

function isOpen(tx: Transaction, { open }: State): boolean {
  for (const session of open) if (session.tx === tx) return true;
  return false;
}

const LOCKS_ONLY = /^\s*(?:select|lock)\b/i;

/** BEGIN sends nothing; nor does the end of a transaction that has no savepoint on the server. */
function sendsNothing({ session, script }: Task, { stack }: State): boolean {
  if (script.kind !== 'one') return false;
  const { kind } = script.statement;
  if (kind === 'begin') return true;
  return (kind === 'commit' || kind === 'rollback') && !(session.tx && stack.has(session.tx.mark));
}

function inTheWay(other: Session, task: Task, state: State): boolean {
  const { session, script } = task;
  const { stack } = state;
  const { tx } = other;
  if (!tx) return false;
  // its snapshot must go on not seeing what is written now
  const writes =
    scriptWrites(script) ||
    state.pinned?.writesBehind(task.text) === true ||
    (session.tx !== undefined &&
      stack.has(session.tx.mark) &&
      script.kind === 'one' &&
      script.statement.kind === 'commit');
  if (hasFixedSnapshot(tx) && writes) return true;
  if (!stack.has(tx.mark)) return false;
  if (tx.failed) return stack.above(tx.mark).some((m) => m.kind === 'savepoint');
  return stack.writtenSince(tx.mark);
}

/** Takes a transaction that has changed nothing, or that has failed for good, off the server. */
function park(other: Session, stack: SavepointStack): void {
  const { tx } = other;
  if (tx && stack.has(tx.mark)) stack.discard(tx.mark);
}
