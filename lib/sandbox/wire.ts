// The seam to pg's protocol objects. Read on pg 8.11.3, 8.16.3 and 8.23.1 (lib/client.js, lib/query.js, lib/connection.js).
// What is relied on: a "submittable" has submit(connection) and gets the server's messages through handle…(); the
// connection has parse, bind, describe, execute, sync, query and emits `readyForQuery` with the transaction status.
import type { EventEmitter } from 'node:events';
import { Loan, type Borrower } from './loan';

/* eslint-disable @typescript-eslint/no-explicit-any -- foreign private API */

export interface PgConnection extends EventEmitter {
  readonly stream: { readonly writable: boolean; write(bytes: Buffer): boolean; destroy?(): void };
  readonly parsedStatements: Record<string, string>;
  parse(message: { name?: string; text: string }): void;
  bind(message: { statement?: string; portal?: string; values?: readonly unknown[]; binary?: boolean }): void;
  describe(message: { type: 'P'; name: string }): void;
  execute(message: { portal?: string; rows?: number }): void;
  query(text: string): void;
  sync(): void;
  unref(): void;
}

export interface PgClient extends EventEmitter {
  readonly connection: PgConnection;
  readonly processID: number;
  readonly connectionParameters: { query_timeout?: number | false };
  pipeline?: boolean;
  query(submittable: object): unknown;
  query(text: string, values: readonly unknown[], callback: (error: Error | null, result: any) => void): void;
  end(callback?: () => void): Promise<void> | void;
  unref?(): void;
}

/** Whatever takes a statement's results: pg's `Query`, or something like it. */
export interface Receiver {
  handleRowDescription(message: unknown): void;
  handleDataRow(message: unknown): void;
  handleCommandComplete(message: unknown, connection: unknown): void;
  handleEmptyQuery(connection: unknown): void;
  handleError(error: Error, connection: unknown): void;
  handleReadyForQuery(connection: unknown): void;
}

/** pg's `Query`. */
export interface PgQuery extends Receiver {
  text?: string;
  name?: string;
  values?: unknown[];
  rows?: number;
  binary?: boolean;
  callback?: (error: Error | null, result?: any) => void;
  requiresPreparation(): boolean;
  submit(connection: PgConnection): Error | null;
  _result: { _types?: unknown };
}

export type PgQueryClass = new (config: unknown, values?: unknown, callback?: unknown) => PgQuery;

export interface Submittable {
  submit(connection: unknown): unknown;
  text?: string;
  callback?: (error: Error | null, result?: unknown) => void;
}

/** How the server stands after a message: idle, in a transaction, in a failed one; undefined where it is gone. */
export type ServerStatus = 'I' | 'T' | 'E' | undefined;

/** What became of one message. `where` says which part of it failed: ours, the app's, or the connection itself. */
export interface Outcome {
  readonly error: Error | undefined;
  readonly where: 'prefix' | 'body' | 'client' | 'connection';
  /** Whether a foreign submittable was told of a COMMIT: the server may be in the next transaction (AND CHAIN) already. */
  readonly committed?: boolean;
}

/** The app's part of a message. */
export interface Body {
  readonly receiver: Receiver;
  /** `simple`: PostgreSQL's simple query protocol, which takes several statements. It can't have a prefix. */
  readonly protocol: 'extended' | 'simple';
  readonly statementName: string | undefined;
  readonly text: string | undefined;
  /** Writes the messages, without Sync. Returns or throws what pg says before anything is sent. */
  write(connection: PgConnection): Error | null | undefined | void;
}

/** An app has few distinct statements, and those who make up new ones gain nothing. */
const KEPT_LIMIT = 500;

/** Over all wires: a client that was given back and is pinned again still has the statements of its last wire. */
let serial = 0;

