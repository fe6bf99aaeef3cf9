import type { AsyncResource } from 'node:async_hooks';
import type { ClientConnection } from './client-connection';
import { errorResponse, type ErrorFields } from './error-response';
import { readyForQuery, type Status } from './frames';
import { later } from './later';
import type { Request } from './request';
import type { ServerParameters } from './server-parameters';

/** What a segment ends in: a simple Query, the Sync of the extended protocol, or a Flush (more is to come). */
export type SegmentEnd = 'query' | 'sync' | 'flush';

/** Requests that a client has sent to be answered together. */
export class Segment {
  constructor(
    readonly client: ClientConnection,
    readonly requests: readonly Request[],
    readonly end: SegmentEnd,
    private readonly context: AsyncResource,
  ) {}

  /** Runs it in the async context in which the client has written the segment. */
  within<Result>(task: () => Result): Result {
    return this.context.runInAsyncScope(task);
  }

  /** A part of the answer: whole frames. False if the client wants no more for now. */
  push(bytes: Buffer): boolean {
    return this.client.give(bytes, this.context);
  }

  /**
   * The answer is complete. `tail` is its last part; where `status` is given, it ends in a ReadyForQuery, whose status is
   * set to that. What `parameters` have that the client has not been told goes ahead of the ReadyForQuery.
   */
  finish(status?: Status, tail?: Buffer, parameters?: ServerParameters): void {
    const news = parameters && this.client.told.news(parameters);
    if (status === undefined) {
      if (tail) this.push(tail);
    } else {
      const answer = tail ?? readyForQuery(status);
      answer[answer.length - 1] = status;
      if (news) {
        const end = answer.length - readyForQuery(status).length;
        if (end > 0) this.push(answer.subarray(0, end));
        this.push(news);
        this.push(answer.subarray(end));
      } else this.push(answer);
    }
    this.client.finished(this, status);
  }

  /** Its answer is an error of ours. A client that has not sent its Sync yet is not heard until it does. */
  refuse(error: ErrorFields, status: Status = this.client.status): void {
    later(() => {
      this.push(errorResponse(error));
      if (this.end === 'flush') this.fail();
      else this.finish(status);
    });
  }

  /** The answer, which was an error, is complete, and the client's Sync still to come. */
  fail(tail?: Buffer): void {
    this.client.skipToSync();
    this.finish(undefined, tail);
  }
}
