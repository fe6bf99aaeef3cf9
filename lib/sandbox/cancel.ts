// pg_cancel_backend() of the process id that all connections show: as a statement it would wait for the one that it is to
// cancel, and then cancel itself.
import { Answer } from './answer';
import type { Job } from './job';

const CANCELS = /^\s*select\s+(?:pg_catalog\.)?pg_cancel_backend\s*\(\s*(?:\$1|(\d+))\s*(?:::\s*\w+\s*)?\)\s*;?\s*$/i;
const BOOL = 16;

/** The process id whose statement is to be canceled, if that is all that is asked for. */
export function canceledBy(job: Job): number | undefined {
  const found = CANCELS.exec(job.text);
  return found ? Number(found[1] ?? job.values[0]) : undefined;
}

export function answerCancel(job: Job): void {
  const answer = new Answer(job);
  answer.row('pg_cancel_backend', 't', 'SELECT 1', BOOL);
  answer.finish();
}
