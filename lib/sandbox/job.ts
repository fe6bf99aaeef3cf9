// What an app's connection asks for: one segment of its frames, on its way through the sandbox.
import { parameters, type ErrorFields, type frames, type Segment } from '../wire';
import type { Scope } from '../scope';
import { originOf } from './contexts';
import type { Cursor } from './cursor';

/** What the client has of its own: who tells it of errors, and its transaction's status. */
export interface JobOwner {
  readonly connection: { telling(error: Error): ErrorFields };
  readonly status: frames.Status;
}

export class Job {
  /** The statement; empty where there is none, or none that is known. */
  readonly text: string = '';
  /** The name that the app has given it. */
  readonly name: string = '';
  /** The scope whose code asked for it, as far as is known. */
  readonly origin: Scope | undefined;
  /** What it opens, if rows are going to be asked for while its portal is open. */
  cursor: Cursor | undefined;
  /** More than one statement under one Sync: each would need an answer, and a transaction, of its own. */
  readonly isBundle: boolean;
  private decoded: readonly (string | undefined)[] | undefined;

  constructor(
    readonly session: JobOwner,
    readonly segment: Segment,
  ) {
    this.origin = originOf(segment);
    let binds = 0;
    for (const request of segment.requests) {
      switch (request.kind) {
        case 'query':
          this.text = request.text;
          break;
        case 'bind':
          binds++;
          this.name = request.statement;
          this.text = this.parsed(request.statement);
      }
    }
    this.isBundle = binds > 1;
  }

  /** What the name of a statement means: this segment may be about to say so. */
  private parsed(name: string): string {
    const { client, requests } = this.segment;
    for (const request of requests) if (request.kind === 'parse' && request.name === name) return request.text;
    return client.statements.get(name)?.text ?? '';
  }

  get opensCursor(): boolean {
    return this.segment.end === 'flush' && this.segment.requests.some(({ kind }) => kind === 'bind');
  }

  /** The parameters as PostgreSQL reads them; undefined for NULL, and for a binary one, which needs its type. */
  get values(): readonly (string | undefined)[] {
    return (this.decoded ??= valuesOf(this.segment));
  }
}

export function valuesOf({ requests }: Segment): (string | undefined)[] {
  return requests.flatMap((request) =>
    request.kind === 'bind'
      ? parameters(request).map(({ value, binary }) => (binary ? undefined : value?.toString()))
      : [],
  );
}
