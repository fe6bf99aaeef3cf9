// Frames of PostgreSQL's protocol 3.0 ("Message Formats" in its manual): the type bytes, and how the few that are made
// here are built. A frame is a type byte, the length of what follows (itself included), and its content.

const letter = (text: string): number => text.charCodeAt(0);

/** What a client sends. */
export const Frontend = {
  bind: letter('B'),
  close: letter('C'),
  copyData: letter('d'),
  copyDone: letter('c'),
  copyFail: letter('f'),
  describe: letter('D'),
  execute: letter('E'),
  flush: letter('H'),
  functionCall: letter('F'),
  parse: letter('P'),
  query: letter('Q'),
  sync: letter('S'),
  terminate: letter('X'),
} as const;

/** What a server sends. */
export const Backend = {
  bindComplete: letter('2'),
  closeComplete: letter('3'),
  commandComplete: letter('C'),
  copyInResponse: letter('G'),
  dataRow: letter('D'),
  emptyQueryResponse: letter('I'),
  errorResponse: letter('E'),
  noData: letter('n'),
  noticeResponse: letter('N'),
  notificationResponse: letter('A'),
  parameterDescription: letter('t'),
  parameterStatus: letter('S'),
  parseComplete: letter('1'),
  portalSuspended: letter('s'),
  readyForQuery: letter('Z'),
  rowDescription: letter('T'),
} as const;

/** The transaction's state, as ReadyForQuery tells it. */
export const Status = { idle: letter('I'), open: letter('T'), failed: letter('E') } as const;
export type Status = (typeof Status)[keyof typeof Status];

/** What has been sent is not what the protocol allows. */
export class ProtocolError extends Error {}

export function frame(type: number, ...parts: readonly (string | Buffer)[]): Buffer {
  let size = 4;
  for (const part of parts) size += typeof part === 'string' ? Buffer.byteLength(part) + 1 : part.length;
  const bytes = Buffer.allocUnsafe(size + 1);
  bytes[0] = type;
  bytes.writeInt32BE(size, 1);
  let at = 5;
  for (const part of parts) {
    if (typeof part === 'string') {
      at += bytes.write(part, at);
      bytes[at++] = 0;
    } else at += part.copy(bytes, at);
  }
  return bytes;
}

export function int32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeInt32BE(value);
  return bytes;
}

export const NONE = Buffer.from([0, 0]); // a count, of none
const ONE = Buffer.from([0, 1]);
const ANY_SIZE = Buffer.from([255, 255]);
const STATEMENT = Buffer.from('S');
const PORTAL = Buffer.from('P');
export type Named = 'statement' | 'portal';
const kindOf = (what: Named): Buffer => (what === 'statement' ? STATEMENT : PORTAL);

// --- a client's

export const SYNC = frame(Frontend.sync);
export const FLUSH = frame(Frontend.flush);
export const TERMINATE = frame(Frontend.terminate);
export const copyFail = (why: string): Buffer => frame(Frontend.copyFail, why);
export const query = (text: string): Buffer => frame(Frontend.query, text);
/** `types`: the count and the oids, as a client's Parse has them behind its text. */
export const parse = (name: string, text: string, types: Buffer = NONE): Buffer =>
  frame(Frontend.parse, name, text, types);
export const execute = (portal: string, rowLimit = 0): Buffer => frame(Frontend.execute, portal, int32(rowLimit));
export const describe = (what: Named, name: string): Buffer => frame(Frontend.describe, kindOf(what), name);
export const close = (what: Named, name: string): Buffer => frame(Frontend.close, kindOf(what), name);

/** Values in text format; results come in text format, too. */
export function bind(portal: string, statement: string, values: readonly (string | null)[] = []): Buffer {
  const count = Buffer.from([values.length >> 8, values.length & 255]);
  const parts = values.flatMap((value) => {
    if (value === null) return [int32(-1)];
    const bytes = Buffer.from(value);
    return [int32(bytes.length), bytes];
  });
  return frame(Frontend.bind, portal, statement, NONE, count, ...parts, NONE);
}

