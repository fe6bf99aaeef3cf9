// What the sandbox knows of one connection of the app's: the route that its client connection leads to.
import type { Scope } from '../scope';
import { realTimers } from '../timers';
import { frames, type Client, type ErrorFields, type Route, type Segment, type ServerConnection } from '../wire';
import { Caveats } from './caveats';
import { Cursor } from './cursor';
import type { Flow } from './flow';
import { Job } from './job';
import type { Lender, Pinned, RealSource } from './pinned';
import { NONE, type Home, type Settings } from './profiles';
import { mark, type Mark } from './stack';
import type { Script, TransactionModes } from './statement';

/** A scope as the sandbox sees it: whether anything was sent in it, and what went wrong. */
export interface Level {
  /** Undefined for the ground below the root, where nothing is ever committed. */
  readonly scope: Scope | undefined;
  readonly mark: Mark;
  ended: boolean;
  readonly problems: Error[];
  /** Why what was written in it is gone before its end. */
  lost: Error | undefined;
  /** Whether its end leaves traces in the session that a rollback does not undo. */
  ddl: boolean;
  locked: boolean;
  /** Whether code of the database's has run in it, which may have done anything, also to the schema. */
  ranCode: boolean;
  readonly caveats: Caveats;
  /** What connections had set before, that have set something in it. */
  readonly settings: Map<Session, Settings>;
}

/** A transaction of the app's: its BEGIN is a savepoint of ours. */
export interface Transaction {
  readonly mark: Mark;
  /** Whose code has begun it, as far as is known. */
  readonly by: Scope | undefined;
  /** Where `knex.transaction()` was called, if it was. */
  readonly site: string | undefined;
  isolation: string | undefined;
  readOnly: boolean;
  /** Begun by a string of several statements, not by BEGIN: it ends with the string. */
  implicit: boolean;
  /** PostgreSQL refuses everything until ROLLBACK [TO]. */
  failed: boolean;
  /** Whether a statement has run in it: then it has its snapshot. */
  started: boolean;
  ddl: boolean;
  /** The app's savepoints, to set them again where the transaction was parked. */
  savepoints: string[];
  /** What parameters set with SET LOCAL were before, by name. */
  readonly locals: Map<string, string | null>;
  /** Temporary tables that go at commit. */
  readonly drops: string[];
  /** When it began, by our own clock. */
  readonly begun: number;
  /** What `now()` is in it, as SQL; undefined until somebody asks, `now()` where the real one is right. */
  clock: string | undefined;
  /** The statement of ours that asked for it. */
  asked: string | undefined;
  /** What its connection had set before. */
  readonly settings: Settings;
  /** Whether it has declared cursors, which are closed at commit. */
  cursors: boolean;
}

export function transaction(given: TransactionModes, { site, settings, home, connection }: Session): Transaction {
  const modes = { ...home.modes, ...given };
  return {
    mark: mark('transaction', 'rewind_t'),
    by: connection.by,
    site: site?.(),
    settings,
    isolation: modes.isolation,
    readOnly: modes.readOnly ?? false,
    implicit: false,
    failed: false,
    started: false,
    ddl: false,
    savepoints: [],
    locals: new Map(),
    drops: [],
    begun: realTimers.now(),
    clock: undefined,
    asked: undefined,
    cursors: false,
  };
}

/** Whether it keeps seeing the data as of its first statement (PostgreSQL manual, 13.2.2). */
export function hasFixedSnapshot(tx: Transaction): boolean {
  return tx.started && (tx.isolation === 'repeatable read' || tx.isolation === 'serializable');
}

/** What a session hands its jobs to. */
export interface SessionHost {
  /** The real session, if there is one just now. */
  readonly server: ServerConnection | undefined;
  accept(session: Session, job: Job): void;
  isActive(session: Session): boolean;
  isQueued(session: Session): boolean;
  homeOf(source: RealSource): Home;
  cursorClosed(session: Session): void;
  cancel(session: Session): void;
}

/** The app's end of a connection. */
export interface AppEnd extends Lender {
  readonly client: { readonly __knex__disposed?: unknown };
  /** Whose code has begun what is under way, as far as is known. */
  readonly by: Scope | undefined;
  /** An error that the client is about to be told. */
  telling(error: Error): ErrorFields;
  /** Somebody has it still, whose scope has ended: others get its place in the pool. */
  giveUp(): void;
}

const { Status } = frames;

export class Session implements Route {
  readonly takes = 'one';
  /** The scope it was checked out in. */
  level: Level | undefined;
  /** The transaction callback it was checked out in; its own one left out. */
  inside: Flow | undefined;
  site: (() => string) | undefined;
  tx: Transaction | undefined;
  /** Names the scope that ended while a transaction was open here: nothing on it can be right any more. */
  cut: string | undefined;
  /** That transaction was begun by code that outlives the scope, which may begin it again. */
  mayRetry = false;
  /** What it has set for itself. */
  settings: Settings = NONE;
  /** That it has open. */
  cursor: Cursor | undefined;
  /** The real session that can stand for its own: it has been seen to. */
  welcomedTo: Pinned | undefined;

  constructor(
    readonly host: SessionHost,
    readonly source: RealSource,
    /** Its other end. */
    readonly connection: AppEnd,
  ) {}

  /** What it starts from. */
  get home(): Home {
    return this.host.homeOf(this.source);
  }

  run(segment: Segment): void {
    if (this.cursor) return this.cursor.serve(segment);
    if (segment.requests.length === 0) return realTimers.nextTick(() => segment.finish(this.status)); // a Sync alone
    const job = new Job(this, segment);
    if (job.opensCursor) {
      this.cursor = job.cursor = new Cursor(
        () => this.closeCursor(),
        () => this.status,
      );
      job.cursor.serve(segment);
    }
    this.host.accept(this, job);
  }

  private closeCursor(): void {
    this.cursor = undefined;
    this.host.cursorClosed(this);
  }

  copy(_client: Client, frame: Buffer): boolean {
    return !this.host.isActive(this) || (this.host.server?.copy(frame) ?? true);
  }
  cancel(): void {
    this.host.cancel(this);
  }
  drained(): void {}
  leave(client: Client): void {
    if (client.copying) this.copy(client, frames.copyFail('the client has gone'));
    client.copying = false;
    if (this.cursor) this.closeCursor();
  }

  /** A cancel request for a statement that still waits would strike the one that runs. */
  get pid(): number {
    if (this.host.isQueued(this) && !this.host.isActive(this)) return 0;
    return this.host.server?.pid ?? 0;
  }

  /** Of its transaction, for the app to see. */
  get status(): frames.Status {
    if (!this.tx) return Status.idle;
    return this.tx.failed ? Status.failed : Status.open;
  }
}

/** One job on its way through the sandbox. */
export interface Task {
  readonly session: Session;
  readonly job: Job;
  readonly script: Script;
  /** Also where the app has sent only the name of a prepared statement. */
  readonly text: string;
  /** The scope that ran when it was accepted; if it is to outlive that, the one around. */
  level: Level;
}

/** A scope that was just entered. Its savepoint's name tells its depth. */
export function level(scope: Scope | undefined, depth: number): Level {
  return {
    scope,
    mark: mark('level', `rewind_${depth}`),
    ended: false,
    problems: [],
    lost: undefined,
    ddl: false,
    locked: false,
    ranCode: false,
    caveats: new Caveats(),
    settings: new Map(),
  };
}

/** Whether its pool would let a statement run only in a transaction that may not write. */
export function needsTransaction({ home, tx }: Session, { writes }: { readonly writes: boolean }): boolean {
  return home.modes.readOnly === true && !tx && writes;
}
