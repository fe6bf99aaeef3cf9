import { Duplex } from 'node:stream';

/** Whole numbers from 0 up to `below`, the same ones for the same seed. */
export function random(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** The same socket, whose bytes come in other pieces, both ways. */
export class Rechunked extends Duplex {
  constructor(
    private readonly inner: Duplex,
    private readonly next: (below: number) => number,
    private readonly longest: number,
  ) {
    super({ allowHalfOpen: false });
    inner.on('data', (chunk: Buffer) => {
      for (const piece of this.pieces(chunk)) this.push(piece);
    });
    inner.on('end', () => this.push(null));
    inner.on('error', (error) => this.destroy(error));
    inner.on('close', () => this.destroy());
    inner.on('connect', () => this.emit('connect'));
  }

  private pieces(chunk: Buffer): Buffer[] {
    const pieces: Buffer[] = [];
    for (let at = 0; at < chunk.length; at += pieces.at(-1)?.length ?? 0)
      pieces.push(Buffer.from(chunk.subarray(at, at + 1 + this.next(this.longest))));
    return pieces;
  }
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    for (const piece of this.pieces(chunk)) this.inner.write(piece);
    done();
  }
  override _read(): void {}
  override _final(done: () => void): void {
    this.inner.end();
    done();
  }
  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.inner.destroy();
    done(error);
  }

  connect(): this {
    (this.inner as Duplex & { connect(): unknown }).connect();
    return this;
  }
  setNoDelay(): this {
    return this;
  }
  setKeepAlive(): this {
    return this;
  }
}