/** What most clients send behind a Bind of no name. */
export const DESCRIBE_PORTAL = describe('portal', '');
export const EXECUTE_ALL = execute('');

// --- a server's

export const AUTHENTICATION_OK = frame(letter('R'), int32(0));
export const PARSE_COMPLETE = frame(Backend.parseComplete);
export const BIND_COMPLETE = frame(Backend.bindComplete);
export const CLOSE_COMPLETE = frame(Backend.closeComplete);
export const NO_DATA = frame(Backend.noData);
export const PORTAL_SUSPENDED = frame(Backend.portalSuspended);
export const NO_PARAMETERS = frame(Backend.parameterDescription, NONE);
export const readyForQuery = (status: Status): Buffer => frame(Backend.readyForQuery, Buffer.from([status]));
export const commandComplete = (tag: string): Buffer => frame(Backend.commandComplete, tag);
/** One column, a text unless another type's oid is given. */
export const rowDescription = (column: string, type = 25): Buffer =>
  frame(Backend.rowDescription, ONE, column, int32(0), NONE, int32(type), ANY_SIZE, int32(-1), NONE);
/** One value, as text. */
export function dataRow(value: string): Buffer {
  const bytes = Buffer.from(value);
  return frame(Backend.dataRow, ONE, int32(bytes.length), bytes);
}
export const parameterStatus = (name: string, value: string): Buffer => frame(Backend.parameterStatus, name, value);
export const backendKeyData = (pid: number, secret: Buffer): Buffer => frame(letter('K'), int32(pid), secret);
export const negotiateProtocolVersion = (version: number, unknownOptions: readonly string[]): Buffer =>
  frame(letter('v'), int32(version), int32(unknownOptions.length), ...unknownOptions);

// --- reading

/** The zero-terminated string at `from`, and where the next thing begins. */
export function stringAt(bytes: Buffer, from: number): [text: string, next: number] {
  const end = bytes.indexOf(0, from);
  if (end < 0) throw new ProtocolError('invalid string in message');
  return [bytes.toString('utf8', from, end), end + 1];
}

export function int32At(bytes: Buffer, from: number): number {
  if (from + 4 > bytes.length) throw new ProtocolError('insufficient data left in message');
  return bytes.readInt32BE(from);
}

export function int16At(bytes: Buffer, from: number): number {
  if (from + 2 > bytes.length) throw new ProtocolError('insufficient data left in message');
  return bytes.readUInt16BE(from);
}

/** Values with their lengths ahead, as Bind and DataRow have them; null where the length is -1. */
export function valuesAt(bytes: Buffer, from: number, count: number): [values: (Buffer | null)[], next: number] {
  const values: (Buffer | null)[] = [];
  let at = from;
  for (let i = 0; i < count; i++) {
    const length = int32At(bytes, at);
    at += 4;
    if (length > bytes.length - at) throw new ProtocolError('insufficient data left in message');
    values.push(length < 0 ? null : bytes.subarray(at, at + length));
    at += Math.max(length, 0);
  }
  return [values, at];
}

/** The values of a DataRow in text format. */
export function readRow(row: Buffer): (string | null)[] {
  const [values] = valuesAt(row, 7, int16At(row, 5));
  return values.map((value) => value && value.toString());
}

export const READY_LENGTH = 6;

/** Whether an answer is complete up to its ReadyForQuery. No other message that an answer ends in ends like one. */
export function endsReady(answer: Buffer): boolean {
  const at = answer.length - READY_LENGTH;
  return at >= 0 && answer[at] === Backend.readyForQuery && answer.readInt32BE(at + 1) === 5;
}

/** The tag of a CommandComplete: `INSERT 0 1`. */
export const readTag = (complete: Buffer): string => stringAt(complete, 5)[0];
