// A model of the real transaction: which savepoints the server has, once everything queued has been executed. All rules
// of nesting (PostgreSQL manual, ROLLBACK TO SAVEPOINT and RELEASE SAVEPOINT) live here; pure, no I/O.

export interface Mark {
  /**
   * `level`: of a scope; the bottom one is BEGIN itself. `guard`: protects what was written before an autocommit
   * statement. `transaction`: the app's BEGIN. `savepoint`: the app's own.
   */
  readonly kind: 'level' | 'guard' | 'transaction' | 'savepoint';
  readonly name: string;
  /** Whether anything may have been written above this mark and below the next. */
  written: boolean;
  /** What statements of ours above this mark and below the next have set up, and a rollback would undo. */
  readonly notes: Map<string, unknown>;
}

export function mark(kind: Mark['kind'], name: string): Mark {
  return { kind, name, written: false, notes: new Map() };
}

export class SavepointStack {
  private marks: Mark[] = [];
  private queued: string[] = [];

  /** `ROLLBACK AND CHAIN` (PostgreSQL 12 and newer) is a ROLLBACK and a BEGIN in one statement. */
  canChain = false;

  get top(): Mark | undefined {
    return this.marks.at(-1);
  }

  get empty(): boolean {
    return this.marks.length === 0;
  }

  get depth(): number {
    return this.marks.length;
  }

  has(wanted: Mark | undefined): wanted is Mark {
    return wanted !== undefined && this.marks.includes(wanted);
  }

  above(lower: Mark): readonly Mark[] {
    return this.marks.slice(this.marks.indexOf(lower) + 1);
  }

  /** Whether anything may have been written since `from` was set. */
  writtenSince(from: Mark): boolean {
    return this.marks.slice(this.marks.indexOf(from)).some((m) => m.written);
  }

  /** The innermost app savepoint of this name above `lower`, as the server would find it. */
  savepoint(name: string, lower: Mark): Mark | undefined {
    return this.above(lower)
      .filter((m) => m.kind === 'savepoint' && m.name === name)
      .at(-1);
  }

  /** Remembers what is queued for the next statement, for as long as it lasts. */
  note(key: string, value: unknown): void {
    this.top?.notes.set(key, value);
  }

  noted(key: string): unknown {
    for (let i = this.marks.length - 1; i >= 0; i--) {
      const { notes } = this.marks[i] as Mark;
      if (notes.has(key)) return notes.get(key);
    }
    return undefined;
  }

  /** Queues a statement of ours that is not about savepoints. */
  queue(sql: string): void {
    this.queued.push(sql);
  }

  queueAll(statements: readonly string[]): void {
    this.queued.push(...statements);
  }

  push(added: Mark): void {
    clear(added);
    if (this.marks.length === 0) {
      if (this.canChain && this.queued.at(-1) === 'ROLLBACK') this.queued.splice(-1, 1, 'ROLLBACK AND CHAIN');
      else this.queued.push('BEGIN');
    } else if (
      this.queued.at(-1) === `RELEASE SAVEPOINT ${added.name}` &&
      this.queued.at(-2) === `ROLLBACK TO SAVEPOINT ${added.name}`
    ) {
      this.queued.pop(); // the savepoint that was about to go is in the right place, and clean
    } else {
      this.queued.push(`SAVEPOINT ${added.name}`);
    }
    this.marks.push(added);
  }

  /** The app has set a savepoint itself. */
  pushSent(added: Mark): void {
    this.marks.push(added);
  }

  /** RELEASE: everything since `from` becomes part of what is below it. */
  release(from: Mark): void {
    this.queued.push(`RELEASE SAVEPOINT ${from.name}`);
    this.releaseSent(from);
  }

  releaseSent(from: Mark): void {
    const gone = this.marks.splice(this.marks.indexOf(from));
    const below = this.top;
    if (!below) return;
    if (gone.some((m) => m.written)) below.written = true;
    for (const { notes } of gone) for (const [key, value] of notes) below.notes.set(key, value);
  }

  /** ROLLBACK TO: `to` stays, clean. The bottom goes too, because it is BEGIN. */
  rollbackTo(to: Mark): void {
    this.dropSavepointWork();
    if (this.marks[0] === to) {
      this.marks = [];
      this.queued.push('ROLLBACK');
    } else {
      this.queued.push(`ROLLBACK TO SAVEPOINT ${to.name}`);
      this.rollbackToSent(to);
    }
  }

  rollbackToSent(to: Mark): void {
    this.marks.length = this.marks.indexOf(to) + 1;
    clear(to);
  }

  /** ROLLBACK TO and RELEASE: as if `from` had never been set. */
  discard(from: Mark): void {
    this.rollbackTo(from);
    if (!this.has(from)) return;
    this.queued.push(`RELEASE SAVEPOINT ${from.name}`);
    this.marks.pop();
  }

  /** What has to be sent before anything else, in order. */
  take(): readonly string[] {
    const taken = this.queued;
    this.queued = [];
    return taken;
  }

  get pending(): boolean {
    return this.queued.length > 0;
  }

  /** The transaction is gone, by whatever way. */
  reset(): void {
    this.marks = [];
    this.queued = [];
  }

  // Whatever is queued when a mark is rolled back to concerns marks above it: marks are only ever set together with a
  // statement that is sent, never queued alone. Savepoint statements about them are needless then.
  private dropSavepointWork(): void {
    this.queued = this.queued.filter((sql) => !/^(RELEASE|ROLLBACK TO) SAVEPOINT /.test(sql));
  }
}

function clear(cleared: Mark): void {
  cleared.written = false;
  if (cleared.notes.size > 0) cleared.notes.clear();
}
