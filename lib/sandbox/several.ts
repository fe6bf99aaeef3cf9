// Strings of several statements. PostgreSQL treats one as a single transaction (manual, 53.2.2.1).
import type { Answer } from './answer';
import type { Executor } from './executor';
import type { Pinned } from './pinned';
import type { RollbackSandbox } from './sandbox';
import type { Task } from './session';
import type { Statement } from './statement';
import type { Body, Sent } from './server';

export class Several {
  constructor(
    private readonly sandbox: RollbackSandbox,
    private readonly executor: Executor,
  ) {}

  async run(task: Task, pinned: Pinned, answer: Answer): Promise<Error | undefined> {
    const { script } = task;
    if (script.kind !== 'several') return undefined;
    await this.executor.refreshIfStale(pinned);
    const timed = script.statements.some((s) => s.kind === 'plain' && this.executor.specials.asksTime(task, pinned, s));
    const readOnly = task.session.home.modes.readOnly === true;
    if (!script.control && !timed && !readOnly)
      return this.together(
        task,
        pinned,
        answer,
        script.writes || pinned.writesBehind(task.text),
        script.statements.some((s) => s.ddl),
      );
    for (const statement of script.statements) {
      const error = await this.part(task, pinned, statement, answer);
      if (!error) continue;
      const { tx } = task.session;
      if (tx?.implicit) this.executor.controls.rollback(task, tx);
      else if (tx) tx.failed = true;
      return error;
    }
    const { tx } = task.session;
    return tx?.implicit ? this.executor.controls.commit(task, pinned, tx) : undefined;
  }

  /** A string of statements is one transaction, except for what its own BEGIN, COMMIT and ROLLBACK say (manual, 53.2.2.1). */
  private part(task: Task, pinned: Pinned, statement: Statement, answer: Answer): Promise<Error | undefined> {
    const { session } = task;
    if (!session.tx && statement.kind !== 'begin' && statement.kind !== 'commit' && statement.kind !== 'rollback') {
      this.executor.controls.begin(task, {}).implicit = true;
    }
    const body = ({ text }: Sent = {}): Body => answer.part(text ?? statement.text);
    if (statement.kind === 'plain') return this.executor.specials.run(task, pinned, statement, answer, body);
    return this.executor.controls.run(task, pinned, statement, answer, body());
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
    const refused = this.executor.prepareStack(task, pinned);
    if (refused) return refused;
    const top = stack.top;
    const deferring = !tx && pinned.facts.deferred !== '';
    if (deferring) stack.queue(`SET CONSTRAINTS ${pinned.facts.deferred} DEFERRED`);
    let outcome = await this.executor.exchange(pinned, undefined);
    if (!outcome.error) outcome = await this.executor.exchange(pinned, answer.body());
    if (!outcome.error && deferring) {
      stack.queue('SET CONSTRAINTS ALL IMMEDIATE');
      const check = await this.executor.exchange(pinned, undefined);
      if (check.error) outcome = { ...check, where: check.where === 'connection' ? 'connection' : 'body' };
    }
    return this.executor.settle(task, pinned, outcome, top, writes, ddl);
  }
}
