// Puts the answer to a job together: the server's, and what is answered here because the server is not to be asked
// (BEGIN, COMMIT …).
import {
  errorResponse,
  frames as f,
  noticeResponse,
  type Batch,
  type BindRequest,
  type ErrorFields,
  type Request,
} from '../wire';
import { isTrue, type LocalName } from './calls';
import type { Job } from './job';
import { realTimers } from '../timers';
import type { Body, Opened, SandboxServer, Sent } from './server';

const NO_ROWS = f.commandComplete('SELECT 0');

export class Answer implements Body {
  /** The last part of the server's answer, not told yet: it may end in a ReadyForQuery. */
  private rest: Buffer | undefined;
  /** What is answered here, behind that. */
  private made: Buffer[] = [];
  private sent: Sent = {};
  private server: SandboxServer | undefined;
  private over = false;

  constructor(private readonly job: Job) {}

  // --- the client's part of a batch

  /** All that the client has sent; for its statement something else, if so `sent`. */
  body(sent: Sent = {}): Body {
    this.sent = sent;
    return this;
  }

  /** One of several statements that came in a string. */
  part(text: string): Body {
    return {
      isSimple: true,
      write: (batch) => void batch.query(text),
      push: (bytes) => this.push(bytes),
      tail: (bytes) => this.tail(bytes),
      copyIn: () => this.copyIn(),
    };
  }

  get isSimple(): boolean {
    return this.job.segment.end === 'query';
  }

  write(batch: Batch, server: SandboxServer): ErrorFields | undefined {
    const { segment, text, cursor } = this.job;
    const { sent } = this;
    this.server = server;
    server.replace(text, sent);
    const asked = cursor ? { client: segment.client, requests: opening(segment.requests) } : segment;
    for (const request of asked.requests) {
      const isReplaced = request.kind === 'query' && sent.text !== undefined;
      const error = server.names.add(isReplaced ? { ...request, frame: f.query(sent.text) } : request, asked, batch);
      if (error) return error;
    }
    return undefined;
  }

  push(bytes: Buffer): void {
    this.flush();
    this.give(bytes);
  }

  tail(bytes: Buffer): void {
    this.flush();
    this.rest = bytes;
  }

  opens(): Opened | undefined {
    const { cursor, segment } = this.job;
    if (!cursor) return undefined;
    this.flush();
    return { cursor, client: segment.client };
  }

  get isEmpty(): boolean {
    return this.rest?.subarray(0, -f.READY_LENGTH).subarray(-NO_ROWS.length).equals(NO_ROWS) === true;
  }

  copyIn(): void {
    this.flush();
    this.job.segment.client.copying = true;
  }

  // --- what is answered here

  complete(tag: string): undefined {
    this.make(f.NO_DATA, [], tag);
  }

  /** A result of one row with one column, a text unless its type is given. */
  row(column: string, value: string, tag: string, type?: number): undefined {
    this.make(f.rowDescription(column, type), [f.dataRow(value)], tag);
  }

  private make(described: Buffer, rows: readonly Buffer[], tag: string): void {
    const { client, requests } = this.job.segment;
    for (const request of requests) {
      switch (request.kind) {
        case 'query':
          if (described !== f.NO_DATA) this.made.push(described);
          this.made.push(...rows, f.commandComplete(tag));
          break;
        case 'parse':
          client.statements.set(request.name, { text: request.text, types: request.types });
          this.made.push(f.PARSE_COMPLETE);
          break;
        case 'bind':
          this.made.push(f.BIND_COMPLETE);
          break;
        case 'describe':
          if (request.what === 'statement') this.made.push(f.NO_PARAMETERS);
          this.made.push(described);
          break;
        case 'execute':
          this.made.push(...rows, f.commandComplete(tag));
          break;
        case 'close':
          this.made.push(f.CLOSE_COMPLETE);
      }
    }
  }

  notice(notice: ErrorFields): void {
    this.made.push(noticeResponse(notice));
  }

  // --- the end

  finish(error?: Error): void {
    if (this.over) return;
    this.over = true;
    if (error) this.made.push(errorResponse(this.job.session.connection.telling(error)));
    // What the server never saw is answered in a later turn all the same, as every answer of a real server.
    if (this.made.length > 0) realTimers.nextTick(() => this.tell(error !== undefined));
    else this.tell(false);
  }

  private tell(failed: boolean): void {
    const { cursor, segment, session } = this.job;
    const made = this.made.length > 0 ? Buffer.concat(this.made) : undefined;
    if (cursor) {
      this.made = failed ? [] : this.made;
      this.flush();
      return cursor.ended(failed ? made : undefined);
    }
    segment.client.copying = false;
    if (made) {
      this.made = [];
      this.flush();
      this.rest = made;
    }
    const { status } = session;
    if (status === f.Status.idle) this.server?.names.portalsEnd(segment.client);
    if (segment.end !== 'flush') segment.finish(status, this.rest, this.server?.connection.parameters);
    else if (failed) segment.fail(this.rest, status);
    else segment.finish(undefined, this.rest);
  }

  /** Tells what is there so far: more follows. */
  private flush(): void {
    const { rest, made } = this;
    this.rest = undefined;
    this.made = [];
    if (rest) this.give(f.endsReady(rest) ? rest.subarray(0, -f.READY_LENGTH) : rest);
    for (const bytes of made) this.give(bytes);
  }

  private give(bytes: Buffer): void {
    const { cursor, segment } = this.job;
    if (bytes.length === 0) return;
    if (cursor) cursor.push(bytes);
    else segment.push(bytes);
  }

  // --- what the job's parameters say

  /** In lower case: TimeZone and timezone are one parameter. */
  nameOf(local: LocalName): string | undefined {
    if (local === 'computed') return undefined;
    if ('literal' in local) return local.literal.toLowerCase();
    return this.job.values[local.parameter - 1]?.toLowerCase();
  }

  isTrue(parameter: number): boolean {
    return isTrue(this.job.values[parameter - 1]);
  }
}

/** Requests of a cursor's opening, on the portal that has no name; rows are read as the client asks for them. */
function opening(requests: readonly Request[]): Request[] {
  const sent: Request[] = [];
  for (const request of requests) {
    if (request.kind === 'bind') sent.push(onNoPortal(request));
    else if (request.kind === 'describe' && request.what === 'portal')
      sent.push({ ...request, name: '', frame: f.DESCRIBE_PORTAL });
    else if (request.kind !== 'execute') sent.push(request);
  }
  return sent;
}

function onNoPortal(request: BindRequest): BindRequest {
  const rest = request.frame.subarray(request.at);
  const frame = f.frame(f.Frontend.bind, '', request.statement, rest);
  return { ...request, portal: '', frame, at: frame.length - rest.length };
}

/** Tells a job's owner of an error. */
export function fail(job: Job, error: Error): void {
  new Answer(job).finish(error);
}
