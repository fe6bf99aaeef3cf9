// A client of bare frames: for what drivers may send, and pg does not.
import type { Duplex } from 'node:stream';
import { frames, readFields } from '../../lib/wire';
import { FrameCutter } from '../../lib/wire/frame-cutter';

const { Backend, int32, readTag } = frames;

export class RawClient {
  /** Told by BackendKeyData. */
  key: { pid: number; secret: Buffer } | undefined;
  closed = false;
  private got: string[] = [];
  private wake: (() => void) | undefined;

  constructor(readonly socket: Duplex) {
    const cutter = new FrameCutter((type, chunk, start, end) => {
      if (type === 0x4b)
        this.key = { pid: chunk.readInt32BE(start + 5), secret: Buffer.from(chunk.subarray(start + 9, end)) };
      this.got.push(shown(type, Buffer.from(chunk.subarray(start, end))));
      this.wake?.();
    });
    socket.on('data', (chunk: Buffer) => cutter.push(chunk));
    socket.on('error', () => {});
    socket.on('close', () => {
      this.closed = true;
      this.wake?.();
    });
  }

  send(...sent: readonly Buffer[]): void {
    this.socket.write(Buffer.concat(sent));
  }
  /** All messages up to one that begins like that. */
  async until(last: string): Promise<string[]> {
    for (;;) {
      const at = this.got.findIndex((message) => message.startsWith(last));
      if (at >= 0) return this.got.splice(0, at + 1);
      if (this.closed) return [...this.got.splice(0), 'closed'];
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }
  async ask(...sent: readonly Buffer[]): Promise<string[]> {
    this.send(...sent);
    return this.until('Z');
  }
}

function shown(type: number, bytes: Buffer): string {
  const letter = String.fromCharCode(type);
  switch (type) {
    case Backend.errorResponse:
    case Backend.noticeResponse: {
      const { severity, code, message } = readFields(bytes);
      return `${letter} ${severity} ${code} ${message}`;
    }
    case Backend.commandComplete:
      return `${letter} ${readTag(bytes)}`;
    case Backend.dataRow:
      return `${letter} ${frames.readRow(bytes).join('|')}`;
    case Backend.readyForQuery:
      return `${letter} ${String.fromCharCode(bytes[5] as number)}`;
    case Backend.parameterStatus:
      return `${letter} ${bytes.toString('utf8', 5, bytes.length - 1).replace('\0', '=')}`;
    case Backend.notificationResponse:
      return `${letter} ${bytes.toString('utf8', 9, bytes.length - 1).replace('\0', '=')}`;
    default:
      return letter;
  }
}

export function startupMessage(parameters: Record<string, string>, version = 196608): Buffer {
  const body = Object.entries(parameters).map(([name, value]) => `${name}\0${value}\0`);
  const bytes = Buffer.from(`${body.join('')}\0`);
  return Buffer.concat([int32(bytes.length + 8), int32(version), bytes]);
}
