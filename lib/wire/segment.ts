import type { Client, Context, SegmentEnd } from './contract';
import { errorResponse, type ErrorFields } from './error-response';
import { endsReady, READY_LENGTH, readyForQuery, type Status } from './frames';
import { muchLater } from './later';
import type { Request } from './request';
import type { ServerParameters } from './server-parameters';

/** Requests that a client has sent to be answered together. */
export class Segment {
  constructor(
    readonly client: Client,
    readonly requests: readonly Request[],
    readonly end: SegmentEnd,
    /** In which the client has sent it. */
    readonly context: Context,
  ) {}

  /** A part of the answer: whole frames. False if the client wants no more for now. */
  push(bytes: Buffer): boolean {
    return this.client.give(bytes, this.context);
  }

  /**
   * The answer is complete; `tail` is its last part. Where `status` is given, the client is told it by a ReadyForQuery (the
   * tail's own, if it ends in one), and of `parameters` what is news to it.
   */
  finish(status?: Status, tail?: Buffer, parameters?: ServerParameters): void {
    const news = status === undefined ? undefined : parameters && this.client.told.news(parameters);
    let rest = tail;
    if (status !== undefined && !news && tail && endsReady(tail)) tail[tail.length - 1] = status;
    else {
      if (tail && endsReady(tail)) rest = tail.subarray(0, -READY_LENGTH);
      if (rest && rest.length > 0) this.push(rest);
      if (news) this.push(news);
      rest = status === undefined ? undefined : readyForQuery(status);
    }
    if (rest) this.push(rest);
    this.client.finished(this.end, status);
  }

  /** Its answer is an error of ours. A client that has not sent its Sync yet is not heard until it does. */
  refuse(error: ErrorFields, status: Status = this.client.status): void {
    muchLater(() => {
      this.push(errorResponse(error));
      if (this.end === 'flush') this.fail();
      else this.finish(status);
    });
  }

  /** The answer, which was an error, is complete, and the client's Sync still to come: `status` is for that. */
  fail(tail?: Buffer, status?: Status): void {
    this.client.skipToSync(status);
    this.finish(undefined, tail);
  }
}