/** Our statements that come again and again: the server parses them once. */
const REPEATED =
  /^(BEGIN|DISCARD SEQUENCES|ROLLBACK|ROLLBACK AND CHAIN|(SAVEPOINT|RELEASE SAVEPOINT|ROLLBACK TO SAVEPOINT) rewind_\w+)$/;

/**
 * The wire to one real client. `send` puts our statements and one of the app's under a single Sync: one write, one round
 * trip, one ReadyForQuery; if one fails the server skips the rest (PostgreSQL manual, 53.2.3).
 */
export class Wire {
  status: ServerStatus = 'I';
  /** What the last statement of ours that was a query has given. */
  answer: { readonly sql: string; readonly value: string } | undefined;
  /** Our statements that the server has already parsed: most are the same few, again and again. */
  private readonly prepared = new Map<string, Buffer>();
  /** The app's statements that came more than once, by text, and the names under which the server keeps them. */
  private readonly kept = new Map<string, string | undefined>();
  /** Messages that are to go out in one piece. */
  private chunks: Buffer[] = [];
  /** The connection, except that what it sends is kept in `chunks`. */
  private readonly recorder: PgConnection;
  /** The same, without Sync. */
  private readonly quiet: PgConnection;
  private readonly onReady = (message: { status: ServerStatus }): void => {
    this.status = message.status;
  };

  constructor(readonly client: PgClient) {
    const connection = client.connection;
    // prepended, or the status would be one message old when pg calls handleReadyForQuery
    connection.prependListener('readyForQuery', this.onReady);
    const stream = { writable: true, write: (bytes: Buffer) => this.chunks.push(bytes) > 0 };
    this.recorder = Object.create(connection, { stream: { value: stream } }) as PgConnection;
    this.quiet = Object.create(this.recorder, { sync: { value: () => {} } }) as PgConnection;
  }

  detach(): void {
    this.client.connection.removeListener('readyForQuery', this.onReady);
  }

  send(prefix: readonly string[], body: Body | undefined, done: (outcome: Outcome) => void): void {
    this.client.query(new Message(this, prefix, body, done));
  }

  /** For a submittable that needs the connection for itself (COPY). */
  lend(submittable: Submittable, done: (outcome: Outcome) => void): void {
    this.client.query(new Loan(submittable as Borrower, done));
  }

  /** After `DEALLOCATE ALL`, by whomever. */
  forgetPrepared(): void {
    this.forgetOwnPrepared();
    for (const name of Object.keys(this.client.connection.parsedStatements)) {
      Reflect.deleteProperty(this.client.connection.parsedStatements, name);
    }
  }

  forgetOwnPrepared(): void {
    this.prepared.clear();
    this.kept.clear();
  }

  /** The name under which a statement of the app's may be kept; undefined where it is not worth it, or not yet. */
  nameFor(text: string): string | undefined {
    if (!this.kept.has(text)) {
      if (this.kept.size < KEPT_LIMIT) this.kept.set(text, undefined);
      return undefined;
    }
    const known = this.kept.get(text) ?? `rewind_${++serial}`;
    this.kept.set(text, known);
    return known;
  }

  /** Writes one message, in one piece. Returns what pg says of the body before anything is sent. */
  write(prefix: readonly string[], body: Body | undefined): Error | undefined {
    this.chunks = [];
    for (const sql of prefix) this.writeOwn(sql);
    const early = body && this.writeBody(body);
    if (early && body.text !== undefined) this.kept.delete(body.text); // pg has closed it, and doesn't note that
    if (body?.protocol !== 'simple' || early) this.recorder.sync();
    const { stream } = this.client.connection;
    if (stream.writable)
      stream.write(this.chunks.length === 1 ? (this.chunks[0] as Buffer) : Buffer.concat(this.chunks));
    this.chunks = [];
    return early;
  }

