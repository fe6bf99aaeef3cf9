// Cursors and query streams. A cursor's portal stays open on the one real session while nobody else needs that, and rows come
// page by page, as the client asks for them. As soon as another statement waits, the rest is read, and handed out from here.
import { frames as f, FrameCutter, type Segment } from '../wire';
import { realTimers } from '../timers';

const { Backend } = f;

/** A portal that is open on the real session; nothing else is done there meanwhile. */
export interface OpenPortal {
  /** Reads so many rows, 0 for all, which come by {@link Cursor.push}. An error ends the cursor. */
  fetch(limit: number, done: () => void): void;
  /** It has been read to its end, or as far as the client wants it. */
  close(): void;
}

export class Cursor {
  /** What is told before the first row. */
  private readonly head: Buffer[] = [];
  private rows: Buffer[] = [];
  /** What is told after the last one. */
  private readonly tail: Buffer[] = [];
  private readonly cutter = new FrameCutter((type, chunk, start, end) => this.take(type, chunk.subarray(start, end)));
  /** While there is more to be read. */
  private portal: OpenPortal | undefined;
  private isFetching = false;
  /** Another statement waits for the session. */
  private isWanted = false;
  private isStopped = false;
  /** All that there will be is here. */
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
    if (type === Backend.readyForQuery || type === Backend.portalSuspended) return;
    const list =
      type === Backend.dataRow
        ? this.rows
        : type === Backend.commandComplete || type === Backend.emptyQueryResponse
          ? this.tail
          : this.head;
    list.push(frame);
  }

  // --- what the sandbox tells it

  opened(portal: OpenPortal): void {
    this.portal = portal;
    this.goOn();
  }

  /** Its query has run. */
  ended(error?: Buffer): void {
    this.ran = true;
    this.portal = undefined;
    this.isFetching = false;
    this.error ??= error;
    this.later();
  }

  /** Another statement waits for the session: what is still to come is read now. */
  drain(): void {
    if (this.isWanted) return;
    this.isWanted = true;
    this.goOn();
  }

  /** Nobody wants more of it. */
  stop(): void {
    if (this.isStopped) return;
    this.isStopped = true;
    this.goOn();
  }

  /** The test is over: nothing more will come. */
  abandon(error: Buffer): void {
    this.rows = [];
    this.error ??= error;
    this.ran = true;
    this.stop();
    this.later();
  }

  /** Whether its session does nothing for it just now. */
  get isIdle(): boolean {
    return this.portal !== undefined && !this.isFetching;
  }

  private goOn(): void {
    const { portal } = this;
    if (!portal || this.isFetching) return;
    if (this.isStopped) {
      this.portal = undefined;
      portal.close();
    } else if (this.isWanted) this.fetch(portal, 0);
    else this.later();
  }

  private fetch(portal: OpenPortal, limit: number): void {
    this.isFetching = true;
    portal.fetch(limit, () => {
      this.isFetching = false;
      if (this.tail.length === 0) return this.goOn();
      this.portal = undefined;
      portal.close();
    });
  }

  // --- what the client asks for

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
    const { waiting: segment, portal } = this;
    if (!segment || this.isFetching || (!this.ran && !portal)) return;
    const wanted = wantedBy(segment) - this.rows.length;
    if (portal && !this.ran && wanted > 0) return this.fetch(portal, wanted === Infinity ? 0 : wanted);
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

/** How many rows a segment asks for. */
function wantedBy({ requests }: Segment): number {
  let wanted = 0;
  for (const request of requests) if (request.kind === 'execute') wanted += request.rowLimit || Infinity;
  return wanted;
}
