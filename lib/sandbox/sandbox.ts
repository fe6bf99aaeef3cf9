// The sandbox itself: a queue of jobs, the scopes, and the state of the one real transaction. One job is on the wire at a
// time. A job goes: accept → queue → admit (admission.ts) → run → settle → answered.
import { RewindError } from '../errors';
import { nameOf, type Scope } from '../scope';
import { realTimers } from '../timers';
import type { ServerConnection } from '../wire';
import { admit } from './admission';
import { fail } from './answer';
import { answerCancel, canceledBy } from './cancel';
import { Checkouts } from './checkouts';
import { Executor } from './executor';
import { Leaving } from './leaving';
import type { ManagedPool, Problem, Sandbox } from './index';
import { lateOrigin, lateQuery, setRunning } from './origin';
import type { Job } from './job';
import { SessionLocks } from './locks';
import { loadParser, parserLoaded } from './parser';
import type { SandboxOptions } from './options';
import { Patience } from './patience';
import type { Lender, Pinned, RealSource } from './pinned';
import { Pinning } from './pinning';
import type { Home, Profiles } from './profiles';
import { bundled, connectionLost, serverError } from './refusals';
import { level, type Level, type Session, type SessionHost, type Task } from './session';
import { SavepointStack } from './stack';
import { readScript } from './statement';
import { refuseCut, refuseInterleaved, refuseStray } from './turned-away';

export class RollbackSandbox implements Sandbox, SessionHost {
  queries = 0;
  escapes = 0;
  readonly stack = new SavepointStack();
  /** Sessions with an open transaction. */
  readonly open = new Set<Session>();
  readonly locks = new SessionLocks();

  /** Sessions with an open cursor, and the scope it was opened in. */
  readonly cursors = new Map<Session, Level>();
  readonly levels: Level[] = [level(undefined, 0)];
  queue: Task[] = [];
  active: Task | undefined;
  private readonly pinning = new Pinning(this);
  private held: Promise<void> | undefined;
  private pumping = false;
  private idleWaiters: (() => void)[] = [];
  readonly executor: Executor;
  private readonly leaving: Leaving;
  readonly checkouts = new Checkouts(this);
  private readonly patience: Patience;

  constructor(readonly options: SandboxOptions = {}) {
    this.executor = new Executor(this);
    this.leaving = new Leaving(this);
    this.patience = new Patience(options.interleaveTimeout ?? 1000, () => this.refuseWaiting());
  }

  // --- scopes

  get current(): Level {
    return this.levels[this.levels.length - 1] as Level;
  }

  enter(scope: Scope): void {
    this.levels.push(level(scope, this.levels.length));
    setRunning(scope);
  }

  leave(scope: Scope): readonly Problem[] {
    const ended = this.current;
    if (ended.scope !== scope) throw new Error(`sandbox: ${nameOf(scope)} is not the innermost scope`);
    ended.ended = true;
    this.leaving.cutSessions(ended);
    if (this.active?.level === ended) this.leaving.interrupt(this.active);
    if (this.stack.has(ended.mark)) this.stack.discard(ended.mark);
    this.leaving.cleanSession(ended);
    this.levels.pop();
    setRunning(this.current.scope);
    if (this.queue.length > 0) realTimers.setImmediate(() => this.pump());
    return ended.problems;
  }

  takeProblems(): readonly Problem[] {
    return this.current.problems.splice(0);
  }

  hasOpened(scope: Scope): boolean {
    return this.levels.some((l) => l.scope === scope && this.stack.has(l.mark));
  }

  /** The name a message has for a level. */
  nameOf(which: Level): string {
    return which.scope ? nameOf(which.scope) : 'code outside of any test';
  }

  report(problem: Error): void {
    // Knex puts the SQL in front of the messages of errors that pass through it: what we keep is a copy
    this.current.problems.push(problem instanceof RewindError ? new RewindError(problem.code, problem) : problem);
  }

