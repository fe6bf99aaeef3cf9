// Puts answers together: the server's, and those given here because the server is not to be asked (BEGIN, COMMIT …).
import { realTimers } from '../timers';
import { isTrue, type LocalName } from './calls';
import type { Statement } from './statement';
import type { Task } from './session';
import { guarded, type Job } from './virtual';
import { bodyOfPortal, bodyOfQuery, bodyOfText, type Sent } from './bodies';
import type { Body, PgConnection, Receiver } from './wire';

export class Answer {
  private readonly job: Job;
  private synthetic = false;

  constructor(
    task: Task,
    private readonly connection: PgConnection,
  ) {
    this.job = task.job;
  }

  /** Where the results of single statements out of several go. */
  get parts(): Receiver {
    return this.job.receiver;
  }

  /** The app's whole text, or another one in its place. */
  body(protocol: Body['protocol'], sent: Sent = {}): Body {
    const { form, values, receiver } = this.job;
    const text = sent.text ?? this.job.text;
    if (form.kind === 'portal') return bodyOfPortal(text, values, form.binary, receiver);
    if (form.kind === 'loan') return bodyOfText(text, receiver);
    if (protocol === 'extended' && form.query.rows) form.query.rows = 0; // a page size; all pages end up in one result
    return bodyOfQuery(form.query, protocol, sent);
  }

  bodyFor(statement: Statement, sent?: Sent): Body {
    return this.body(this.needsSimple(statement) ? 'simple' : 'extended', sent);
  }

  /** Whether it has to go through the simple protocol to get production's answer. */
  needsSimple(statement: Statement): boolean {
    // `$1` without a value is "there is no parameter $1" (42P02) in the simple protocol, which pg uses then
    if (!statement.parameters || this.job.form.kind !== 'query') return false;
    const { name, values } = this.job.form.query;
    return !name && !values?.length;
  }

  complete(command: string): undefined {
    this.synthetic = true;
    this.job.receiver.handleCommandComplete({ text: command }, this.connection);
  }

  /** A result of one row with one text column. */
  row(column: string, value: string, command: string): undefined {
    const { receiver } = this.job;
    const field = {
      name: column,
      tableID: 0,
      columnID: 0,
      dataTypeID: 25,
      dataTypeSize: -1,
      dataTypeModifier: -1,
      format: 'text',
    };
    receiver.handleRowDescription({ fields: [field], fieldCount: 1 });
    receiver.handleDataRow({ fields: [value], fieldCount: 1 });
    this.complete(command);
  }

  notice(notice: object): void {
    realTimers.nextTick(() => this.job.connection.client.emit('notice', notice));
  }

  /** In lower case: TimeZone and timezone are one parameter. */
  nameOf(local: LocalName): string | undefined {
    if (local === 'computed') return undefined;
    if ('literal' in local) return local.literal.toLowerCase();
    const value = this.job.values?.[local.parameter - 1];
    return typeof value === 'string' ? value.toLowerCase() : undefined;
  }

  isTrue(parameter: number): boolean {
    return isTrue(this.job.values?.[parameter - 1]);
  }

  finish(error: Error | undefined): void {
    // what the server never saw is answered in a later turn all the same, as every answer of a real connection
    if (this.synthetic || error) realTimers.nextTick(() => guarded(() => this.deliver(error)));
    else guarded(() => this.deliver(undefined));
  }

  private deliver(error: Error | undefined): void {
    const { receiver, form } = this.job;
    if (error) receiver.handleError(error, this.connection);
    else if (form.kind !== 'loan') receiver.handleReadyForQuery(this.connection);
  }
}
