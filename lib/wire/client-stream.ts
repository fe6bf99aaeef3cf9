// What a driver in this process takes for its socket: pg's option `stream`, postgres.js' option `socket`.
import { Duplex } from 'node:stream';
import { ClientConnection } from './client-connection';
import type { Clients } from './clients';
import type { Entrance } from './route';
import { later } from './later';

export class ClientStream extends Duplex {
  readonly client: ClientConnection;
  connecting = false;
  /** The driver says whether its connection is to keep the process alive. */
  onKeep: ((keeps: boolean) => void) | undefined;
  private resumeWriting: (() => void) | undefined;

  constructor(clients: Clients, route: (client: ClientConnection) => Entrance) {
    super({ allowHalfOpen: false });
    this.client = new ClientConnection(
      clients,
      {
        push: (bytes) => this.destroyed || this.push(bytes),
        end: () => void (this.destroyed || this.push(null)),
        fail: (error) => void this.destroy(error),
        drained: () => this.goOn(),
      },
      route,
    );
    // With a faked nextTick a stream neither reads for the first time nor counts its writes. Once it has read, what comes is
    // handed on at once; and it closes though a write was never counted.
    this.read(0);
    this.once('end', () => this.destroy());
  }

  // --- net.Socket's, as far as drivers use it

  connect(...given: unknown[]): this {
    const listener = given.at(-1);
    if (typeof listener === 'function') this.once('connect', listener as () => void);
    this.connecting = true;
    later(() => {
      this.connecting = false;
      if (!this.destroyed) this.emit('connect');
    });
    return this;
  }
  get readyState(): 'opening' | 'open' | 'closed' {
    return this.destroyed ? 'closed' : this.connecting ? 'opening' : 'open';
  }
  setNoDelay(): this {
    return this;
  }
  setKeepAlive(): this {
    return this;
  }
  setTimeout(): this {
    return this;
  }
  ref(): this {
    this.onKeep?.(true);
    return this;
  }
  unref(): this {
    this.onKeep?.(false);
    return this;
  }

  // --- Duplex

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (this.client.receive(chunk)) done();
    else this.resumeWriting = done;
  }
  /** What was written between cork and uncork. */
  override _writev(chunks: { readonly chunk: Buffer }[], done: () => void): void {
    let goesOn = true;
    for (const { chunk } of chunks) goesOn = this.client.receive(chunk);
    if (goesOn) done();
    else this.resumeWriting = done;
  }
  override _read(): void {
    this.client.sinkDrained();
  }
  override _final(done: () => void): void {
    this.client.sayGoodbye();
    done();
  }
  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.client.lost();
    this.goOn();
    done(error);
  }

  private goOn(): void {
    const resume = this.resumeWriting;
    this.resumeWriting = undefined;
    resume?.();
  }
}
