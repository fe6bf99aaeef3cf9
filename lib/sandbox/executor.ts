// Runs one task on the real connection: what the app sent becomes [what is pending] + [scopes to open] + [a guard] +
// statement, and what comes back becomes what production would have answered.
import { quoteIdent, quoteLiteral } from '../sql';
import { realTimers } from '../timers';
import { executionOf, type Answer } from './answer';
import type { ClockUses, Moved } from './clock';
import type { Pinned } from './pinned';
import { boundaryLost, locksElsewhere, serverError, serverWarning, unsupported, whyOutside } from './refusals';
import type { RollbackSandbox, Task } from './sandbox';
import { transaction, type Transaction } from './session';
import { mark } from './stack';
import type { Statement, TransactionModes } from './statement';
import { bodyOfText, type Body, type Outcome } from './wire';

type PlainStatement = Extract<Statement, { kind: 'plain' }>;

const UNKNOWN: PlainStatement = { kind: 'plain', text: '', writes: true, ddl: false, parameters: false, traits: {} };
const GUARD = 'rewind_g';
const ABORTED = 'current transaction is aborted, commands ignored until end of transaction block';

export class Executor {
  private stale = false;

  constructor(private readonly sandbox: RollbackSandbox) {}

  /** The list of deferred constraints has to be read again before it is used. */
  schemaChanged(): void {
    this.stale = true;
  }

  run(task: Task, pinned: Pinned): void {
    const { script } = task;
    const answer = executionOf(task, pinned.client.connection);
    if (task.job.form.kind === 'loan') {
      const statement = script.kind === 'one' && script.statement.kind === 'plain' ? script.statement : UNKNOWN;
      void this.special(task, pinned, statement, answer, 'loan').then((error) => this.answered(task, answer, error));
      return;
    }
    if (script.kind === 'empty' || script.kind === 'unreadable') {
      return this.plain(task, pinned, answer.body('extended'), script.kind === 'unreadable', false, (error) =>
        this.answered(task, answer, error),
      );
    }
    if (script.kind === 'one') {
      const { statement } = script;
      if (statement.kind === 'plain' && isOrdinary(statement) && !answer.needsSimple(statement)) {
        return this.plain(task, pinned, answer.body('extended'), statement.writes, statement.ddl, (error) =>
          this.answered(task, answer, error),
        );
      }
    }
    const run =
      script.kind === 'one' ? this.one(task, pinned, script.statement, answer) : this.several(task, pinned, answer);
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
    if (statement.kind === 'plain') return this.special(task, pinned, statement, answer, answer.bodyFor(statement));
    return this.control(task, pinned, statement, answer, answer.bodyFor(statement));
  }

