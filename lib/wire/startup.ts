// The first frames of a client, which have no type byte ("Start-up" in PostgreSQL's manual, chapter Message Flow).
import type { ErrorFields } from './error-response';
import { int32At, stringAt } from './frames';

const CANCEL = 80877102;
const SSL = 80877103;
const GSS = 80877104;
/** The only version served. A client that asks for a later minor version is told so, and goes on with this one. */
export const VERSION_3_0 = 3 << 16;

export type Startup =
  | { readonly kind: 'encryption' }
  | { readonly kind: 'cancel'; readonly pid: number; readonly secret: Buffer }
  | {
      readonly kind: 'start';
      readonly parameters: ReadonlyMap<string, string>;
      /** What a later minor version has, and 3.0 does not. Undefined where nothing of that is asked for. */
      readonly unknownOptions: readonly string[] | undefined;
      readonly refused: ErrorFields | undefined;
    };

export function readStartup(frame: Buffer): Startup {
  const code = int32At(frame, 4);
  if (code === SSL || code === GSS) return { kind: 'encryption' };
  if (code === CANCEL) return { kind: 'cancel', pid: int32At(frame, 8), secret: frame.subarray(12) };
  const parameters = new Map<string, string>();
  const unknownOptions: string[] = [];
  let at = 8;
  while (code >>> 16 === 3 && at < frame.length - 1) {
    const [name, value] = stringAt(frame, at);
    const [text, next] = stringAt(frame, value);
    if (name.startsWith('_pq_.')) unknownOptions.push(name);
    else parameters.set(name, text);
    at = next;
  }
  const refused = refusal(code, parameters);
  const plain = code === VERSION_3_0 && unknownOptions.length === 0;
  return { kind: 'start', parameters, unknownOptions: plain || refused ? undefined : unknownOptions, refused };
}

function refusal(code: number, parameters: ReadonlyMap<string, string>): ErrorFields | undefined {
  if (code >>> 16 !== 3) {
    const message = `unsupported frontend protocol ${code >>> 16}.${code & 0xffff}: server supports 3.0`;
    return { code: '0A000', message };
  }
  if (!parameters.get('user')) return { code: '28000', message: 'no PostgreSQL user name specified in startup packet' };
  if (!['false', 'off', 'no', '0'].includes(parameters.get('replication') ?? 'off'))
    return { code: '0A000', message: 'replication is not supported on a managed connection' };
  return undefined;
}

/** What to say to a client whose first bytes are no frame: HTTP, a TLS handshake. */
export function notPostgres(why: string, chunk: Buffer): string {
  const start = JSON.stringify(chunk.toString('latin1', 0, 16));
  return `${why}: this end speaks PostgreSQL's protocol, and the client began with ${start}`;
}

/** Sent over a connection that says nothing else. */
export function cancelRequest(pid: number, secret: Buffer): Buffer {
  const head = Buffer.allocUnsafe(12);
  head.writeInt32BE(12 + secret.length, 0);
  head.writeInt32BE(CANCEL, 4);
  head.writeInt32BE(pid, 8);
  return Buffer.concat([head, secret]);
}
