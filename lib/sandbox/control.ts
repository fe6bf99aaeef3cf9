// Transaction control: an app's BEGIN is a savepoint of ours, and what it says next is answered as production would.
import { quoteIdent } from '../sql';
import type { Answer } from './answer';
import type { Executor } from './executor';
import type { Pinned } from './pinned';
import { ABORTED, serverError, serverWarning, unsupported } from './refusals';
import type { RollbackSandbox } from './sandbox';
import type { Task } from './session';
import { transaction, type Transaction } from './session';
import { restoring } from './special';
import { mark } from './stack';
import type { PlainStatement, Statement, TransactionModes } from './statement';
import type { Body } from './server';

export class Control {
  constructor(
    private readonly sandbox: RollbackSandbox,
    private readonly executor: Executor,
  ) {}

  /** Transaction control, and what we refuse. */
  async run(
    task: Task,
    pinned: Pinned,
    statement: Exclude<Statement, PlainStatement>,
    answer: Answer,
    body: Body,
  ): Promise<Error | undefined> {
    const { session } = task;
    const { tx } = session;
    switch (statement.kind) {
      case 'begin':
        if (tx?.implicit) {
          tx.implicit = false;
          adopt(tx, statement.modes);
        } else if (tx) {
          answer.notice(serverWarning('25001', 'there is already a transaction in progress'));
        } else {
          await this.executor.refreshIfStale(pinned);
          this.begin(task, statement.modes);
        }
        return answer.complete(statement.tag);
      case 'commit':
      case 'rollback': {
        if (!tx || tx.implicit) answer.notice(serverWarning('25P01', 'there is no transaction in progress'));
        if (!tx) return answer.complete(statement.kind === 'commit' ? 'COMMIT' : 'ROLLBACK');
        const committed = (tx.committed = statement.kind === 'commit' && !tx.failed);
        const error = committed ? await this.commit(task, pinned, tx) : this.rollback(task, tx);
        if (error) return error;
        if (statement.chain)
          this.begin(task, { ...(tx.isolation && { isolation: tx.isolation }), readOnly: tx.readOnly });
        return answer.complete(committed ? 'COMMIT' : 'ROLLBACK');
      }
      case 'savepoint':
      case 'release':
      case 'rollback to':
        return this.savepoint(task, pinned, statement, body);
      case 'set transaction':
        return this.setTransaction(task, pinned, statement, answer, body);
      case 'refused': {
        const error = unsupported(statement.text, statement.what, statement.why);
        this.sandbox.report(error);
        if (tx) this.fail(tx);
        return error;
      }
    }
  }

  begin(task: Task, modes: TransactionModes): Transaction {
    const { session } = task;
    const tx = transaction(modes, session);
    session.tx = tx;
    this.sandbox.open.add(session);
    return tx;
  }

  /** Runs what is not in a transaction of the app's in one of its own, with the modes of its pool. */
  async around(task: Task, pinned: Pinned, run: () => Promise<Error | undefined>): Promise<Error | undefined> {
    const tx = this.begin(task, {});
    tx.implicit = true;
    const error = await run();
    if (error) this.rollback(task, tx);
    return error ?? this.commit(task, pinned, tx);
  }

  rollback(task: Task, tx: Transaction): undefined {
    if (tx.ddl) this.executor.schemaChanged();
    this.sandbox.endTransaction(task.session);
  }

  /** What a real COMMIT would do now: check deferred constraints, end SET LOCAL, drop what goes at commit. */
  async commit(task: Task, pinned: Pinned, tx: Transaction): Promise<Error | undefined> {
    const { stack } = this.sandbox;
    const { session } = task;
    if (!stack.has(tx.mark)) {
      this.forget(task);
      return undefined;
    }
    if (!stack.writtenSince(tx.mark)) {
      this.sandbox.endTransaction(session);
      return undefined;
    }
    if (pinned.facts.deferrable) stack.queue('SET CONSTRAINTS ALL IMMEDIATE');
    for (const table of tx.drops) {
      stack.queue(`DROP TABLE IF EXISTS pg_temp.${quoteIdent(table)}`);
      this.executor.shared.temporaries.gone(table);
    }
    if (pinned.facts.deferrable || tx.drops.length > 0) {
      const outcome = await this.executor.exchange(pinned, undefined);
      if (outcome.error) {
        if (outcome.where === 'connection') return outcome.error;
        this.sandbox.endTransaction(session);
        return outcome.error;
      }
    }
    // A level above it: the transaction began in an outer scope and ends in this one. Releasing it would take this
    // scope's savepoint with it, so it stays, and goes with the outer scope.
    if (stack.has(tx.mark) && !stack.above(tx.mark).some((m) => m.kind === 'level')) stack.release(tx.mark);
    if (tx.cursors) for (const name of await pinned.openCursors()) stack.queue(`CLOSE ${quoteIdent(name)}`);
    for (const [name, value] of tx.locals) stack.queue(restoring(name, value));
    this.forget(task);
    return undefined;
  }

