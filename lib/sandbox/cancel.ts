// What is cancelled on the one real session: by the app, or because the app has given it up.
//
// All connections show one process id, and pg_cancel_backend() of it would wait, as a statement, for the one that it is to
// cancel, and then cancel itself. So it is answered here: it means the connection whose process id was asked for last, if that
// has anything under way. Before its first statement a connection shows the process id of its own session.
//
// A statement that the app has given up (a time-out of Knex's, a client that has ended) goes on in production beside others. A
// read is cancelled at once: nobody can tell. Anything else may go on until others have waited long enough.
import type { Segment, ServerConnection } from '../wire';
import { Answer } from './answer';
import { valuesOf, type Job } from './job';
import { serverError } from './refusals';
import { scriptWrites } from './statement';
import type { Session, Task } from './session';

const CANCELS = /^\s*select\s+(?:pg_catalog\.)?pg_cancel_backend\s*\(\s*(?:\$1|(\d+))\s*(?:::\s*\w+\s*)?\)\s*;?\s*$/i;
const BOOL = 16;

/** The process id whose statement is to be canceled, if that is all that is asked for. */
export function canceledBy(text: string, segment: Segment): number | undefined {
  const found = CANCELS.exec(text);
  return found ? Number(found[1] ?? valuesOf(segment)[0]) : undefined;
}

/** The sandbox, as far as cancelling needs it. */
interface Wire {
  readonly pid: number | undefined;
  readonly server: ServerConnection | undefined;
  readonly active: Task | undefined;
  readonly queue: readonly Task[];
  readonly pinned: { writesBehind(text: string): boolean } | undefined;
  dropQueued(which: (task: Task) => boolean, why: () => Error): void;
  hold(work: Promise<void>): Promise<void>;
}

export class Cancel {
  /** Whose process id was asked for last. */
  asked: Session | undefined;

  constructor(private readonly sandbox: Wire) {}

  /** True if `job` was a pg_cancel_backend() of one of our connections: it has its answer. */
  answers(job: Job): boolean {
    const pid = canceledBy(job.text, job.segment);
    if (pid === undefined) return false;
    const { active, queue } = this.sandbox;
    const busy = active ? [active, ...queue] : queue;
    const found =
      pid === this.sandbox.pid
        ? (busy.find(({ session }) => session === this.asked) ?? active)
        : busy.find(({ session }) => session.connection.pids.includes(pid));
    if (!found && pid !== this.sandbox.pid) return false;
    if (found) this.of(found.session);
    const answer = new Answer(job);
    answer.row('pg_cancel_backend', 't', 'SELECT 1', BOOL);
    answer.finish();
    return true;
  }

  /** What a connection has under way. */
  of(session: Session): void {
    if (this.sandbox.active?.session === session) return this.running();
    this.sandbox.dropQueued(
      (task) => task.session === session,
      () => serverError('57014', 'canceling statement due to user request'),
    );
  }

  /** What is on the wire. Nothing else goes there until that is over: it would be cancelled instead. */
  running(): void {
    const { server } = this.sandbox;
    if (server) void this.sandbox.hold(server.cancel());
  }

  /** The app has given a connection up. What it has sent and is a read alone is cancelled. */
  givenUp(session: Session): void {
    const { active, pinned } = this.sandbox;
    if (active?.session !== session || session.tx) return;
    if (!scriptWrites(active.script) && pinned?.writesBehind(active.text) !== true) this.running();
  }

  /** Others have waited for a statement. True if it was given up, and is cancelled now. */
  insteadOfWaiting({ session, level, text }: Task): boolean {
    if (!session.isGivenUp) return false;
    level.caveats.cancelled(text);
    this.running();
    return true;
  }
}