  private writeOwn(sql: string): void {
    const known = this.prepared.get(sql);
    if (known) {
      this.chunks.push(known);
      return;
    }
    const { recorder } = this;
    if (!REPEATED.test(sql)) {
      recorder.parse({ text: sql });
      recorder.bind({});
      recorder.execute({});
      if (sql === 'DEALLOCATE ALL') this.forgetPrepared();
      return;
    }
    const name = `rewind_${++serial}`;
    recorder.parse({ name, text: sql });
    const before = this.chunks.length;
    recorder.bind({ statement: name });
    recorder.execute({});
    this.prepared.set(sql, Buffer.concat(this.chunks.slice(before)));
  }

  private writeBody(body: Body): Error | undefined {
    const before = this.chunks.length;
    try {
      return body.write(this.quiet) ?? undefined;
    } catch (error) {
      this.chunks.length = before;
      return error as Error;
    }
  }
}

class Message {
  /** Read by pg: types for the app's part (client.js, query). */
  readonly _result: PgQuery['_result'] | undefined;
  binary = false;
  private completed = 0;
  private early: Error | undefined;
  private finished = false;

  constructor(
    private readonly wire: Wire,
    private readonly prefix: readonly string[],
    private readonly body: Body | undefined,
    private readonly done: (outcome: Outcome) => void,
  ) {
    this._result = (body?.receiver as Partial<PgQuery> | undefined)?._result;
  }

  private get inBody(): boolean {
    return this.body !== undefined && this.completed === this.prefix.length;
  }

  // pg keeps `parsedStatements[name] = text` when a parse completes: only the app's statement may have a name for it
  get name(): string | undefined {
    return this.inBody && !this.early ? this.body?.statementName : undefined;
  }
  get text(): string | undefined {
    return this.body?.text;
  }

  submit(): null {
    const query = this.body?.receiver as Partial<PgQuery> | undefined;
    if (query && this.binary && !query.binary) query.binary = true;
    this.early = this.wire.write(this.prefix, this.body);
    return null;
  }

  handleRowDescription(message: unknown): void {
    if (this.inBody) this.body?.receiver.handleRowDescription(message);
  }
  handleDataRow(message: { fields: readonly unknown[] }): void {
    if (this.inBody) this.body?.receiver.handleDataRow(message);
    else this.wire.answer = { sql: this.prefix[this.completed] ?? '', value: String(message.fields[0]) };
  }
  handlePortalSuspended(): void {}
  handleEmptyQuery(connection: PgConnection): void {
    if (this.inBody) this.body?.receiver.handleEmptyQuery(connection);
    else this.completed++;
  }
  handleCommandComplete(message: unknown, connection: PgConnection): void {
    if (this.inBody) this.body?.receiver.handleCommandComplete(message, connection);
    else this.completed++;
  }
  handleCopyInResponse(connection: PgConnection & { sendCopyFail(why: string): void }): void {
    connection.sendCopyFail('No source stream defined'); // as pg's Query does
    // a Sync sent while the server is in copy-in mode is ignored (PostgreSQL manual, 53.2.6)
    if (this.body?.protocol !== 'simple') connection.sync();
  }
  handleCopyData(): void {}

  handleError(error: Error & { severity?: string }, connection?: PgConnection): void {
    // an error that isn't the server's, or is its last: no ReadyForQuery follows
    if (!connection || error.severity === undefined || error.severity === 'FATAL' || error.severity === 'PANIC') {
      this.wire.status = undefined;
      this.finish({ error, where: 'connection' });
      return;
    }
    const where = this.inBody ? 'body' : 'prefix';
    // pg 8 has forgotten this query by now, and would not tell it of ReadyForQuery (client.js, _handleErrorMessage)
    connection.once('readyForQuery', () => this.finish({ error, where }));
  }

  handleReadyForQuery(): void {
    this.finish(this.early ? { error: this.early, where: 'client' } : { error: undefined, where: 'body' });
  }

  private finish(outcome: Outcome): void {
    if (this.finished) return;
    this.finished = true;
    this.done(outcome);
  }
}
