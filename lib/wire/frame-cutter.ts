// Cuts a stream of bytes into frames, whatever its chunks are.
import { ProtocolError } from './frames';

/** PostgreSQL's own limit (PQ_LARGE_MESSAGE_LIMIT in libpq/libpq.h), and that of a start-up packet (pqcomm.h). */
const LONGEST = 0x3fffffff;
const LONGEST_STARTUP = 10_000;

/** `chunk` from `start` to `end` is one frame, its type byte and its length included. */
export type OnFrame = (type: number, chunk: Buffer, start: number, end: number) => void;

/**
 * A frame that lies within one chunk is not copied. One that goes over several is joined once, when it is complete:
 * joining at each chunk would take quadratic time for a large value.
 */
export class FrameCutter {
  private held: Buffer[] = [];
  private heldSize = 0;
  private needed = 0;

  /** `startup`: the next frame has no type byte (a client's first ones); it is told with type 0. */
  constructor(
    private readonly onFrame: OnFrame,
    public startup = false,
  ) {}

  push(chunk: Buffer): void {
    let at = 0;
    if (this.held.length === 0 && !this.startup && chunk.length > 4 && this.sizeOf(chunk, 0) === chunk.length)
      return this.onFrame(chunk[0] as number, chunk, 0, chunk.length); // as drivers write them
    while (this.held.length > 0) {
      const end = at + this.needed - this.heldSize;
      if (end > chunk.length) return this.hold(chunk, at, this.needed);
      this.hold(chunk, at, this.needed);
      at = end;
      const bytes = Buffer.concat(this.held, this.heldSize);
      const size = this.sizeOf(bytes, 0);
      if (size > bytes.length) {
        this.held = [bytes];
        this.needed = size;
        continue;
      }
      this.held = [];
      this.heldSize = 0;
      this.onFrame(this.startup ? 0 : (bytes[0] as number), bytes, 0, bytes.length);
    }
    while (at < chunk.length) {
      const head = this.startup ? 4 : 5;
      if (chunk.length - at < head) return this.hold(chunk, at, head);
      const size = this.sizeOf(chunk, at);
      if (chunk.length - at < size) return this.hold(chunk, at, size);
      const start = at;
      at += size;
      this.onFrame(this.startup ? 0 : (chunk[start] as number), chunk, start, at);
    }
  }

  private hold(chunk: Buffer, from: number, needed: number): void {
    const part = chunk.subarray(from, from + needed - this.heldSize);
    this.held.push(part);
    this.heldSize += part.length;
    this.needed = needed;
  }

  private sizeOf(bytes: Buffer, at: number): number {
    const head = this.startup ? 0 : 1;
    const length = bytes.readInt32BE(at + head);
    if (this.startup ? length < 8 || length > LONGEST_STARTUP : length < 4 || length > LONGEST)
      throw new ProtocolError(this.startup ? 'invalid length of startup packet' : 'invalid message length');
    return length + head;
  }
}
