// Statements that get an answer of ours: of scopes that are over, and those that can't run beside another transaction.
import type { Scope } from '../scope';
import { Answer, fail } from './answer';
import type { Job } from './job';
import { lateConnection } from './origin';
import { interleaved, overtaken } from './refusals';
import type { RollbackSandbox } from './sandbox';
import type { Session, Task } from './session';

type OnStray = ((problem: Error, scope: Scope) => void) | undefined;

export function refuseStray(job: Job, error: Error, origin: Scope, onStray: OnStray): void {
  onStray?.(error, origin);
  fail(job, error);
}

/** A statement on a connection whose transaction went with its scope. */
export function refuseCut(session: Session, job: Job, scope: string, onStray: OnStray): void {
  if (/^\s*(rollback|abort)\b(?!.*\bto\b)/i.test(job.text)) {
    // what it asks for has happened already
    const answer = new Answer(job);
    answer.complete('ROLLBACK');
    return answer.finish();
  }
  if (session.mayRetry) return fail(job, overtaken(scope, job.text));
  const error = lateConnection(scope, job.text);
  if (session.level?.scope) onStray?.(error, session.level.scope);
  fail(job, error);
}

export function refuseInterleaved(sandbox: RollbackSandbox, task: Task): void {
  const others = [...sandbox.open].filter((s) => s !== task.session);
  const tx = (others.find((s) => sandbox.stack.has(s.tx?.mark)) ?? others[0])?.tx;
  const error = interleaved(task.job.text, tx);
  sandbox.report(error);
  if (task.session.tx) task.session.tx.failed = true;
  fail(task.job, error);
}
