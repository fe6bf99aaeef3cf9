// Runs one task on the real connection: what the app sent becomes [what is pending] + [scopes to open] + [a guard] +
// statement, and what comes back becomes what production would have answered.
import { quoteIdent } from '../sql';
import { Answer } from './answer';
import { asksOfSchema } from './behind';
import { Control } from './control';
import { canceledWith } from './origin';
import type { Pinned } from './pinned';
import { ABORTED, boundaryLost, serverError, unsupported, whyOutside } from './refusals';
import type { RollbackSandbox } from './sandbox';
import { needsTransaction, type Session, type Task, type Transaction } from './session';
import { asOwner, keepTime, remake, setTime } from './times';
import { SessionSettings } from './settings';
import { Several } from './several';
import { SharedSession } from './shared';
import { Special } from './special';
import { mark } from './stack';
import { isOrdinary, scriptNotifies, scriptRunsCode, type Statement } from './statement';
import type { Body, Outcome } from './server';

const GUARD = 'rewind_g';
/** PostgreSQL's query_canceled. */
const QUERY_CANCELED = '57014';

export class Executor {
  stale = false;
  readonly controls: Control;
  readonly specials: Special;
  readonly settings: SessionSettings;
  readonly shared: SharedSession;
  private readonly strings: Several;

  constructor(private readonly sandbox: RollbackSandbox) {
    this.settings = new SessionSettings(sandbox.stack);
    this.shared = new SharedSession(sandbox.stack);
    this.controls = new Control(sandbox, this);
    this.specials = new Special(sandbox, this);
    this.strings = new Several(sandbox, this);
  }

  /** The list of deferred constraints has to be read again before it is used. */
  schemaChanged(): void {
    this.stale = true;
  }

  run(task: Task, pinned: Pinned): void {
    const { script } = task;
    const answer = new Answer(task.job);
    if (scriptRunsCode(script) || pinned.behind?.of(task.text).alters) task.level.ranCode = true;
    if (scriptNotifies(script)) task.level.caveats.notification(task.text);
    if (script.kind === 'empty' || script.kind === 'unreadable') {
      return this.plain(task, pinned, answer.body(), script.kind === 'unreadable', false, (error) =>
        this.answered(task, answer, error),
      );
    }
    if (script.kind === 'one') {
      const { statement } = script;
      if (
        statement.kind === 'plain' &&
        isOrdinary(statement) &&
        !needsTransaction(task.session, statement) &&
        !(this.stale && asksOfSchema(statement)) &&
        !pinned.setsBehind(task.text)
      ) {
        return this.specials.quickly(task, pinned, statement, answer, (error) => this.answered(task, answer, error));
      }
    }
    const run =
      script.kind === 'one' ? this.one(task, pinned, script.statement, answer) : this.strings.run(task, pinned, answer);
    run.then(
      (error) => this.answered(task, answer, error),
      (error: Error) => this.answered(task, answer, error),
    );
  }

  private answered(task: Task, answer: Answer, error: Error | undefined): void {
    answer.finish(error);
    this.sandbox.finished(task);
  }

  // --- one statement

  private async one(task: Task, pinned: Pinned, statement: Statement, answer: Answer): Promise<Error | undefined> {
    if (statement.kind === 'plain') {
      const run = (): Promise<Error | undefined> =>
        this.specials.run(task, pinned, statement, answer, (sent) => answer.body(sent));
      return needsTransaction(task.session, statement) ? this.controls.around(task, pinned, run) : run();
    }
    return this.controls.run(task, pinned, statement, answer, answer.body());
  }

  // --- plain statements

  plainly(task: Task, pinned: Pinned, body: Body, writes: boolean, ddl: boolean): Promise<Error | undefined> {
    return new Promise((resolve) => this.plain(task, pinned, body, writes, ddl, resolve));
  }

  /** The usual way of nearly every statement: one message. */
  plain(
    task: Task,
    pinned: Pinned,
    body: Body,
    writes: boolean,
    ddl: boolean,
    done: (error: Error | undefined) => void,
  ): void {
    const { stack } = this.sandbox;
    const refused = this.prepareStack(task, pinned);
    if (refused) return done(refused);
    const top = stack.top;
    pinned.server.send(stack.take(), body, (outcome) => {
      done(this.settle(task, pinned, outcome, top, writes, ddl));
    });
  }

  /** Sends what is pending, and `body`. */
  exchange(pinned: Pinned, body: Body | undefined): Promise<Outcome> {
    const { stack } = this.sandbox;
    const prefix = stack.take();
    if (prefix.length === 0 && !body) return Promise.resolve({ error: undefined, where: 'prefix', committed: false });
    return new Promise((resolve) => pinned.server.send(prefix, body, resolve));
  }

  /** Queues what has to be set before a statement of this session can run; returns why it can't. */
  prepareStack(task: Task, pinned: Pinned): Error | undefined {
    const { session, level } = task;
    const { stack } = this.sandbox;
    const { tx } = session;
    const first = stack.empty;
    if (level.ended) return new Error('the test it belongs to has ended');
    const refusal = this.shared.refuse(task, this.sandbox.levels);
    if (refusal) return this.refuse(refusal);
    if (tx?.failed) return stack.has(tx.mark) ? undefined : serverError('25P02', ABORTED);
    if (!stack.has(level.mark)) {
      const bottom = stack.empty;
      stack.push(level.mark);
      // from here on each autocommit statement checks constraints at its own end, as its own commit would
      if (bottom && pinned.facts.deferrable) stack.queue('SET CONSTRAINTS ALL IMMEDIATE');
    }
    if (tx) this.openTransaction(session, tx, pinned);
    else {
      this.refreshGuard();
      this.settings.apply(session);
    }
    this.shared.prepare(task, pinned.writesBehind(task.text));
    if (pinned.behind) setTime(stack, session, pinned.behind.of(task.text), pinned.facts.user, first);
    return undefined;
  }