  get pinned(): Pinned | undefined {
    return this.pinning.pinned;
  }

  get profiles(): Profiles {
    return this.pinning.profiles;
  }

  get server(): ServerConnection | undefined {
    return this.pinned?.server.connection;
  }

  get changesSchema(): boolean {
    return this.levels.some((l) => l.ddl);
  }

  get pid(): number | undefined {
    return this.pinned?.facts.pid;
  }

  // --- jobs

  accept(session: Session, job: Job): void {
    this.queries++;
    const origin = lateOrigin(job.origin);
    if (origin) return refuseStray(job, lateQuery(origin, job.text), origin, this.options.onStray);
    if (session.cut !== undefined) return refuseCut(session, job, session.cut, this.options.onStray);
    if (job.isBundle) {
      const error = bundled(job.text);
      this.report(error);
      if (session.tx) this.executor.controls.fail(session.tx);
      return fail(job, error);
    }
    const canceled = canceledBy(job);
    if (canceled !== undefined && canceled === this.pid) {
      if (this.active) void this.server?.cancel();
      return answerCancel(job);
    }
    if (session.level?.ended) session.level = this.current; // a connection that is meant to live long
    const { text } = job;
    const start = (): void => {
      this.queue.push({ session, job, text, script: readScript(text), level: this.current });
      this.pump();
    };
    if (parserLoaded()) start();
    else void loadParser().then(start, (error: Error) => fail(job, error));
  }

  isActive(session: Session): boolean {
    return this.active?.session === session;
  }

  isQueued(session: Session): boolean {
    return this.queue.some((task) => task.session === session);
  }

  cursorClosed(session: Session): void {
    this.cursors.delete(session);
    this.pump();
  }

  /** The app has asked to cancel what it runs. */
  cancel(session: Session): void {
    if (this.isActive(session)) void this.server?.cancel();
    else
      this.dropQueued(
        (task) => task.session === session,
        () => serverError('57014', 'canceling statement due to user request'),
      );
  }

  /** The app's transaction on this session is over, by whatever way; its savepoint is rolled back to if it is there. */
  endTransaction(session: Session): void {
    const { tx } = session;
    if (!tx) return;
    if (this.stack.has(tx.mark)) this.stack.discard(tx.mark);
    session.settings = tx.settings;
    session.tx = undefined;
    this.open.delete(session);
  }

  pump(): void {
    if (this.pumping || this.active || this.held) return;
    this.pumping = true;
    try {
      while (!this.active && this.startNext());
    } finally {
      this.pumping = false;
    }
    if (this.active) return this.patience.stop();
    for (const resolve of this.idleWaiters.splice(0)) resolve();
    if (this.queue.some((task) => !this.cursors.has(task.session))) this.patience.start();
  }

  private startNext(): boolean {
    let blocked: Set<Session> | undefined;
    for (let i = 0; i < this.queue.length; i++) {
      const task = this.queue[i] as Task;
      const { session } = task;
      if (blocked?.has(session)) continue;
      const verdict = this.cursors.has(session) ? 'wait' : admit(task, this);
      if (verdict === 'wait') {
        (blocked ??= new Set()).add(session);
        continue;
      }
      this.queue.splice(i, 1);
      if (verdict === 'refuse') refuseInterleaved(this, task);
      else this.start(task);
      return true;
    }
    return false;
  }

  private start(task: Task): void {
    this.active = task;
    if (task.job.cursor) this.cursors.set(task.session, task.level);
    const lost = this.levels.find((l) => l.lost);
    if (lost?.lost) {
      this.active = undefined;
      return fail(task.job, connectionLost(this.nameOf(lost), lost.lost));
    }
    if (this.pinned && !this.pinned.lost) return this.executor.run(task, this.pinned);
    this.pinning.ready(task.session.source, task.session.connection).then(
      (pinned) => this.executor.run(task, pinned),
      (error: Error) => {
        fail(task.job, error);
        this.finished(task);
      },
    );
  }

