// What a client asks for, one frame each. Read as far as a name, a text or a limit; the rest stays bytes.
import { Frontend, int16At, int32At, type Named, ProtocolError, stringAt, valuesAt } from './frames';

interface Framed {
  /** As the client sent it. */
  readonly frame: Buffer;
}
export interface QueryRequest extends Framed {
  readonly kind: 'query';
  readonly text: string;
}
export interface ParseRequest extends Framed {
  readonly kind: 'parse';
  readonly name: string;
  readonly text: string;
  /** The parameters' count and type oids; see {@link parameterTypes}. */
  readonly types: Buffer;
}
export interface BindRequest extends Framed {
  readonly kind: 'bind';
  readonly portal: string;
  readonly statement: string;
  /** What follows the two names: formats and values; see {@link parameters}. */
  readonly rest: Buffer;
}
export interface DescribeRequest extends Framed {
  readonly kind: 'describe';
  readonly what: Named;
  readonly name: string;
}
export interface ExecuteRequest extends Framed {
  readonly kind: 'execute';
  readonly portal: string;
  /** 0: all rows. */
  readonly rowLimit: number;
}
export interface CloseRequest extends Framed {
  readonly kind: 'close';
  readonly what: Named;
  readonly name: string;
}
export type Request = QueryRequest | ParseRequest | BindRequest | DescribeRequest | ExecuteRequest | CloseRequest;

/** Undefined for a frame that asks for nothing, or that is not known here. */
export function readRequest(type: number, frame: Buffer): Request | undefined {
  switch (type) {
    case Frontend.query:
      return { kind: 'query', text: stringAt(frame, 5)[0], frame };
    case Frontend.parse: {
      const [name, at] = stringAt(frame, 5);
      const [text, rest] = stringAt(frame, at);
      return { kind: 'parse', name, text, types: frame.subarray(rest), frame };
    }
    case Frontend.bind: {
      const [portal, at] = stringAt(frame, 5);
      const [statement, rest] = stringAt(frame, at);
      return { kind: 'bind', portal, statement, rest: frame.subarray(rest), frame };
    }
    case Frontend.describe:
      return { kind: 'describe', what: namedAt(frame), name: stringAt(frame, 6)[0], frame };
    case Frontend.close:
      return { kind: 'close', what: namedAt(frame), name: stringAt(frame, 6)[0], frame };
    case Frontend.execute: {
      const [portal, at] = stringAt(frame, 5);
      return { kind: 'execute', portal, rowLimit: int32At(frame, at), frame };
    }
    default:
      return undefined;
  }
}

function namedAt(frame: Buffer): Named {
  const kind = String.fromCharCode(frame[5] ?? 0);
  if (kind !== 'S' && kind !== 'P') throw new ProtocolError(`invalid DESCRIBE or CLOSE message subtype "${kind}"`);
  return kind === 'S' ? 'statement' : 'portal';
}

export interface Parameter {
  /** Null for SQL's NULL. */
  readonly value: Buffer | null;
  readonly binary: boolean;
}

/** The values of a Bind, as raw as they are. */
export function parameters({ rest }: BindRequest): Parameter[] {
  const formats = int16At(rest, 0);
  const format = (i: number): number => (formats === 0 ? 0 : int16At(rest, 2 + 2 * (formats === 1 ? 0 : i)));
  const at = 2 + 2 * formats;
  const [values] = valuesAt(rest, at + 2, int16At(rest, at));
  return values.map((value, i) => ({ value, binary: format(i) === 1 }));
}

/** The type oids of a Parse; 0 where the server is to find out. */
export function parameterTypes({ types }: { readonly types: Buffer }): number[] {
  return Array.from({ length: int16At(types, 0) }, (_, i) => int32At(types, 2 + 4 * i) >>> 0);
}
