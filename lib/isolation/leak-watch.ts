import { commits } from '../modes';
import type { RewindError } from '../errors';
import type { Sandbox } from '../sandbox';
import type { Difference, Snapshot } from '../snapshot';
import type { Scope } from '../scope';
import { realTimers } from '../timers';

/** A test without a query is worth a message to the server, nobody waits for, if it took longer than that. */
const WORTH_A_READING_MS = 1;

/** A difference nobody is to be charged with now. */
interface Known extends Difference {
  readonly suspects: Leak['suspects'];
  /** Until its end. */
  readonly scope: Scope;
  /** `charge`: its hooks have written that, and may yet clean it up. `repair`: it was reported, and could not be repaired. */
  readonly then: 'charge' | 'repair';
}

export interface Leak {
  readonly suspects: readonly [Scope, ...Scope[]];
  /** `the sandbox`: its transaction was ended by a statement of the suspects'. */
  readonly from: 'the sandbox' | 'outside';
  readonly tables: readonly Difference[];
  /** `locked`: not before the suite around has ended. An error: why not. */
  readonly repaired: 'yes' | 'locked' | RewindError;
}

/** DDL that was committed past a scope: it stays. */
export interface SchemaLeak {
  readonly suspects: readonly [Scope, ...Scope[]];
  readonly change: string;
  /** `hooks` of suites that are not over may mean to; a test may not. */
  readonly by: 'hooks' | 'a test';
}

/**
 * Finds who wrote to a database past the sandbox while tests roll back, or after a committing test was restored.
 *
 * The server counts what is written from outside. The count is read when a test has ended; the answer comes while Mocha is
 * busy with the next one's beginning. If it has moved, what came of it is looked at: committed rows are a leak; work that was
 * rolled back is none; a transaction that is still open is looked at again.
 */
export class LeakWatch {
  /** Scopes whose code may have run since the last reading. */
  #ran: Scope[];
  /** Scopes whose code ran while somebody outside wrote, and it isn't known yet what comes of it. */
  readonly #suspects = new Set<Scope>();
  /** Tests with statements that have ended the sandbox's transaction. */
  readonly #escaped = new WeakSet<Scope>();
  #known: Known[] = [];
  /** Tests that have rolled back since the last look. */
  #unseen: Scope[] = [];
  #last: Promise<unknown> = Promise.resolve();
  #settledIn: Scope | undefined;
  /** Once there was a leak, each test's end waits for its reading: so the next one fails the test itself. */
  #waits = false;
  #testBegan = 0;
  #queriesSeen = 0;
  #escapesSeen = 0;

  constructor(
    private readonly snapshot: Snapshot,
    private readonly sandboxes: () => readonly Sandbox[],
    /** While committing code runs, and until it is restored, nothing is a leak. */
    private readonly isPaused: () => boolean,
    private readonly report: (leak: Leak | SchemaLeak) => void,
    present: Scope | undefined,
  ) {
    this.#ran = present ? [present] : [];
  }

