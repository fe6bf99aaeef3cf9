// Puts answers together: the server's, and those given here because the server is not to be asked (BEGIN, COMMIT …).
import type { LocalName, Statement } from './statement';
import type { Task } from './session';
import { guarded } from './virtual';
import { bodyOfPortal, bodyOfQuery, bodyOfText } from './bodies';
import type { Body, PgConnection, Receiver } from './wire';

export interface Answer {
  /** The app's whole text. */
  body(protocol: Body['protocol']): Body;
  bodyFor(statement: Statement): Body;
  /** Where the results of single statements out of several go. */
  readonly parts: Receiver;
  /** Whether it has to go through the simple protocol to get production's answer. */
  needsSimple(statement: Statement): boolean;
  /** Changes the text of a query before it is sent. */
  say(text: string): void;
  complete(command: string): undefined;
  /** A result of one row with one text column. */
  row(column: string, value: string, command: string): undefined;
  notice(notice: object): void;
  nameOf(local: LocalName): string | undefined;
  finish(error: Error | undefined): void;
}

export function executionOf(task: Task, connection: PgConnection): Answer {
  const { job } = task;
  const { receiver, form } = job;
  let synthetic = false;
  return {
    parts: receiver,
    body(protocol) {
      if (form.kind === 'portal') return bodyOfPortal(job.text, job.values, form.binary, receiver);
      if (form.kind === 'loan') return bodyOfText(job.text, receiver);
      if (protocol === 'extended') delete form.query.rows; // a page size; all pages end up in one result
      return bodyOfQuery(form.query, protocol);
    },
    bodyFor(statement) {
      return this.body(this.needsSimple(statement) ? 'simple' : 'extended');
    },
    needsSimple(statement) {
      // `$1` without a value is "there is no parameter $1" (42P02) in the simple protocol, which pg uses then
      const query = form.kind === 'query' ? form.query : undefined;
      return statement.parameters && query !== undefined && !query.name && !query.values?.length;
    },
    say(text) {
      if (form.kind === 'query') form.query.text = text;
    },
    complete(command) {
      synthetic = true;
      receiver.handleCommandComplete({ text: command }, connection);
    },
    row(column, value, command) {
      synthetic = true;
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
      receiver.handleCommandComplete({ text: command }, connection);
    },
    notice(notice) {
      process.nextTick(() => job.connection.client.emit('notice', notice));
    },
    nameOf(local) {
      if (local === 'computed') return undefined;
      if ('literal' in local) return local.literal;
      const value = job.values?.[local.parameter - 1];
      return typeof value === 'string' ? value : undefined;
    },
    finish(error) {
      const deliver = (): void => {
        if (error) receiver.handleError(error, connection);
        else if (form.kind !== 'loan') receiver.handleReadyForQuery(connection);
      };
      // what the server never saw is answered in a later turn all the same, as every answer of a real connection
      if (synthetic || error) process.nextTick(() => guarded(deliver));
      else guarded(deliver);
    },
  };
}
