// ErrorResponse and NoticeResponse, both ways ("Error and Notice Message Fields" in PostgreSQL's manual).
import { Backend, frame, stringAt } from './frames';

const LETTERS = {
  severity: 'S',
  code: 'C',
  message: 'M',
  detail: 'D',
  hint: 'H',
  position: 'P',
  internalPosition: 'p',
  internalQuery: 'q',
  where: 'W',
  schema: 's',
  table: 't',
  column: 'c',
  dataType: 'd',
  constraint: 'n',
  file: 'F',
  line: 'L',
  routine: 'R',
} as const;

type FieldName = keyof typeof LETTERS;
/** Fields that a driver's error has under the same names. `severity` is ERROR unless it is given. */
export type ErrorFields = { readonly [name in FieldName]?: string | undefined } & {
  readonly code: string;
  readonly message: string;
};

const NAMES = new Map<string, FieldName>();
for (const name of Object.keys(LETTERS) as FieldName[]) NAMES.set(LETTERS[name], name);

function withFields(type: number, fields: ErrorFields, severity: string): Buffer {
  const parts: (string | Buffer)[] = [];
  const put = (letter: string, value: string): void => void parts.push(Buffer.from(letter), value);
  put('S', severity);
  put('V', severity); // the same, never translated
  for (const name of Object.keys(LETTERS) as FieldName[]) {
    const value = fields[name];
    if (name !== 'severity' && typeof value === 'string') put(LETTERS[name], value);
  }
  return frame(type, ...parts, Buffer.from([0]));
}

export const errorResponse = (fields: ErrorFields): Buffer =>
  withFields(Backend.errorResponse, fields, fields.severity ?? 'ERROR');
export const noticeResponse = (fields: ErrorFields): Buffer =>
  withFields(Backend.noticeResponse, fields, fields.severity ?? 'NOTICE');

export function readFields(response: Buffer): ErrorFields {
  const fields: { [name in FieldName]?: string } & { code: string; message: string } = { code: '', message: '' };
  let at = 5;
  while (at < response.length && response[at] !== 0) {
    const name = NAMES.get(String.fromCharCode(response[at] as number));
    const [value, next] = stringAt(response, at + 1);
    if (name) fields[name] = value;
    at = next;
  }
  return fields;
}

/** Whether the server ends the connection with it. */
export function isFatal(response: Buffer): boolean {
  const at = response.indexOf('\0V', 5); // not the first field, and never translated
  const severity = at < 0 ? readFields(response).severity : stringAt(response, at + 2)[0];
  return severity === 'FATAL' || severity === 'PANIC';
}