  private refuse(error: Error): Error {
    this.sandbox.report(error);
    return error;
  }

  private openTransaction(session: Session, tx: Transaction, pinned: Pinned): void {
    const { stack } = this.sandbox;
    tx.started = true;
    if (stack.has(tx.mark)) return;
    stack.push(tx.mark);
    const { deferred, user } = pinned.facts;
    if (deferred) stack.queueAll(asOwner(session, user, [`SET CONSTRAINTS ${deferred} DEFERRED`]));
    this.settings.apply(session);
    if (tx.readOnly) this.restrict(session, pinned);
    for (const name of tx.savepoints) {
      stack.queue(`SAVEPOINT ${quoteIdent(name)}`);
      stack.pushSent(mark('savepoint', name));
    }
  }

  /** From here on the app's transaction may only read. */
  restrict(session: Session, pinned: Pinned): void {
    const { stack } = this.sandbox;
    // later it would be too late for that
    if (pinned.behind) remake(stack, session, pinned.behind.clocks, pinned.facts.user);
    stack.queue('SET TRANSACTION READ ONLY');
  }

  /** Makes sure that a failing autocommit statement takes nothing with it that was written before. */
  private refreshGuard(): void {
    const { stack } = this.sandbox;
    const { top } = stack;
    if (!top?.written) return;
    if (top.kind === 'guard') stack.release(top);
    stack.push(mark('guard', GUARD));
  }

  /** Brings the model in line with what the server has done. `top` is the mark the statement ran above. */
  settle(
    task: Task,
    pinned: Pinned,
    outcome: Outcome,
    top: ReturnType<typeof mark> | undefined,
    writes: boolean,
    ddl: boolean,
  ): Error | undefined {
    const { stack } = this.sandbox;
    const { error, where } = outcome;
    const { tx } = task.session;
    if (where === 'connection') {
      if (error) pinned.lose(error);
      return error;
    }
    if (tx) keepTime(tx, pinned.server.answer);
    const { status } = pinned.server;
    if ((status === 'I' || outcome.committed) && !stack.empty) return this.boundaryLost(task, error);
    if (where === 'prefix' && error) return this.prefixFailed(task, pinned, error);
    if (error) {
      if (status === 'E') {
        if (tx) tx.failed = true;
        else if (stack.has(top)) stack.rollbackTo(top);
      } else if (tx) this.controls.fail(tx); // the server was not asked
      return this.explain(task, error);
    }
    if (top && writes && stack.has(top)) top.written = true;
    if (ddl) {
      task.level.ddl = true;
      if (tx) tx.ddl = true;
      this.stale = true;
    }
    return undefined;
  }

  private explain(task: Task, error: Error): Error {
    const { level, job } = task;
    if (level.ended && level.scope && (error as { code?: unknown }).code === QUERY_CANCELED) {
      return canceledWith(level.scope, job.text, error);
    }
    const forgotten = this.shared.explain(task, error);
    if (forgotten) return this.refuse(forgotten);
    if (task.session.tx) return error;
    const why = whyOutside((error as { code?: unknown }).code, error.message);
    if (why === undefined) return error;
    const refusal = unsupported(task.job.text, 'This statement', why, error);
    this.sandbox.report(refusal);
    return refusal;
  }

  private boundaryLost(task: Task, error: Error | undefined): Error | undefined {
    this.sandbox.escapes++;
    this.sandbox.report(boundaryLost(task.job.text, error ? error.message : 'it committed or rolled back'));
    this.sandbox.transactionGone();
    return error;
  }

  private prefixFailed(task: Task, pinned: Pinned, error: Error): Error {
    const problem = boundaryLost(task.job.text, `a savepoint of ours failed: ${error.message}`);
    this.sandbox.escapes++;
    this.sandbox.report(problem);
    this.sandbox.transactionGone();
    this.sandbox.stack.queue('ROLLBACK');
    return problem;
  }

  // --- for the sandbox

  async refreshIfStale(pinned: Pinned): Promise<void> {
    if (!this.stale) return;
    this.stale = false;
    if (!this.sandbox.stack.empty && pinned.server.status === 'T') this.settings.actAsItself();
    await this.exchange(pinned, undefined);
    await pinned.refresh().catch(() => (this.stale = true));
  }

  async flush(pinned: Pinned): Promise<void> {
    await this.exchange(pinned, undefined);
  }

  async commit(pinned: Pinned): Promise<void> {
    const { stack } = this.sandbox;
    if (!stack.empty) this.settings.clear();
    const prefix = stack.empty ? stack.take() : [...stack.take(), 'COMMIT'];
    if (prefix.length === 0) return;
    const outcome = await new Promise<Outcome>((resolve) => pinned.server.send(prefix, undefined, resolve));
    stack.reset();
    if (outcome.error) throw outcome.error;
  }

  async rollback(pinned: Pinned): Promise<void> {
    const { stack } = this.sandbox;
    const kept = stack.take().filter((sql) => !/SAVEPOINT|CONSTRAINTS|^ROLLBACK|^CREATE/.test(sql));
    stack.reset();
    const prefix = [...(pinned.server.status === 'I' ? [] : ['ROLLBACK']), ...kept];
    if (prefix.length > 0) await new Promise<void>((resolve) => pinned.server.send(prefix, undefined, () => resolve()));
  }
}