  private forget({ session }: Task): void {
    session.tx = undefined;
    this.sandbox.open.delete(session);
  }

  private async savepoint(
    task: Task,
    pinned: Pinned,
    statement: Extract<Statement, { kind: 'savepoint' | 'release' | 'rollback to' }>,
    body: Body,
  ): Promise<Error | undefined> {
    const { tx } = task.session;
    const { stack } = this.sandbox;
    if (!tx || tx.implicit) {
      const what = { savepoint: 'SAVEPOINT', release: 'RELEASE SAVEPOINT', 'rollback to': 'ROLLBACK TO SAVEPOINT' }[
        statement.kind
      ];
      return serverError('25P01', `${what} can only be used in transaction blocks`);
    }
    const error = await this.executor.plainly(task, pinned, body, false, false);
    if (error || !stack.has(tx.mark)) return error;
    if (statement.kind === 'savepoint') {
      stack.pushSent(mark('savepoint', statement.name));
      tx.savepoints.push(statement.name);
      return undefined;
    }
    const found = stack.savepoint(statement.name, tx.mark);
    if (!found) return undefined;
    const depth = tx.savepoints.lastIndexOf(statement.name);
    if (statement.kind === 'release') {
      stack.releaseSent(found);
      tx.savepoints.length = depth;
    } else {
      stack.rollbackToSent(found);
      this.executor.settings.rolledBack(task.session);
      this.sandbox.locks.rolledBack(tx);
      tx.savepoints.length = depth + 1;
      tx.failed = false;
      if (tx.ddl) this.executor.schemaChanged();
    }
    return undefined;
  }

  private async setTransaction(
    task: Task,
    pinned: Pinned,
    statement: Extract<Statement, { kind: 'set transaction' }>,
    answer: Answer,
    body: Body,
  ): Promise<Error | undefined> {
    const { tx } = task.session;
    if (!tx) {
      const { what } = statement;
      if (what) answer.notice(serverWarning('25P01', `${what} can only be used in transaction blocks`));
      return answer.complete('SET');
    }
    if (tx.failed) return serverError('25P02', ABORTED);
    const { isolation, readOnly } = statement.modes;
    if (!tx.started) {
      adopt(tx, statement.modes);
      return answer.complete('SET');
    }
    if (isolation !== undefined && isolation !== (tx.isolation ?? 'read committed')) {
      this.fail(tx);
      return serverError('25001', 'SET TRANSACTION ISOLATION LEVEL must be called before any query');
    }
    if (readOnly) return this.restrict(task, pinned, tx, answer);
    if (isolation !== undefined) return answer.complete('SET');
    return this.executor.plainly(task, pinned, body, false, false);
  }

  /** READ ONLY for a transaction that has begun on the server. */
  private restrict(task: Task, pinned: Pinned, tx: Transaction, answer: Answer): Error | undefined {
    const refused = this.executor.prepareStack(task, pinned);
    if (refused) return refused;
    this.executor.restrict(task.session, pinned);
    tx.readOnly = true; // also where it is parked and begins again
    return answer.complete('SET');
  }

  /** Makes the app's transaction as failed on the server's side as on ours: it goes, and everything but its end is refused. */
  fail(tx: Transaction): void {
    tx.failed = true;
    if (this.sandbox.stack.has(tx.mark)) this.sandbox.stack.discard(tx.mark);
    tx.savepoints = [];
  }
}

function adopt(tx: Transaction, modes: TransactionModes): void {
  if (modes.isolation !== undefined) tx.isolation = modes.isolation;
  if (modes.readOnly !== undefined) tx.readOnly = modes.readOnly;
}
