// Plain statements with something special about them: what they mean depends on the transaction they are in.
import { quoteLiteral } from '../sql';
import type { Answer } from './answer';
import type { ClockUses, Moved } from './clock';
import { asksOfSchema } from './behind';
import type { Executor } from './executor';
import type { Pinned } from './pinned';
import { IDENTITY } from './profiles';
import { actsAsRole, locksElsewhere, serverError, serverWarning, unsupported } from './refusals';
import type { RollbackSandbox } from './sandbox';
import { OUT_OF_REACH, type Insert } from './insert';
import type { Task } from './session';
import type { LocalName, SessionLock } from './calls';
import type { PlainStatement, Traits } from './statement';
import { ASKED, askTime, forgetTime, NOW } from './times';
import type { Body, Sent } from './server';

const BOOL = 16;

/** Parameters that are modes of a transaction. */
const OF_TRANSACTIONS = /^(default_)?transaction_(isolation|read_only|deferrable)$/i;

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
    const moved = this.moved(task, pinned, statement);
    const isKept = this.canBeKept(task, statement, moved) && pinned.server.comesAgain(moved?.text ?? statement.text);
    const writes = statement.writes || pinned.writesBehind(task.text);
    const body = answer.body({ text: moved?.text, isKept });
    this.executor.plain(task, pinned, body, writes, statement.ddl, (error) =>
      done(error && moved ? repositioned(error, moved) : error),
    );
  }

  private canBeKept({ session: { tx }, job }: Task, { traits }: PlainStatement, moved: Moved | undefined): boolean {
    if (!traits.insert?.canBeKept || job.cursor || job.name !== '' || job.segment.end === 'query') return false;
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
    body: (sent: Sent) => Body,
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
    const lock = traits.sessionLock;
    if (lock && !tx?.failed) {
      const verdict = this.sandbox.locks.verdict(task, lock);
      if (verdict === 'false') return this.withoutLock(lock, answer);
      if (verdict !== 'free') {
        const error = locksElsewhere(statement.text);
        this.sandbox.report(error);
        return error;
      }
    }
    const isolation = tx ? tx.isolation : session.home.modes.isolation;
    if (traits.shows === 'transaction_isolation' && isolation !== undefined && !tx?.failed) {
      if (tx) tx.started = true;
      return answer.row('transaction_isolation', isolation, 'SHOW');
    }
    if (asksOfSchema(statement)) await this.executor.refreshIfStale(pinned);
    const behind = pinned.behind?.of(task.text);
    const { maybeLocals = [] } = traits;
    const [forNow, forLong] = [true, false].map((local) =>
      maybeLocals.filter((one) => answer.isTrue(one.parameter) === local).map(({ name }) => name),
    );
    const named = [...(traits.locals ?? []), ...(forNow ?? []), ...(behind?.locals ?? [])];
    const locals = named.map((local) => answer.nameOf(local));
    const sets = await this.parametersSet(traits.sets, [...(forLong ?? []), ...(behind?.sets ?? [])], pinned, answer);
    let outer = new Map<string, string | null>();
    let known: typeof outer | undefined;
    if (locals.length + sets.length > 0 && !tx?.failed) {
      const names = [...locals, ...sets];
      if (names.includes(undefined)) {
        const error = unsupported(
          statement.text,
          'set_config() with a computed name, or of computed duration',
          'its effect would outlive its transaction, or reach other connections',
        );
        this.sandbox.report(error);
        return error;
      }
      const ofTransaction = (names as string[]).find((name) => OF_TRANSACTIONS.test(name));
      if (ofTransaction !== undefined) {
        const error = unsupported(
          statement.text,
          `set_config('${ofTransaction}')`,
          'the transaction that holds the test has already begun',
        );
        this.sandbox.report(error);
        return error;
      }
      const denied = this.mayBecome(task, statement, names as string[]);
      if (denied) return denied;
      const before = await this.settings(task, pinned, names as string[]);
      outer = new Map([...before].filter(([name]) => locals.includes(name) && !tx?.locals.has(name)));
      known = new Map([...before, ...(tx?.locals ?? [])].filter(([name]) => sets.includes(name)));
    }
    const writes = statement.writes || pinned.writesBehind(task.text);
    const moved = this.moved(task, pinned, statement);
    const { ddl } = statement;
    const error = await this.executor.plainly(task, pinned, body({ text: moved?.text }), writes, ddl);
    if (error) return moved ? repositioned(error, moved) : error;
    if (known && sets.length > 0) {
      if (traits.sets === 'all') {
        await pinned.setOwn();
        forgetTime(stack);
      }
      this.executor.settings.changed(
        session,
        task.level,
        known,
        await pinned.parameters(sets as string[]),
        traits.resets === true,
      );
    }
    if (traits.makesTemporary !== undefined) this.executor.shared.temporaries.made(session, traits.makesTemporary);
    if (traits.drops) this.executor.shared.temporaries.dropped(task, traits.drops);
    if (undo && stack.top) stack.rollbackTo(stack.top);
    else if (tx) for (const [name, value] of outer) if (!tx.locals.has(name)) tx.locals.set(name, value);
    if (!tx && !undo) for (const [name, value] of outer) stack.queue(restoring(name, value));
    if (tx && traits.dropsAtCommit !== undefined) tx.drops.push(traits.dropsAtCommit);
    if (tx && traits.declaresCursor) tx.cursors = true;
    if (traits.deallocatesAll) task.job.segment.client.statements.clear();
    if (lock) stack.queueAll(this.sandbox.locks.used(task, lock, await pinned.advisoryLocks()));
    return undefined;
  }

  /** What is answered here of a lock that another connection holds. */
  private withoutLock({ use, shared, column = '' }: SessionLock, answer: Answer): undefined {
    const mode = shared ? 'ShareLock' : 'ExclusiveLock';
    if (use === 'free') answer.notice(serverWarning('01000', `you don't own a lock of type ${mode}`));
    answer.row(column, 'f', 'SELECT 1', BOOL);
  }

  /** Why it may not act as somebody else: its pool's user may less than the user of the real connection. */
  private mayBecome(
    { session: { home, tx } }: Task,
    { text, traits: { resets, becomes } }: PlainStatement,
    names: readonly string[],
  ): Error | undefined {
    if (home.way === 'itself' || resets || !names.some((name) => IDENTITY.includes(name))) return undefined;
    if (becomes === home.user) return undefined;
    if (home.way === 'role') {
      const error = actsAsRole(text, home.user);
      this.sandbox.report(error);
      return error;
    }
    if (home.isSuperuser || !names.includes('session_authorization')) return undefined;
    if (tx) this.executor.controls.fail(tx);
    return serverError(
      '42501',
      `permission denied to set session authorization${becomes === undefined ? '' : ` "${becomes}"`}`,
    );
  }

  private async parametersSet(
    sets: Traits['sets'],
    behind: readonly LocalName[],
    pinned: Pinned,
    answer: Answer,
  ): Promise<(string | undefined)[]> {
    if (sets !== 'all') return [...(sets ?? []), ...behind].map((one) => answer.nameOf(one));
    await this.executor.exchange(pinned, undefined);
    return pinned.changedParameters();
  }

  /** Whether one of several statements asks for a time that may be another than the real transaction's. */
  asksTime({ session: { tx } }: Task, pinned: Pinned, { traits }: PlainStatement): boolean {
    return (tx !== undefined || !this.sandbox.stack.empty) && this.usesIn(traits, pinned) !== undefined;
  }

  private usesIn({ clock, insert }: PlainStatement['traits'], pinned: Pinned): ClockUses | undefined {
    const uses = clock ?? (insert && this.usesOf(insert, pinned));
    return uses === OUT_OF_REACH ? undefined : uses;
  }

  /** Whether a statement that keeps PostgreSQL's own time may have asked for it. */
  private asksInVain({ asks, ddl, text, traits, writes }: PlainStatement, pinned: Pinned): boolean {
    if (ddl) return false;
    if (asks || pinned.asksBehind(text) || (writes && pinned.defaults.checks(text))) return true;
    if (traits.insert) return this.usesOf(traits.insert, pinned) === OUT_OF_REACH;
    return writes && /\binsert\b/i.test(text) && pinned.defaults.stamps(text);
  }

  private usesOf(insert: Insert, pinned: Pinned): ReturnType<Insert['uses']> {
    const isAmbiguous = insert.schema === undefined && this.sandbox.profiles.haveSearchPaths;
    return isAmbiguous ? undefined : pinned.defaults.usesOf(insert);
  }

  private moved(task: Task, pinned: Pinned, statement: PlainStatement): Moved | undefined {
    const { tx } = task.session;
    const isRight = tx
      ? tx.clock === NOW || (tx.clock === undefined && this.sandbox.stack.empty)
      : this.sandbox.stack.empty;
    const moved = this.movedIn(task, pinned, statement);
    if (isRight) return moved;
    const inVain = moved
      ? !statement.traits.insert && pinned.asksBehind(statement.text)
      : this.asksInVain(statement, pinned);
    if (inVain) task.level.caveats.frozenTime(task.text);
    return moved;
  }

  /** The statement with the time that production would have given it; undefined where the real now() is right. */
  private movedIn(task: Task, pinned: Pinned, { traits, text, writes }: PlainStatement): Moved | undefined {
    const { session, job } = task;
    const { tx } = session;
    const { stack } = this.sandbox;
    // a named statement keeps its text as long as its connection lives
    if (job.name !== '' || tx?.failed) return undefined;
    if ((!traits.clock && !traits.insert) || (!tx && stack.empty) || pinned.behind?.hasClock) return undefined;
    const uses = this.usesIn(traits, pinned);
    if (!uses || (writes && pinned.defaults.checks(text))) return undefined;
    if (!tx) return uses.at('pg_catalog.statement_timestamp()');
    if (tx.clock === undefined && stack.empty) tx.clock = NOW;
    if (tx.clock !== undefined) return tx.clock === NOW ? undefined : uses.at(tx.clock);
    if (this.executor.prepareStack(task, pinned)) return undefined;
    askTime(stack, tx);
    return uses.at(ASKED);
  }

  /** What parameters are now, before a statement changes them until the end of its transaction. */
  private async settings(task: Task, pinned: Pinned, names: readonly string[]): Promise<Map<string, string | null>> {
    this.executor.prepareStack(task, pinned);
    await this.executor.exchange(pinned, undefined);
    return pinned.parameters(names);
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