  enter(scope: Scope): void {
    // What hooks write belongs to their suite, not to a test before or after them.
    if (scope.kind !== 'test' || this.#ran.some((s) => s.kind !== 'test')) this.#read();
    this.#ran.push(scope);
    if (scope.kind !== 'test') return;
    this.#testBegan = realTimers.now();
    this.#queriesSeen = this.#total('queries');
  }

  /** Its `after` hooks have run. */
  leave(scope: Scope): void {
    if (scope.kind !== 'test') this.#ran.push(scope);
  }

  async depart(test: Scope): Promise<void> {
    const isWorthIt =
      this.#total('queries') > this.#queriesSeen || realTimers.now() - this.#testBegan > WORTH_A_READING_MS;
    if (isWorthIt || this.#waits) this.#read();
    this.#unseen.push(test);
    const escaped = this.#total('escapes') > this.#escapesSeen;
    this.#escapesSeen = this.#total('escapes');
    if (escaped) {
      this.#escaped.add(test);
      this.#suspects.add(test);
    }
    if (escaped || this.#waits) await this.settle(test);
  }

  /** Readings that are under way, and what they lead to. A test does not begin before. */
  async quiet(): Promise<void> {
    await this.#last;
  }

  /** Whether there is something to settle before a statement of this scope may run. */
  isDue(scope: Scope): boolean {
    return (
      this.#settledIn !== scope &&
      (this.#suspects.size > 0 || this.#ran.some((s) => s !== scope) || this.#known.some((known) => known.scope.ended))
    );
  }

  /**
   * Afterwards nothing is left of what outside code has written, except where it was reported that it is. Before a
   * committing scope it is called ahead of its code, else at its first statement.
   */
  settle(present?: Scope): Promise<void> {
    if (this.#ran.some((s) => s !== present)) {
      const runsOn = present && this.#ran.includes(present) && !present.ended;
      if (present && commits(present.mode)) this.#ran = this.#ran.filter((s) => s !== present);
      this.#read();
      if (runsOn) this.#ran.push(present);
    }
    this.#settledIn = present;
    // Not all is counted: the schema's changes only where event triggers can be had, nor bytes of large objects.
    const thoroughly = !present || commits(present.mode);
    return this.#next(() => this.#settle(present, thoroughly ? this.#unseen : []));
  }

  /** Who may have left what is still open. */
  get suspects(): Iterable<Scope> {
    return this.#suspects;
  }

  /** What is there now is a checkpoint, or has been restored to one. */
  atCheckpoint(): void {
    this.#suspects.clear();
    this.#unseen = [];
    this.#known = [];
  }

  async #settle(present: Scope | undefined, unseen: readonly Scope[] = []): Promise<void> {
    if (this.isPaused()) return;
    const over = this.#known.filter((known) => known.scope.ended);
    if (over.length === 0 && this.#suspects.size === 0 && unseen.length === 0) return;
    for (const sandbox of this.sandboxes()) await sandbox.flush(); // what ended tests have locked is in nobody's way
    this.#known = this.#known.filter((known) => !known.scope.ended);
    for (const { scope, then } of over) if (then === 'charge') this.#suspects.add(scope);
    const left = over.filter(({ then }) => then === 'repair');
    if (left[0]) await this.#repairLeft(left, left[0].suspects, present);
    await this.#look(present, this.#suspects.size > 0 ? [...this.#suspects] : unseen);
  }

  async #look(present: Scope | undefined, [first, ...others]: readonly Scope[]): Promise<void> {
    if (!first) return;
    const suspects = [first, ...others] as const;
    const { differences, open, schemaChange } = await this.snapshot.look(
      this.sandboxes().flatMap(({ pid }) => pid ?? []),
    );
    if (!open) this.#suspects.clear();
    this.#unseen = [];
    const [escapee, ...more] = suspects.filter((scope) => this.#escaped.has(scope));
    const blamed = escapee ? ([escapee, ...more] as const) : suspects;
    const hooks = suspects.every(isLiveSuite) ? suspects.at(-1) : undefined;
    if (schemaChange !== undefined) {
      this.#waits ||= !hooks;
      this.report({ suspects: blamed, change: schemaChange, by: hooks ? 'hooks' : 'a test' });
    }
    const fresh = differences
      .map((d) => this.#sinceKnown(d))
      .filter(({ extra, missing }) => extra !== 0 || missing !== 0);
    if (fresh.length === 0) return;
    const found = differences.filter(({ name }) => fresh.some((f) => f.name === name));
    if (hooks) {
      this.#keep(found, hooks, 'charge', [hooks]);
      return;
    }
    const repaired = await this.#repair(found, blamed, present);
    this.#waits = true;
    this.report({ suspects: blamed, from: escapee ? 'the sandbox' : 'outside', tables: fresh, repaired });
  }

  #sinceKnown(difference: Difference): Difference {
    const known = this.#known.filter(({ name }) => name === difference.name).at(-1);
    if (!known) return difference;
    const { name, extra, missing } = difference;
    return { name, extra: extra - known.extra, missing: missing - known.missing };
  }

  #keep(differences: readonly Difference[], scope: Scope, then: Known['then'], suspects: Known['suspects']): void {
    for (const { name, extra, missing } of differences)
      this.#known.push({ name, extra, missing, scope, then, suspects });
  }

  /** Unless `yes`: it is tried again when the suite around has ended, or done by the restore at the end of the run. */
  async #repair(
    tables: readonly Difference[],
    suspects: Leak['suspects'],
    present: Scope | undefined,
  ): Promise<Leak['repaired']> {
    const repaired = await this.#tryToRepair(tables.map(({ name }) => name));
    if (repaired !== 'yes' && present) this.#keep(tables, enclosing(present), 'repair', suspects);
    return repaired;
  }

  async #tryToRepair(names: readonly string[]): Promise<Leak['repaired']> {
    if (this.#known.some(({ name }) => names.includes(name))) return 'locked'; // by hooks that have yet to clean it up
    try {
      return (await this.snapshot.repair(names)) ? 'yes' : 'locked';
    } catch (error) {
      return error as RewindError;
    }
  }

  /** The leak has been reported: what is new is that it can't be repaired, and not for a lock. */
  async #repairLeft(tables: readonly Known[], suspects: Leak['suspects'], present: Scope | undefined): Promise<void> {
    const repaired = await this.#repair(tables, suspects, present);
    if (repaired instanceof Error) this.report({ suspects, from: 'outside', tables, repaired });
  }

  #read(): void {
    const ran = this.#ran;
    const last = ran.at(-1);
    this.#ran = [];
    if (!last || this.isPaused()) return;
    // Whoever waits for it, or comes after it, is told if this fails: the suspects stay.
    void this.#next(async () => {
      const moved = await this.snapshot.wroteOutside().catch(() => true);
      if (!moved) return;
      for (const scope of ran) this.#suspects.add(scope);
      await this.#settle(last);
    });
  }

  #next<T>(step: () => Promise<T>): Promise<T> {
    const result = this.#last.then(step);
    this.#last = result.catch(() => {});
    return result;
  }

  #total(count: 'queries' | 'escapes'): number {
    return this.sandboxes().reduce((sum, sandbox) => sum + sandbox[count], 0);
  }
}

function isLiveSuite(scope: Scope): boolean {
  return scope.kind !== 'test' && !scope.ended;
}

/** The innermost suite around, whose sandbox may be what a repair has to wait for. */
function enclosing(scope: Scope): Scope {
  let suite = scope;
  while (suite.parent && (suite.kind === 'test' || suite.ended)) suite = suite.parent;
  return suite;
}
