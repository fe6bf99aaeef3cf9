// What is left open when a scope ends: told to its test, and closed.
import { errorResponse, frames } from '../wire';
import { lateQuery } from './origin';
import { Patience } from './patience';
import { leftOpen } from './refusals';
import type { RollbackSandbox } from './sandbox';
import type { Task } from './session';
import type { Level } from './session';

/** Long enough for the next test to have sent its first statement. */
const IDLE_MS = 50;

export class Leaving {
  private readonly idle = new Patience(IDLE_MS, () => this.flushIfIdle());

  constructor(private readonly sandbox: RollbackSandbox) {}

  /** What is queued rides with the next statement. If there is none, it goes alone: somebody may wait for our locks. */
  private flushSoon(): void {
    // No reason for the process to go on: a connection that nothing comes from any more would be waited for without end.
    if (this.sandbox.stack.pending) this.idle.start().unref();
  }

  private flushIfIdle(): void {
    const { active, pinned } = this.sandbox;
    if (active) this.flushSoon();
    else if (pinned) void this.sandbox.flush().catch(() => {});
  }

  cutSessions(ended: Level): void {
    for (const [session, level] of this.sandbox.cursors) {
      if (level !== ended) continue;
      ended.problems.push(leftOpen('a cursor or stream', this.sandbox.nameOf(ended)));
      session.cursor?.abandon(errorResponse({ code: 'XX000', message: 'the test it was opened in has ended' }));
      this.sandbox.cursors.delete(session);
    }
    for (const session of [...this.sandbox.open]) {
      if (session.level !== ended) continue;
      const { tx } = session;
      session.mayRetry = tx !== undefined && tx.by !== ended.scope;
      if (!session.mayRetry) {
        const site = tx?.site ? ` (begun at ${tx.site})` : '';
        ended.problems.push(leftOpen(`a transaction${site}`, this.sandbox.nameOf(ended)));
      }
      session.cut = this.sandbox.nameOf(ended);
      session.tx = undefined;
      this.sandbox.open.delete(session);
      session.connection.giveUp();
    }
    const outer = this.sandbox.levels.at(-2);
    for (const task of this.sandbox.queue) {
      if (outer && task.level === ended && task.job.origin !== ended.scope) task.level = outer;
    }
    this.sandbox.dropQueued(
      (task) => task.level === ended,
      (task) => (ended.scope ? lateQuery(ended.scope, task.job.text) : new Error('the sandbox was closed')),
    );
  }

  /** What a rollback does not undo in the session, and what we know of it. */
  cleanSession(ended: Level): void {
    for (const [session, settings] of ended.settings) session.settings = settings;
    if (ended.locked && !this.sandbox.levels.some((l) => l !== ended && l.locked)) {
      if (this.sandbox.locks.release())
        ended.problems.push(leftOpen('a session-level advisory lock', this.sandbox.nameOf(ended)));
      this.sandbox.stack.queue('SELECT pg_catalog.pg_advisory_unlock_all()');
    }
    if (ended.ddl && this.sandbox.pinned) {
      // plans made under a schema that is gone fail with "cached plan must not change result type"
      this.sandbox.server?.names.forget();
      this.sandbox.executor.schemaChanged();
    }
    this.flushSoon();
  }

  /** A statement of the ended scope is still running: cancel it, and let nothing else on the wire until that is over. */
  interrupt(task: Task): void {
    const { client } = task.job.segment;
    if (client.copying) {
      task.level.problems.push(leftOpen('a COPY', this.sandbox.nameOf(task.level)));
      client.copying = false;
      this.sandbox.server?.copy(frames.copyFail('the test has ended'));
      return;
    }
    const { pinned } = this.sandbox;
    if (!pinned) return;
    const { pid } = pinned.facts;
    const cancel = async (): Promise<void> => {
      const connection = await pinned.source.connect('mocha-rewind: cancel');
      if (this.sandbox.active === task) await connection.query('select pg_catalog.pg_cancel_backend($1)', [pid]);
      await connection.end();
    };
    void this.sandbox.hold(cancel().catch(() => {}));
  }
}
