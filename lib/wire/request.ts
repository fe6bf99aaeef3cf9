// What a client asks for, one frame each. Read as far as a name, a text or a limit; the rest stays bytes.
import {
  DESCRIBE_PORTAL,
  EXECUTE_ALL,
  Frontend,
  int16At,
  int32At,
  type Named,
  NONE,
  ProtocolError,
  stringAt,
  valuesAt,
} from './frames';

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
  /** Where, in the frame, formats and values follow the two names; see {@link parameters}. */
  readonly at: number;
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

const DESCRIBES_UNNAMED: Request = { kind: 'describe', what: 'portal', name: '', frame: DESCRIBE_PORTAL };
const EXECUTES_UNNAMED: Request = { kind: 'execute', portal: '', rowLimit: 0, frame: EXECUTE_ALL };

/** Undefined for a frame that asks for nothing, or that is not known here. */
export function readRequest(type: number, frame: Buffer): Request | undefined {
  switch (type) {
    case Frontend.query:
      return { kind: 'query', text: stringAt(frame, 5)[0], frame };
    case Frontend.parse: {
      const [name, at] = stringAt(frame, 5);
      const [text, rest] = stringAt(frame, at);
      const types = rest + 2 === frame.length && int16At(frame, rest) === 0 ? NONE : frame.subarray(rest);
      return { kind: 'parse', name, text, types, frame };
    }
    case Frontend.bind: {
      const [portal, at] = stringAt(frame, 5);
      const [statement, rest] = stringAt(frame, at);
      return { kind: 'bind', portal, statement, at: rest, frame };
    }
    case Frontend.describe:
      if (frame.equals(DESCRIBE_PORTAL)) return DESCRIBES_UNNAMED;
      return { kind: 'describe', what: namedAt(frame), name: stringAt(frame, 6)[0], frame };
    case Frontend.close:
      return { kind: 'close', what: namedAt(frame), name: stringAt(frame, 6)[0], frame };
    case Frontend.execute: {
      if (frame.equals(EXECUTE_ALL)) return EXECUTES_UNNAMED;
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
export function parameters({ frame, at: from }: BindRequest): Parameter[] {
  const rest = frame.subarray(from);
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
