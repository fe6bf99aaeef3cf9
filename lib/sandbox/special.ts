// Plain statements with something special about them: what they mean depends on the transaction they are in.
import { quoteLiteral } from '../sql';
import { realTimers } from '../timers';
import type { Answer } from './answer';
import type { ClockUses, Moved } from './clock';
import type { Executor } from './executor';
import type { Pinned } from './pinned';
import { locksElsewhere, serverError, serverWarning, unsupported } from './refusals';
import type { RollbackSandbox } from './sandbox';
import type { Insert } from './insert';
import type { Task, Transaction } from './session';
import type { PlainStatement } from './statement';
import type { Body } from './wire';

export class Special {
  constructor(
    private readonly sandbox: RollbackSandbox,
    private readonly executor: Executor,
  ) {}

  /** A statement with nothing special about it, except for the time it may ask for: nearly every one. */
  quickly(
    task: Task,
    pinned: Pinned,
    statement: PlainStatement,
    answer: Answer,
    done: (error: Error | undefined) => void,
  ): void {
    const { tx } = task.session;
    const moved = this.moved(task, pinned, statement);
    if (moved) answer.say(moved.text);
    const text = moved?.text ?? statement.text;
    const keptAs = this.canBeKept(task, statement, moved) ? pinned.wire.nameFor(text) : undefined;
    this.executor.plain(task, pinned, answer.body('extended', keptAs), statement.writes, statement.ddl, (error) => {
      if (moved) answer.say(statement.text);
      if (tx) this.keepClock(tx, pinned);
      done(error && moved ? repositioned(error, moved) : error);
    });
  }

  private canBeKept({ session: { tx }, job }: Task, { traits }: PlainStatement, moved: Moved | undefined): boolean {
    if (!traits.insert?.canBeKept || job.form.kind !== 'query' || job.form.query.name) return false;
    if (moved && tx?.clock !== undefined) return false; // with the time of one transaction its text won't come again
    // what is undone with its scope must not decide what a statement means that is kept
    return !this.sandbox.levels.some((level) => level.ddl || level.ranCode);
  }

  /** A plain statement with something special about it. */
  async run(
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
    if (traits.sessionLock?.use === 'take' || traits.sessionLock?.use === 'try') {
      if (this.sandbox.locks.heldByOther(task, traits.sessionLock)) {
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
    if (traits.insert) await this.executor.refreshIfStale(pinned);
    const moved = this.moved(task, pinned, statement);
    if (moved) answer.say(moved.text);
    const error =
      body === 'loan'
        ? await this.executor.lend(task, pinned, statement.writes)
        : answer.needsSimple(statement)
          ? await this.executor.simply(task, pinned, body, statement)
          : await this.executor.plainly(task, pinned, body, statement.writes, statement.ddl);
    if (moved) answer.say(statement.text);
    if (tx) this.keepClock(tx, pinned);
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

  /** Whether the list of columns that get the time by themselves has to be read again before the statement runs. */
  needsList({ session: { tx } }: Task, { traits: { insert } }: PlainStatement): boolean {
    return (
      this.executor.stale && insert !== undefined && !tx?.failed && !(tx === undefined && this.sandbox.stack.empty)
    );
  }

  private usesOf(insert: Insert, pinned: Pinned): ClockUses | undefined {
    const isAmbiguous = insert.schema === undefined && this.sandbox.searchPaths.size > 1;
    return isAmbiguous ? undefined : pinned.defaults.usesOf(insert);
  }

  /** The statement with the time that production would have given it; undefined where the real now() is right. */
  private moved(task: Task, pinned: Pinned, { traits }: PlainStatement): Moved | undefined {
    const { session, job } = task;
    const { tx } = session;
    const { stack } = this.sandbox;
    // a named statement keeps its text as long as its connection lives
    if (job.form.kind !== 'query' || job.form.query.name || tx?.failed) return undefined;
    if ((!traits.clock && !traits.insert) || (!tx && stack.empty)) return undefined;
    const uses = traits.clock ?? (traits.insert && this.usesOf(traits.insert, pinned));
    if (!uses) return undefined;
    if (!tx) return uses.at('pg_catalog.statement_timestamp()');
    if (tx.clock === undefined && stack.empty) tx.clock = 'now()';
    if (tx.clock !== undefined) return tx.clock === 'now()' ? undefined : uses.at(tx.clock);
    if (this.executor.prepareStack(task, pinned)) return undefined;
    // asked in the same message: the statement reads it from there, and who comes next gets what was answered
    tx.asked = `SELECT pg_catalog.set_config('rewind.begun', extract(epoch from statement_timestamp() - interval '${realTimers.now() - tx.begun} ms')::text, true)`;
    stack.queue(tx.asked);
    return uses.at(`to_timestamp(current_setting('rewind.begun')::float8)`);
  }

  private keepClock(tx: Transaction, pinned: Pinned): void {
    const { answer } = pinned.wire;
    if (tx.clock === undefined && tx.asked !== undefined && answer?.sql === tx.asked)
      tx.clock = `to_timestamp(${answer.value})`;
  }

  /** What parameters are now, before a statement changes them until the end of its transaction. */
  private async settings(task: Task, pinned: Pinned, names: readonly string[]): Promise<Map<string, string | null>> {
    this.executor.prepareStack(task, pinned);
    await this.executor.exchange(pinned, undefined);
    const found = new Map<string, string | null>();
    for (const name of names) {
      const [row] = await pinned.ask<{ value: string | null }>('select pg_catalog.current_setting($1, true) as value', [
        name,
      ]);
      found.set(name, row?.value ?? null);
    }
    return found;
  }
}

function repositioned(error: Error, moved: Moved): Error {
  const located = error as { position?: string };
  if (located.position !== undefined) located.position = String(moved.original(Number(located.position)));
  return error;
}

/** An unset custom parameter reads as an empty string after its transaction, in production too. */
export function restoring(name: string, value: string | null): string {
  return `SELECT pg_catalog.set_config(${quoteLiteral(name)}, ${quoteLiteral(value ?? '')}, true)`;
}
