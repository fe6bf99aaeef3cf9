// Advisory locks. Below all client connections is one session, which gets each lock that it asks for; so who holds which is
// kept here. One that another connection holds is waited for, and a try for it fails, as in production.
//
// Which locks a statement has taken is seen in pg_locks, where its key had to be computed. A lock of a transaction stays in
// the real session when that transaction has ended here: it keeps other processes out for longer, and nobody else.
import type { LockKey, SessionLock } from './calls';
import type { Level, Session, Task, Transaction } from './session';

interface Holding {
  readonly session: Session;
  readonly level: Level;
  /** With which it ends; undefined for one of the session. */
  readonly tx: Transaction | undefined;
  readonly key: string;
  readonly shared: boolean;
}

/** A key that is not known: it may be any. */
const ANY = '?';

/**
 * What becomes of a statement that asks for a lock, or gives one back: it `waits`; its answer is `false`, and the server is not
 * to be asked; or that can't be told.
 */
export type LockVerdict = 'free' | 'waits' | 'false' | 'unknown';

export class AdvisoryLocks {
  private holdings: Holding[] = [];
  /** Of the real session, when it was last asked. */
  private present: ReadonlySet<string> = new Set();

  verdict(task: Task, lock = lockOf(task)): LockVerdict {
    if (!lock || this.holdings.length === 0) return 'free';
    const others = this.others(task, lock);
    if (others.length === 0 || lock.use === 'free all') return 'free';
    if (lock.use === 'free') {
      const own = this.live().some((one) => one.session === task.session && overlap(one.key, keyIn(lock, task)));
      if (own) return 'free';
    }
    if (lock.use === 'take') return 'waits';
    const isSure = lock.column !== undefined && keyIn(lock, task) !== ANY && others.some(({ key }) => key !== ANY);
    return isSure ? 'false' : 'unknown';
  }

  /** What others hold that excludes a lock. */
  private others(task: Task, lock: SessionLock): Holding[] {
    const wanted = keyIn(lock, task);
    const excludes = (one: Holding): boolean => lock.use === 'free' || !one.shared || !lock.shared;
    return this.live().filter((one) => one.session !== task.session && excludes(one) && overlap(one.key, wanted));
  }

  private live(): Holding[] {
    return (this.holdings = this.holdings.filter(({ session, tx }) => tx === undefined || session.tx === tx));
  }

  /** After a statement that takes locks or gives some back. `held` are the keys of the real session; returns what is to follow. */
  used(task: Task, lock: SessionLock, held: readonly string[]): string[] {
    const { session, level } = task;
    const { present } = this;
    level.locked = true;
    this.present = new Set(held);
    if (lock.use === 'free all') {
      this.holdings = this.live().filter((one) => one.session !== session || one.tx !== undefined);
      return this.holdings.flatMap((one) => (one.tx || one.key === ANY ? [] : call('lock', one))); // they went, too
    }
    const key = keyIn(lock, task);
    if (lock.use === 'free') {
      this.holdings = this.live().filter((one) => one.key === ANY || this.present.has(one.key));
      const gone = key === ANY && present.size > this.present.size;
      const at = this.holdings.findIndex((one) => one.session === session && !one.tx && overlap(one.key, key));
      if (!gone && at >= 0) this.holdings.splice(at, 1);
      return [];
    }
    const tx = lock.ofTransaction ? session.tx : undefined;
    if (lock.ofTransaction && !tx) return [];
    const taken = key === ANY ? held.filter((one) => !present.has(one)) : held.includes(key) ? [key] : [];
    if (key === ANY && taken.length === 0 && lock.use === 'take') taken.push(ANY); // one that was held already
    for (const one of taken) this.holdings.push({ session, level, tx, key: one, shared: lock.shared });
    return [];
  }

  /** A savepoint was rolled back to: which locks went with it is not known. */
  rolledBack(tx: Transaction): void {
    this.holdings = this.holdings.map((one) => (one.tx === tx ? { ...one, key: ANY } : one));
  }

  /** The first of those that wait for one another. */
  deadlocked(queue: readonly Task[]): Task | undefined {
    const waiting = new Map<Session, Task>();
    for (const task of queue) if (!waiting.has(task.session)) waiting.set(task.session, task);
    const leadsTo = (from: Session, to: Session, seen: Set<Session>): boolean => {
      const task = waiting.get(from);
      const lock = task && lockOf(task);
      if (!lock || lock.use !== 'take' || keyIn(lock, task) === ANY || seen.has(from)) return false;
      seen.add(from);
      return this.others(task, lock).some((one) => one.session === to || leadsTo(one.session, to, seen));
    };
    return this.holdings.length < 2
      ? undefined
      : [...waiting.values()].find(({ session }) => leadsTo(session, session, new Set()));
  }

  /** A client has gone, and its session with it. Returns how its locks are given back. */
  left(session: Session): string[] {
    return this.giveBack((one) => one.session === session);
  }

  /** A scope is over. Returns how its locks are given back. */
  end(level: Level): { readonly wereLeft: boolean; readonly sql: readonly string[] } {
    const wereLeft = this.live().some((one) => one.level === level && !one.tx);
    const sql = this.giveBack((one) => one.level === level);
    return { wereLeft, sql: this.holdings.length > 0 ? sql : ['SELECT pg_catalog.pg_advisory_unlock_all()'] };
  }

  private giveBack(which: (one: Holding) => boolean): string[] {
    const gone = this.live().filter(which);
    this.holdings = this.holdings.filter((one) => !which(one));
    return gone.flatMap((one) => (one.tx || one.key === ANY ? [] : call('unlock', one)));
  }
}

/** The lock that a statement takes, or gives back. */
function lockOf({ script }: Task): SessionLock | undefined {
  if (script.kind !== 'one' || script.statement.kind !== 'plain') return undefined;
  return script.statement.traits.sessionLock;
}

const overlap = (one: string, other: string): boolean => one === ANY || other === ANY || one === other;

function call(what: 'lock' | 'unlock', { key, shared }: Holding): string {
  const [high = '0', low = '0', kind] = key.split(',');
  const args = kind === '1' ? BigInt.asIntN(64, (BigInt(high) << 32n) | BigInt(low)) : `${int4(high)}, ${int4(low)}`;
  return `SELECT pg_catalog.pg_advisory_${what}${shared ? '_shared' : ''}(${args})`;
}

const int4 = (unsigned: string): bigint => BigInt.asIntN(32, BigInt(unsigned));

function keyIn({ key }: SessionLock, { job }: Task): string {
  return keyOf(key, job.values);
}

/** As pg_locks has it: two halves, and whether they are one number (1) or two (2). */
function keyOf(key: LockKey, values: readonly unknown[]): string {
  const parts = key.map((part) => {
    if (part === 'computed') return undefined;
    const value = String(typeof part === 'object' ? values[part.parameter - 1] : part).trim();
    return /^[+-]?\d+$/.test(value) ? BigInt(value) : undefined;
  });
  const [one, two] = parts;
  if (one === undefined || parts.length > 2) return ANY;
  if (parts.length === 1) return `${BigInt.asUintN(32, one >> 32n)},${BigInt.asUintN(32, one)},1`;
  return two === undefined ? ANY : `${BigInt.asUintN(32, one)},${BigInt.asUintN(32, two)},2`;
}
