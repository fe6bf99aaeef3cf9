// Cursors and query streams. A portal that is open on the one real session would lock everybody else out: so its query runs
// once, to its end, and its rows are handed out page by page as the server would.
import { frames as f, FrameCutter, type Segment } from '../wire';
import { realTimers } from '../timers';

const { Backend } = f;

export class Cursor {
  /** What is told before the first row. */
  private readonly head: Buffer[] = [];
  private readonly rows: Buffer[] = [];
  /** What is told after the last one. */
  private readonly tail: Buffer[] = [];
  private readonly cutter = new FrameCutter((type, chunk, start, end) => this.take(type, chunk.subarray(start, end)));
  private ran = false;
  private error: Buffer | undefined;
  private waiting: Segment | undefined;

  /** `over`: it is closed. `status`: of the transaction, for the client to be told. */
  constructor(
    private readonly over: () => void,
    private readonly status: () => f.Status,
  ) {}

  /** Of the server's answer. */
  push(bytes: Buffer): void {
    this.cutter.push(bytes);
  }

  private take(type: number, frame: Buffer): void {
    if (type === Backend.readyForQuery) return;
    const list =
      type === Backend.dataRow
        ? this.rows
        : type === Backend.commandComplete || type === Backend.emptyQueryResponse
          ? this.tail
          : this.head;
    list.push(frame);
  }

  /** Its query has run. */
  ended(error?: Buffer): void {
    this.ran = true;
    this.error ??= error;
    this.later();
  }

  /** The test is over: nothing more will come. */
  abandon(error: Buffer): void {
    this.rows.length = 0;
    this.ended(error);
  }

  /** What the client asks for while it is open, its opening included. */
  serve(segment: Segment): void {
    this.waiting = segment;
    this.later();
  }

  // In a turn of its own: a cursor that is told of an error is not ready for another answer before its turn is over.
  private later(): void {
    realTimers.setImmediate(() => this.answer());
  }

  private answer(): void {
    const { waiting: segment } = this;
    if (!segment || !this.ran) return;
    this.waiting = undefined;
    const out = this.head.splice(0);
    let failed = this.error !== undefined && this.rows.length === 0;
    for (const request of segment.requests) {
      if (failed) break;
      if (request.kind === 'close') out.push(f.CLOSE_COMPLETE);
      else if (request.kind === 'execute') failed = !this.page(request.rowLimit, out);
    }
    if (failed && this.error) out.push(this.error);
    const bytes = out.length > 0 ? Buffer.concat(out) : undefined;
    if (segment.end === 'sync' || failed) this.over();
    if (segment.end === 'sync') segment.finish(this.status(), bytes);
    else if (failed) segment.fail(bytes, this.status());
    else segment.finish(undefined, bytes);
  }

  /** One Execute: rows up to the limit, then PortalSuspended or CommandComplete. False if it ends in an error. */
  private page(limit: number, out: Buffer[]): boolean {
    const count = limit === 0 ? this.rows.length : Math.min(limit, this.rows.length);
    for (const row of this.rows.splice(0, count)) out.push(row);
    if (limit !== 0 && count === limit) out.push(f.PORTAL_SUSPENDED);
    else if (this.error) return false;
    else out.push(...this.tail.splice(0));
    return true;
  }
}