  /** The executor is done with a task and has answered it. */
  finished(task: Task): void {
    if (this.active === task) this.active = undefined;
    this.pump();
  }

  /** Rule 4 of admission.ts: nothing is on the wire, and everything left waits for another connection's transaction. */
  private refuseWaiting(): void {
    const waiting = this.queue.filter((task) => !this.cursors.has(task.session));
    this.queue = this.queue.filter((task) => this.cursors.has(task.session));
    for (const task of waiting) refuseInterleaved(this, task);
    this.pump();
  }

  dropQueued(which: (task: Task) => boolean, why: (task: Task) => Error): void {
    const dropped = this.queue.filter(which);
    this.queue = this.queue.filter((task) => !which(task));
    for (const task of dropped) fail(task.job, why(task));
  }

  /** Makes sure that connections of this pool get what they would have in production. */
  welcome(source: RealSource, by?: Lender): Promise<void> {
    return this.pinning.welcome(source, by);
  }

  join(pool: ManagedPool): void {
    (pool as ManagedPool & { join(sandbox: RollbackSandbox): void }).join(this);
  }

  homeOf(source: RealSource): Home {
    return this.profiles.homeOf(source);
  }

  connectionLost(error: Error): void {
    for (const l of this.levels) if (this.stack.has(l.mark) && this.stack.writtenSince(l.mark)) l.lost = error;
    this.transactionGone();
  }

  /** The real transaction is over, and not by our doing. */
  transactionGone(): void {
    this.stack.reset();
    this.executor.settings.forget();
    for (const session of this.open) session.tx = undefined;
    this.open.clear();
  }

  private async idle(): Promise<void> {
    while (this.active ?? this.held) await new Promise<void>((resolve) => this.idleWaiters.push(resolve));
  }

  /** Runs `work` with the wire to ourselves. */
  async alone(work: (pinned: Pinned) => Promise<void>): Promise<void> {
    await this.idle();
    const { pinned } = this;
    if (!pinned || pinned.lost) return;
    await this.hold(work(pinned));
  }

  /** Lets no job start until `work` is done. */
  async hold(work: Promise<void>): Promise<void> {
    this.held = work;
    try {
      await work;
    } finally {
      if (this.held === work) this.held = undefined;
      this.pump();
    }
  }

  async flush(): Promise<void> {
    await this.idle();
    if (this.stack.pending) await this.alone((pinned) => this.executor.flush(pinned));
  }

  async commit(): Promise<number> {
    const { size } = this.open;
    await this.alone(async (pinned) => {
      for (const session of [...this.open]) this.endTransaction(session);
      await this.executor.commit(pinned);
    });
    return size;
  }

  async release(): Promise<void> {
    await this.idle();
    await this.hold(this.letGo()); // nothing may start on a session that is about to go
  }

  private async letGo(): Promise<void> {
    const { pinned } = this;
    if (pinned && !pinned.lost) {
      for (const session of [...this.open]) {
        if (session.level) session.cut = this.nameOf(session.level);
        session.tx = undefined;
        this.open.delete(session);
      }
      if (!this.stack.empty || this.stack.pending) await this.executor.rollback(pinned);
    }
    await this.pinning.drop();
  }

  /** A pool is being ended. */
  poolEnds(source: RealSource): void {
    this.profiles.remove(source, this.pinned?.source);
  }

  /** The connection that has lent the real session is ended: so is the session, if nothing is held in it. */
  async lenderEnds(): Promise<void> {
    await this.idle();
    if (this.pinned && (this.open.size > 0 || this.isHeld)) this.pinned.isOrphan = true;
    else await this.release();
  }

  /** Whether another real session would be missed: it has what scopes that are not over have written, locked or begun. */
  get isHeld(): boolean {
    if (this.cursors.size > 0) return true;
    for (const { tx } of this.open) if (tx?.started) return true;
    return this.levels.some((l) => l.locked || (this.stack.has(l.mark) && this.stack.writtenSince(l.mark)));
  }
}
