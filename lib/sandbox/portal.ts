// Cursors and query streams. They speak PostgreSQL's extended protocol themselves (pg-cursor 2.22, pg-query-stream 4.17:
// parse, bind, describe, flush; then execute + flush per page; sync at the end), and a portal that is open on the one real
// connection would lock everybody else out. So they get a connection of their own that looks like pg's and answers from a
// buffer: the query runs once, to its end, and its messages are handed out page by page as the server would.
import { EventEmitter } from 'node:events';
import { realTimers } from '../timers';
import type { Receiver, Submittable } from './wire';

/** What the submittable asked for before its first flush. */
export interface PortalQuery {
  readonly text: string;
  readonly values: readonly unknown[] | undefined;
  readonly binary: boolean;
}

export type Cursor = Submittable & Partial<Receiver> & { handlePortalSuspended?(connection: unknown): void };

/** The connection a cursor sees. */
export class Portal extends EventEmitter {
  readonly stream = { cork: () => {}, uncork: () => {}, write: () => true, writable: true };
  readonly parsedStatements: Record<string, string> = {};
  private text = '';
  private values: readonly unknown[] | undefined;
  private binary = false;
  private started = false;
  private finished = false;
  private description: unknown;
  private rows: unknown[] = [];
  private end: { readonly complete: unknown } | { readonly error: Error } | undefined;
  /** Page sizes asked for and not yet given. */
  private asked: number[] = [];
  private syncAsked = false;
  private failed = false;
  private failedNow = false;

  constructor(
    private readonly cursor: Cursor,
    private readonly run: (query: PortalQuery, receiver: Receiver) => void,
    private readonly done: () => void,
  ) {
    super();
  }

  /** Starts the cursor. What it does next it does through the methods below. */
  open(): void {
    this.cursor.submit(this);
  }

  // --- the half of pg's Connection that a submittable calls

  parse(message: { text: string }): void {
    this.text = message.text;
  }
  bind(message: {
    values?: readonly unknown[];
    binary?: boolean;
    valueMapper?: (value: unknown, index: number) => unknown;
  }): void {
    const { values, valueMapper } = message;
    this.values = valueMapper && values ? values.map(valueMapper) : (values ?? undefined);
    this.binary = message.binary === true;
  }
  describe(): void {}
  execute(message: { rows?: number }): void {
    this.asked.push(message.rows ?? 0);
  }
  query(text: string): void {
    this.text = text;
    this.asked.push(0);
    this.sync();
  }
  flush(): void {
    if (!this.started) {
      this.started = true;
      this.run({ text: this.text, values: this.values, binary: this.binary }, this.buffer());
    } else {
      this.later();
    }
  }
  sync(): void {
    this.syncAsked = true;
    this.flush();
  }
  close(): void {}
  ref(): void {}
  unref(): void {}

  /** The test is over, or the connection was given back: nothing more will come. */
  abandon(error: Error): void {
    if (this.finished) return;
    this.end ??= { error };
    this.rows = [];
    this.later();
  }

  private buffer(): Receiver {
    return {
      handleRowDescription: (message) => {
        this.description = message;
      },
      handleDataRow: (message) => {
        this.rows.push(message);
      },
      handleCommandComplete: (message) => {
        this.end ??= { complete: message };
      },
      handleEmptyQuery: () => {
        this.end ??= { complete: undefined };
      },
      handleError: (error) => {
        this.end ??= { error };
        this.describeResult();
        this.later();
      },
      handleReadyForQuery: () => {
        this.describeResult();
        this.later();
      },
    };
  }

  private describeResult(): void {
    if (this.description) {
      this.emit('rowDescription', this.description);
      this.cursor.handleRowDescription?.(this.description);
    } else if (this.end && !('error' in this.end)) {
      this.emit('noData');
    }
  }

  private later(): void {
    realTimers.setImmediate(() => this.serve());
  }

  private serve(): void {
    if (this.finished || !this.end) return;
    while (!this.failed && (this.asked.length > 0 || ('error' in this.end && this.rows.length === 0))) {
      const wanted = this.asked.shift() ?? 0;
      if (!this.page(wanted)) break;
    }
    if (this.failedNow) {
      // ReadyForQuery is a message of its own: who was told of the error may still begin to wait for it
      this.failedNow = false;
      this.later();
    } else if (this.syncAsked) {
      this.finished = true;
      // pg tells a submittable nothing more once it has failed (client.js, _handleErrorMessage)
      if (!this.failed) this.cursor.handleReadyForQuery?.(this);
      this.emit('readyForQuery', { status: 'I' });
      this.done();
    }
  }

  /** One Execute: rows up to the limit, then PortalSuspended, CommandComplete, or the error the query ended with. */
  private page(limit: number): boolean {
    const count = limit === 0 ? this.rows.length : Math.min(limit, this.rows.length);
    for (const row of this.rows.splice(0, count)) this.cursor.handleDataRow?.(row);
    if (limit !== 0 && count === limit) {
      this.cursor.handlePortalSuspended?.(this);
      return true;
    }
    const end = this.end;
    if (end && 'error' in end) {
      this.failed = true;
      this.failedNow = true;
      this.cursor.handleError?.(end.error, this);
      this.syncAsked = true; // a submittable that fails without a Sync of its own must not block the connection
      return false;
    }
    if (end?.complete === undefined) this.cursor.handleEmptyQuery?.(this);
    else this.cursor.handleCommandComplete?.(end.complete, this);
    return true;
  }
}
