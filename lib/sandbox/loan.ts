// A submittable that needs the real connection for itself: COPY streams, which speak to its socket.
import type { Outcome, PgConnection, Submittable } from './wire';

export type Borrower = Submittable & Partial<Record<`handle${string}`, (...args: unknown[]) => void>>;

/** Passes everything on to a foreign submittable, and notices its end. */
export class Loan {
  private finished = false;
  private committed = false;
  constructor(
    private readonly inner: Borrower,
    private readonly done: (outcome: Outcome) => void,
  ) {}

  get text(): string | undefined {
    return this.inner.text;
  }
  submit(connection: PgConnection): unknown {
    return this.inner.submit(connection);
  }
  handleRowDescription(m: unknown): void {
    this.inner.handleRowDescription?.(m);
  }
  handleDataRow(m: unknown): void {
    this.inner.handleDataRow?.(m);
  }
  handlePortalSuspended(c: unknown): void {
    this.inner.handlePortalSuspended?.(c);
  }
  handleEmptyQuery(c: unknown): void {
    this.inner.handleEmptyQuery?.(c);
  }
  handleCommandComplete(m: { text?: string }, c: unknown): void {
    this.committed ||= m.text === 'COMMIT';
    this.inner.handleCommandComplete?.(m, c);
  }
  handleCopyInResponse(c: unknown): void {
    this.inner.handleCopyInResponse?.(c);
  }
  handleCopyData(m: unknown, c: unknown): void {
    this.inner.handleCopyData?.(m, c);
  }
  handleError(error: Error & { severity?: string }, connection?: PgConnection): void {
    this.inner.handleError?.(error, connection);
    if (!connection || error.severity === undefined || error.severity === 'FATAL' || error.severity === 'PANIC') {
      this.finish({ error, where: 'connection' });
    } else {
      connection.once('readyForQuery', () => this.finish({ error, where: 'body', committed: this.committed }));
    }
  }
  handleReadyForQuery(connection: unknown): void {
    this.inner.handleReadyForQuery?.(connection);
    this.finish({ error: undefined, where: 'body', committed: this.committed });
  }
  private finish(outcome: Outcome): void {
    if (this.finished) return;
    this.finished = true;
    this.done(outcome);
  }
}
