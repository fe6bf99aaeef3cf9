// The one real session under a sandbox, as the executor uses it: statements of ours ahead of what a client has sent, under
// one Sync.
import {
  frames,
  SharedNames,
  type Batch,
  type BatchOwner,
  type Client,
  type Ended,
  type ErrorFields,
  type Outcome as BatchOutcome,
} from '../wire';
import type { Cursor, OpenPortal } from './cursor';
import { endOf, errorFrom, errorOf, type ServerSession } from './server-session';

/** How the server stands after a batch: idle, in a transaction, in a failed one; undefined where it is gone. */
export type ServerStatus = 'I' | 'T' | 'E' | undefined;

/** What became of a batch. `where` says which part of it failed: ours, the client's, or the connection itself. */
export interface Outcome {
  readonly error: Error | undefined;
  readonly where: 'prefix' | 'body' | 'connection';
  /** The client's part has told the server to commit: it may be in the next transaction (AND CHAIN) already. */
  readonly committed: boolean;
}

/** In place of a statement as the client has sent it. */
export interface Sent {
  readonly text?: string | undefined;
  /** It is worth a name on the server. */
  readonly isKept?: boolean;
}

/** A cursor, and whose it is. */
export interface Opened {
  readonly cursor: Cursor;
  readonly client: Client;
}

/** The client's part of a batch. */
export interface Body {
  /** A simple Query, which needs no Sync. */
  readonly isSimple: boolean;
  /** Returns the error that is the answer, where the server is not to be asked. */
  write(batch: Batch, server: SandboxServer): ErrorFields | undefined;
  push(bytes: Buffer): void;
  /** The last part of the server's answer; it may end in a ReadyForQuery. */
  tail(bytes: Buffer): void;
  /** A cursor whose portal is open now: the batch is over when that is. */
  opens?(): Opened | undefined;
  /** The server has found no rows. */
  readonly isEmpty?: boolean;
  copyIn(): void;
}

/** An app has few distinct statements, and those who make up new ones gain nothing. */
const KEPT_LIMIT = 500;

/** Our statements that come again and again: the server parses them once. */
const REPEATED =
  /^(BEGIN|DISCARD SEQUENCES|ROLLBACK|ROLLBACK AND CHAIN|(SAVEPOINT|RELEASE SAVEPOINT|ROLLBACK TO SAVEPOINT) rewind_\w+)$/;

const STATUS = { [frames.Status.idle]: 'I', [frames.Status.open]: 'T', [frames.Status.failed]: 'E' } as const;

export class SandboxServer {
  readonly names: SharedNames;
  /** What the last statement of ours that was a query has given. */
  answer: { readonly sql: string; readonly value: string } | undefined;
  /** Texts of statements that came once, or more often. */
  private readonly seen = new Set<string>();
  private replaced: { readonly text: string; readonly by: Sent } | undefined;

  constructor(readonly connection: ServerSession) {
    this.names = new SharedNames(this.connection.names, {
      textOf: ({ text }) => (text === this.replaced?.text && this.replaced.by.text) || text,
      searchPathOf: () => '',
      isKept: ({ text }) => text === this.replaced?.text && this.replaced.by.isKept === true,
    });
  }

  get status(): ServerStatus {
    return this.connection.ended ? undefined : STATUS[this.connection.status];
  }

  /** Whether a statement of the app's is worth a name on the server: its text has come before. */
  comesAgain(text: string): boolean {
    if (this.seen.has(text)) return true;
    if (this.seen.size < KEPT_LIMIT) this.seen.add(text);
    return false;
  }

  /** For the batch that is being written: what is sent for the statement of this text. */
  replace(text: string, by: Sent): void {
    this.replaced = { text, by };
  }

  /** Our statements, and `body` behind them: one write, one round trip; if one fails, the server skips the rest. */
  send(prefix: readonly string[], body: Body | undefined, done: (outcome: Outcome) => void): void {
    const batch = this.connection.batch();
    for (const sql of prefix) {
      if (REPEATED.test(sql)) batch.ownAgain(sql);
      else if (sql.startsWith('SELECT')) batch.ownOnce(sql, undefined, (row) => this.keep(sql, row));
      else batch.ownOnce(sql);
    }
    this.names.closePortals(batch);
    const refused = body?.write(batch, this);
    if (!body?.isSimple) batch.sync(body !== undefined);
    this.connection.run(batch, new Sending(body, refused, done, this));
  }

  private keep(sql: string, row: Buffer): void {
    this.answer = { sql, value: frames.readRow(row)[0] ?? 'null' };
  }
}

class Sending implements BatchOwner {
  readonly holdsErrors = true;

  constructor(
    private readonly body: Body | undefined,
    private readonly refused: ErrorFields | undefined,
    private readonly report: (outcome: Outcome) => void,
    private readonly server: SandboxServer,
  ) {}

  push(bytes: Buffer): void {
    this.body?.push(bytes);
  }
  copyIn(): boolean {
    this.body?.copyIn();
    return true;
  }
  done({ failed, error, committed, tail }: BatchOutcome): void {
    if (tail) this.body?.tail(tail);
    const { refused, report } = this;
    const where = failed === 'own' ? 'prefix' : 'body';
    const opened = error || refused ? undefined : this.body?.opens?.();
    if (opened) return opened.cursor.opened(new Portal(this.server, opened, report));
    this.report({ error: error ? errorOf(error) : refused && errorFrom(refused), where, committed });
  }
  lost(why: Ended): void {
    this.report({ error: endOf(why), where: 'connection', committed: false });
  }
}

const NO_ERROR: Outcome = { error: undefined, where: 'body', committed: false };

class Portal implements OpenPortal {
  constructor(
    private readonly server: SandboxServer,
    private readonly opened: Opened,
    private readonly report: (outcome: Outcome) => void,
  ) {}

  fetch(limit: number, done: () => void): void {
    const { connection } = this.server;
    const { cursor, client } = this.opened;
    const batch = connection.batch().pass(frames.execute(client.portals.get('')?.serverName ?? '', limit), 'execute');
    connection.run(batch.sync(false), {
      holdsErrors: true,
      push: (bytes) => cursor.push(bytes),
      done: ({ error, tail }) => {
        if (tail) cursor.push(tail);
        if (error) this.report({ ...NO_ERROR, error: errorOf(error) });
        else done();
      },
      lost: (why) => this.report({ ...NO_ERROR, error: endOf(why), where: 'connection' }),
    });
  }
  /** Where it is closed at the server, that rides with what comes next. */
  close(): void {
    this.server.names.portalsEnd(this.opened.client);
    this.report(NO_ERROR);
  }
}