  /** Transaction control, and what we refuse. */
  private async control(
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
          if (this.stale) await this.refresh(pinned);
          this.begin(task, statement.modes);
        }
        return answer.complete(statement.tag);
      case 'commit':
      case 'rollback': {
        if (!tx || tx.implicit) answer.notice(serverWarning('25P01', 'there is no transaction in progress'));
        if (!tx) return answer.complete(statement.kind === 'commit' ? 'COMMIT' : 'ROLLBACK');
        const committed = statement.kind === 'commit' && !tx.failed;
        const error = committed ? await this.commitTransaction(task, pinned, tx) : this.rollbackTransaction(task, tx);
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
        if (tx) await this.failTransaction(tx);
        return error;
      }
    }
  }

  private begin(task: Task, modes: TransactionModes): Transaction {
    const { session } = task;
    const tx = transaction(modes, session.site?.());
    session.tx = tx;
    this.sandbox.open.add(session);
    return tx;
  }

  private rollbackTransaction(task: Task, tx: Transaction): undefined {
    if (tx.ddl) this.stale = true;
    this.sandbox.endTransaction(task.session);
  }

  /** What a real COMMIT would do now: check deferred constraints, end SET LOCAL, drop what goes at commit. */
  private async commitTransaction(task: Task, pinned: Pinned, tx: Transaction): Promise<Error | undefined> {
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
    for (const table of tx.drops) stack.queue(`DROP TABLE IF EXISTS pg_temp.${quoteIdent(table)}`);
    if (pinned.facts.deferrable || tx.drops.length > 0) {
      const outcome = await this.exchange(pinned, undefined);
      if (outcome.error) {
        if (outcome.where === 'connection') return outcome.error;
        this.sandbox.endTransaction(session);
        return outcome.error;
      }
    }
    // A level above it: the transaction began in an outer scope and ends in this one. Releasing it would take this
    // scope's savepoint with it, so it stays, and goes with the outer scope.
    if (stack.has(tx.mark) && !stack.above(tx.mark).some((m) => m.kind === 'level')) stack.release(tx.mark);
    if (tx.cursors) stack.queue('CLOSE ALL');
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
    const error = await this.plainly(task, pinned, body, false, false);
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
      tx.savepoints.length = depth + 1;
      tx.failed = false;
      if (tx.ddl) this.stale = true;
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
      answer.notice(serverWarning('25P01', 'SET TRANSACTION can only be used in transaction blocks'));
      return answer.complete('SET');
    }
    if (tx.failed) return serverError('25P02', ABORTED);
    const { isolation } = statement.modes;
    if (isolation !== undefined) {
      if (tx.started && isolation !== (tx.isolation ?? 'read committed')) {
        tx.failed = true;
        await this.failTransaction(tx);
        return serverError('25001', 'SET TRANSACTION ISOLATION LEVEL must be called before any query');
      }
      adopt(tx, statement.modes);
      return answer.complete('SET');
    }
    if (!tx.started) {
      adopt(tx, statement.modes);
      return answer.complete('SET');
    }
    return this.plainly(task, pinned, body, false, false);
  }

  /** Makes the app's transaction as failed on the server's side as on ours: it goes, and everything but its end is refused. */
  private async failTransaction(tx: Transaction): Promise<void> {
    tx.failed = true;
    if (this.sandbox.stack.has(tx.mark)) this.sandbox.stack.discard(tx.mark);
    tx.savepoints = [];
  }

  // --- plain statements

  /** A plain statement with something special about it. */
  private async special(
    task: Task,
    pinned: Pinned,
    statement: PlainStatement,
    answer: Answer,
    body: Body | 'loan',
  ): Promise<Error | undefined> {
    const { session } = task;
    const { tx } = session;
    const { traits } = statement;
    const { stack } = this.sandbox;
    let undo = false;
    if (traits.onlyInTransaction && !tx) {
      const { what, then } = traits.onlyInTransaction;
      const text = `${what} can only be used in transaction blocks`;
      if (then === 'error') return serverError('25P01', text);
      answer.notice(serverWarning('25P01', text));
      undo = true;
    }
    if (traits.dropsAtCommit !== undefined && !tx) undo = true;
    if (traits.sessionLock === 'take' || traits.sessionLock === 'try') {
      if (this.sandbox.locks.heldByOther(session)) {
        const error = locksElsewhere(statement.text);
        this.sandbox.report(error);
        return error;
      }
    }
    if (traits.shows === 'transaction_isolation' && tx?.isolation && !tx.failed) {
      tx.started = true;
      return answer.row('transaction_isolation', tx.isolation, 'SHOW');
    }
    let outer = new Map<string, string | null>();
    if (traits.locals && !tx?.failed) {
      const names = traits.locals.map((local) => answer.nameOf(local));
      if (names.includes(undefined)) {
        const error = unsupported(
          statement.text,
          'set_config() with a computed name',
          'its effect would outlive its transaction',
        );
        this.sandbox.report(error);
        return error;
      }
      outer = await this.settings(task, pinned, names as string[]);
    }
    const moved = traits.clock && (await this.moved(task, pinned, traits.clock));
    if (moved) answer.say(moved.text);
    const error =
      body === 'loan'
        ? await this.lend(task, pinned, statement.writes)
        : answer.needsSimple(statement)
          ? await this.simply(task, pinned, body, statement)
          : await this.plainly(task, pinned, body, statement.writes, statement.ddl);
    if (moved) answer.say(statement.text);
    if (error) return moved ? repositioned(error, moved) : error;
    if (undo && stack.top) stack.rollbackTo(stack.top);
    else if (tx) for (const [name, value] of outer) if (!tx.locals.has(name)) tx.locals.set(name, value);
    if (!tx && !undo) for (const [name, value] of outer) stack.queue(restoring(name, value));
    if (tx && traits.dropsAtCommit !== undefined) tx.drops.push(traits.dropsAtCommit);
    if (tx && traits.declaresCursor) tx.cursors = true;
    if (traits.deallocatesAll) pinned.wire.forgetOwnPrepared();
    if (traits.sessionLock) this.sandbox.locks.used(task, traits.sessionLock);
    return undefined;
  }

  /** The statement with the time that production would have given it; undefined where the real now() is right. */
  private async moved({ session, job }: Task, pinned: Pinned, uses: ClockUses): Promise<Moved | undefined> {
    const { tx } = session;
    const { stack } = this.sandbox;
    // a named statement keeps its text as long as its connection lives
    if (job.form.kind !== 'query' || job.form.query.name || tx?.failed) return undefined;
    if (!tx) return stack.empty ? undefined : uses.at('statement_timestamp()');
    if (tx.clock === undefined) {
      if (stack.empty) tx.clock = 'now()';
      else {
        const elapsed = realTimers.now() - tx.begun;
        await this.exchange(pinned, undefined);
        const [row] = await pinned.ask<{ at: string }>(
          "select extract(epoch from statement_timestamp() - $1::float8 * interval '1 ms')::text as at",
          [elapsed],
        );
        tx.clock = `to_timestamp(${row?.at ?? 0})`;
      }
    }
    return tx.clock === 'now()' ? undefined : uses.at(tx.clock);
  }

  /** What parameters are now, before a statement changes them until the end of its transaction. */
  private async settings(task: Task, pinned: Pinned, names: readonly string[]): Promise<Map<string, string | null>> {
    this.prepareStack(task, pinned);
    await this.exchange(pinned, undefined);
    const found = new Map<string, string | null>();
    for (const name of names) {
      const [row] = await pinned.ask<{ value: string | null }>('select pg_catalog.current_setting($1, true) as value', [
        name,
      ]);
      found.set(name, row?.value ?? null);
    }
    return found;
  }

  private plainly(task: Task, pinned: Pinned, body: Body, writes: boolean, ddl: boolean): Promise<Error | undefined> {
    return new Promise((resolve) => this.plain(task, pinned, body, writes, ddl, resolve));
  }

  /** The usual way of nearly every statement: one message. */
  private plain(
    task: Task,
    pinned: Pinned,
    body: Body,
    writes: boolean,
    ddl: boolean,
    done: (error: Error | undefined) => void,
  ): void {
    const { tx } = task.session;
    const { stack } = this.sandbox;
    if (tx?.failed && !stack.has(tx.mark)) return done(serverError('25P02', ABORTED));
    this.prepareStack(task, pinned);
    const top = stack.top;
    pinned.wire.send(stack.take(), body, (outcome) => {
      done(this.settle(task, pinned, outcome, top, writes, ddl));
    });
  }

  /** The same through the simple protocol, where our own statements can't ride along. */
  private async simply(
    task: Task,
    pinned: Pinned,
    body: Body,
    statement: { writes: boolean; ddl: boolean },
  ): Promise<Error | undefined> {
    const { tx } = task.session;
    const { stack } = this.sandbox;
    if (tx?.failed && !stack.has(tx.mark)) return serverError('25P02', ABORTED);
    this.prepareStack(task, pinned);
    const top = stack.top;
    const before = await this.exchange(pinned, undefined);
    if (before.error) return this.settle(task, pinned, before, top, true, false);
    const outcome = await this.exchange(pinned, body);
    return this.settle(task, pinned, outcome, top, statement.writes, statement.ddl);
  }

  private async lend(task: Task, pinned: Pinned, writes: boolean): Promise<Error | undefined> {
    const { form } = task.job;
    if (form.kind !== 'loan') return undefined;
    this.prepareStack(task, pinned);
    const top = this.sandbox.stack.top;
    const before = await this.exchange(pinned, undefined);
    if (before.error) return this.settle(task, pinned, before, top, true, false);
    const outcome = await new Promise<Outcome>((resolve) => pinned.wire.lend(form.submittable, resolve));
    this.settle(task, pinned, outcome, top, writes, false);
    return undefined; // it has told its owner itself
  }

  /** Sends what is pending, and `body`. */
  private exchange(pinned: Pinned, body: Body | undefined): Promise<Outcome> {
    const { stack } = this.sandbox;
    const prefix = stack.take();
    if (prefix.length === 0 && !body) return Promise.resolve({ error: undefined, where: 'prefix' });
    return new Promise((resolve) => pinned.wire.send(prefix, body, resolve));
  }

  /** Queues what has to be set before a statement of this session can run. */
  private prepareStack({ session, level }: Task, pinned: Pinned): void {
    const { stack } = this.sandbox;
    const { tx } = session;
    if (tx?.failed) return;
    const current = level.ended ? this.sandbox.current : level;
    if (!stack.has(current.mark)) {
      const bottom = stack.empty;
      stack.push(current.mark);
      // from here on each autocommit statement checks constraints at its own end, as its own commit would
      if (bottom && pinned.facts.deferrable) stack.queue('SET CONSTRAINTS ALL IMMEDIATE');
    }
    if (this.sandbox.searchPaths.size > 1 && !(tx && stack.has(tx.mark))) {
      stack.queue(`SET search_path TO ${session.source.searchPath ?? 'DEFAULT'}`);
    }
    if (!tx) return this.refreshGuard();
    if (!stack.has(tx.mark)) {
      stack.push(tx.mark);
      if (tx.readOnly) stack.queue('SET TRANSACTION READ ONLY');
      if (pinned.facts.deferred) stack.queue(`SET CONSTRAINTS ${pinned.facts.deferred} DEFERRED`);
      for (const name of tx.savepoints) {
        stack.queue(`SAVEPOINT ${quoteIdent(name)}`);
        stack.pushSent(mark('savepoint', name));
      }
    }
    tx.started = true;
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
  private settle(
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
    if (where === 'connection') return error;
    const { status } = pinned.wire;
    if (status === 'I' && !stack.empty) return this.boundaryLost(task, error);
    if (where === 'prefix' && error) return this.prefixFailed(task, pinned, error);
    if (error) {
      if (status === 'E') {
        if (tx) tx.failed = true;
        else if (stack.has(top)) stack.rollbackTo(top);
      }
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
    if (task.session.tx) return error;
    const why = whyOutside((error as { code?: unknown }).code, error.message);
    if (why === undefined) return error;
    const refusal = unsupported(task.job.text, 'This statement', why, error);
    this.sandbox.report(refusal);
    return refusal;
  }

  private boundaryLost(task: Task, error: Error | undefined): Error | undefined {
    this.sandbox.report(boundaryLost(task.job.text, error ? error.message : 'it committed or rolled back'));
    this.sandbox.transactionGone();
    return error;
  }

  private prefixFailed(task: Task, pinned: Pinned, error: Error): Error {
    const problem = boundaryLost(task.job.text, `a savepoint of ours failed: ${error.message}`);
    this.sandbox.report(problem);
    pinned.wire.forgetOwnPrepared();
    this.sandbox.transactionGone();
    this.sandbox.stack.queue('ROLLBACK');
    return problem;
  }

  // --- several statements in one string

  private async several(task: Task, pinned: Pinned, answer: Answer): Promise<Error | undefined> {
    const { script } = task;
    if (script.kind !== 'several') return undefined;
    if (this.stale) await this.refresh(pinned);
    if (!script.control)
      return this.together(
        task,
        pinned,
        answer,
        script.writes,
        script.statements.some((s) => s.ddl),
      );
    for (const statement of script.statements) {
      const error = await this.part(task, pinned, statement, answer);
      if (!error) continue;
      const { tx } = task.session;
      if (tx?.implicit) this.rollbackTransaction(task, tx);
      else if (tx) tx.failed = true;
      return error;
    }
    const { tx } = task.session;
    return tx?.implicit ? this.commitTransaction(task, pinned, tx) : undefined;
  }

  /** A string of statements is one transaction, except for what its own BEGIN, COMMIT and ROLLBACK say (manual, 53.2.2.1). */
  private part(task: Task, pinned: Pinned, statement: Statement, answer: Answer): Promise<Error | undefined> {
    const { session } = task;
    if (!session.tx && statement.kind !== 'begin' && statement.kind !== 'commit' && statement.kind !== 'rollback') {
      this.begin(task, {}).implicit = true;
    }
    const body = bodyOfText(statement.text, answer.parts);
    if (statement.kind === 'plain') return this.special(task, pinned, statement, answer, body);
    return this.control(task, pinned, statement, answer, body);
  }

  /** Without control statements, PostgreSQL itself treats them as one: deferred constraints are checked at the end. */
  private async together(
    task: Task,
    pinned: Pinned,
    answer: Answer,
    writes: boolean,
    ddl: boolean,
  ): Promise<Error | undefined> {
    const { tx } = task.session;
    const { stack } = this.sandbox;
    if (tx?.failed && !stack.has(tx.mark)) return serverError('25P02', ABORTED);
    this.prepareStack(task, pinned);
    const top = stack.top;
    const deferring = !tx && pinned.facts.deferred !== '';
    if (deferring) stack.queue(`SET CONSTRAINTS ${pinned.facts.deferred} DEFERRED`);
    let outcome = await this.exchange(pinned, undefined);
    if (!outcome.error) outcome = await this.exchange(pinned, answer.body('simple'));
    if (!outcome.error && deferring) {
      stack.queue('SET CONSTRAINTS ALL IMMEDIATE');
      const check = await this.exchange(pinned, undefined);
      if (check.error) outcome = { error: check.error, where: check.where === 'connection' ? 'connection' : 'body' };
    }
    return this.settle(task, pinned, outcome, top, writes, ddl);
  }

  // --- for the sandbox

  private async refresh(pinned: Pinned): Promise<void> {
    this.stale = false;
    await this.exchange(pinned, undefined);
    await pinned.refresh().catch(() => (this.stale = true));
  }

  async flush(pinned: Pinned): Promise<void> {
    await this.exchange(pinned, undefined);
  }

  async commit(pinned: Pinned): Promise<void> {
    const { stack } = this.sandbox;
    const before = stack.take();
    const prefix = stack.empty ? before : [...before, 'COMMIT'];
    if (prefix.length === 0) return;
    const outcome = await new Promise<Outcome>((resolve) => pinned.wire.send(prefix, undefined, resolve));
    stack.reset();
    if (outcome.error) throw outcome.error;
  }

  async rollback(pinned: Pinned): Promise<void> {
    const { stack } = this.sandbox;
    const kept = stack.take().filter((sql) => !/SAVEPOINT|CONSTRAINTS|^ROLLBACK/.test(sql));
    const open = pinned.wire.status !== 'I';
    stack.reset();
    const prefix = [...(open ? ['ROLLBACK'] : []), ...kept];
    if (prefix.length > 0) await new Promise<void>((resolve) => pinned.wire.send(prefix, undefined, () => resolve()));
  }
}

function repositioned(error: Error, moved: Moved): Error {
  const located = error as { position?: string };
  if (located.position !== undefined) located.position = String(moved.original(Number(located.position)));
  return error;
}

function isOrdinary(statement: PlainStatement): boolean {
  for (const trait in statement.traits) if (trait !== 'addsEnumValue') return false;
  return true;
}

function adopt(tx: Transaction, modes: TransactionModes): void {
  if (modes.isolation !== undefined) tx.isolation = modes.isolation;
  if (modes.readOnly !== undefined) tx.readOnly = modes.readOnly;
}

/** An unset custom parameter reads as an empty string after its transaction, in production too. */
function restoring(name: string, value: string | null): string {
  return `SELECT pg_catalog.set_config(${quoteLiteral(name)}, ${quoteLiteral(value ?? '')}, true)`;
}
