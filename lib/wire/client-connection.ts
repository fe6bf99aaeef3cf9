// A connection as the app's driver sees it, from the server's end. It cuts what the client sends into segments, hands each
// to its route, and gives the answers back in order. What carries the bytes (a stream of this process, a socket) is its sink.
import { AsyncResource } from 'node:async_hooks';
import type { Clients } from './clients';
import type { Client, Context, Portal, Profile, SegmentEnd, Statement } from './contract';
import { errorResponse, type ErrorFields } from './error-response';
import { FrameCutter } from './frame-cutter';
import {
  AUTHENTICATION_OK,
  backendKeyData,
  Frontend,
  negotiateProtocolVersion,
  ProtocolError,
  readyForQuery,
  Status,
} from './frames';
import { later, muchLater } from './later';
import { readRequest, type Request } from './request';
import type { Entrance, Route } from './route';
import { Segment } from './segment';
import { ToldParameters } from './server-parameters';
import { notPostgres, readStartup, VERSION_3_0, type Startup } from './startup';

export interface Sink {
  /** False if it is full; then {@link ClientConnection.sinkDrained} is called when it is not. */
  push(bytes: Buffer): boolean;
  /** The connection ends here, as a server closes one. */
  end(): void;
  /** It breaks, with an error that is no server's. */
  fail(error: Error): void;
  /** After `receive()` was false: the client may write on. */
  drained(): void;
}

let connections = 0;

export class ClientConnection implements Client {
  readonly id = ++connections;
  /** What the client has said at its start: user, database, settings. */
  startup: ReadonlyMap<string, string> = new Map();
  /** The pid that the client was told. */
  pid: number | undefined;
  /** As the client was told last. */
  status: Status = Status.idle;
  closed = false;
  /** A COPY … FROM STDIN waits for its data. To be set before the client is told, for it may write at once. */
  copying = false;
  readonly told = new ToldParameters();
  /** By name: what the client believes to be parsed. */
  readonly statements = new Map<string, Statement>();
  /** By name: what it has open on a server connection that others use too. */
  readonly portals = new Map<string, Portal>();
  /** In whose async context a segment was sent: where a driver queues by itself, not the one that its write comes in. */
  takeContext: (requests: readonly Request[]) => Context = () => new AsyncResource('REWIND_SEGMENT');
  /** Asked for each segment that comes while it is idle: where it leads from here on. Must not reject. */
  choose: ((segment: Segment) => Route | Promise<Route>) | undefined;
  /** It has gone. Resolves when nothing of it is left. */
  onLeft: (() => Promise<void> | void) | undefined;
  /** Where the next segment goes: is being found out, or has been. */
  private choosing = false;
  private hasChosen = false;
  private readonly cutter = new FrameCutter((type, chunk, start, end) => {
    if (this.closed) return;
    this.frame(type, start === 0 && end === chunk.length ? chunk : chunk.subarray(start, end));
  }, true);
  private readonly context = new AsyncResource('REWIND_CLIENT');
  /** Where it leads just now. */
  route: Route | undefined;
  private secret: Buffer | undefined;
  private ready = false;
  private requests: Request[] = [];
  private readonly waiting: Segment[] = [];
  private running = 0;
  /** No flushed part waits for its Sync. */
  private synced = true;
  private skipping = false;
  private terminated = false;
  private writable = true;
  private idleListeners: (() => void)[] = [];

  /** `firstRoute` is asked once the client has said who it is. */
  constructor(
    private readonly clients: Clients,
    private readonly sink: Sink,
    private readonly firstRoute: (client: ClientConnection) => Entrance,
  ) {}

  // --- from the client

  /** False if the client should write no more until its sink is told `drained`. */
  receive(chunk: Buffer): boolean {
    if (this.closed) return true;
    this.writable = true;
    try {
      this.cutter.push(chunk);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.abort({ code: '08P01', message: this.cutter.startup ? notPostgres(error.message, chunk) : error.message });
    }
    return this.writable;
  }

  private frame(type: number, frame: Buffer): void {
    if (this.cutter.startup) return this.start(readStartup(frame));
    if (this.terminated) return;
    switch (type) {
      case Frontend.copyData:
      case Frontend.copyDone:
      case Frontend.copyFail:
        if (type !== Frontend.copyData) this.copying = false;
        if (this.route && !this.route.copy(this, frame)) this.writable = false;
        return;
      case Frontend.terminate:
        return this.sayGoodbye();
      case Frontend.sync:
        if (!this.copying) this.submit('sync'); // a server passes over it, too, while it waits for data
        return;
      case Frontend.flush:
        if (!this.copying && this.requests.length > 0) this.submit('flush');
        return;
      default: {
        const request = readRequest(type, frame);
        if (!request || this.copying) return this.refuseFrame(type);
        this.requests.push(request);
        if (request.kind === 'query') this.submit('query');
      }
    }
  }

  /** The client has nothing more to say; it still gets what it has asked for. */
  sayGoodbye(): void {
    this.terminated = true;
    if (!this.ready && !this.closed) this.hangUp();
    else this.next();
  }

  private refuseFrame(type: number): void {
    const name = `"${String.fromCharCode(type)}"`;
    if (type === Frontend.functionCall)
      this.abort({ code: '0A000', message: 'function call messages (PQfn) are not supported on a managed connection' });
    else if (this.copying)
      this.abort({ code: '08P01', message: `unexpected message type ${name} during COPY from stdin` });
    else this.abort({ code: '08P01', message: `invalid frontend message type ${name}` });
  }

  private submit(end: SegmentEnd): void {
    const { requests } = this;
    this.requests = [];
    this.waiting.push(new Segment(this, requests, end, this.takeContext(requests)));
    this.next();
  }

  private next(): void {
    while (this.ready && this.route && this.waiting.length > 0) {
      if (this.choosing || (this.running > 0 && this.route.takes === 'one')) return;
      if (this.choose && !this.hasChosen && this.isFree && this.lead(this.choose)) return;
      this.hasChosen = false;
      const segment = this.waiting.shift() as Segment;
      if (this.skipping && segment.end !== 'sync') continue;
      this.running++;
      this.synced = false;
      if (this.skipping) {
        this.skipping = false;
        muchLater(() => segment.finish(this.status)); // pg-cursor may still be told of the error
      } else this.route.run(segment);
    }
    if (this.terminated && this.running === 0 && this.waiting.length === 0) this.hangUp();
  }

  /** Leads it where its next segment is to go. True if that is not known yet. */
  private lead(choose: NonNullable<ClientConnection['choose']>): boolean {
    const [segment] = this.waiting;
    if (!segment || segment.requests.length === 0) return false;
    const chosen = choose(segment);
    if (!(chosen instanceof Promise)) {
      this.route = chosen;
      return false;
    }
    this.choosing = true;
    void chosen.then((route) => {
      this.choosing = false;
      if (this.closed) return;
      this.route = route;
      this.hasChosen = true;
      this.next();
    });
    return true;
  }

  /** For {@link Segment}. */
  finished(end: SegmentEnd, status: Status | undefined): void {
    this.running--;
    if (status !== undefined) this.status = status;
    this.synced = end !== 'flush';
    this.next();
    if (this.idle) for (const tell of this.idleListeners.splice(0)) tell();
  }

  /** What comes is dropped until the client's Sync, as a server does it after an error. */
  skipToSync(status: Status = this.status): void {
    this.skipping = true;
    this.status = status;
  }

  // --- its route

  /** Whether the client waits for nothing, has nothing half sent, and no transaction open. */
  get idle(): boolean {
    return this.isFree && this.waiting.length + this.requests.length === 0;
  }

  /** Whether it waits for an answer, or is going to: else what is open is a transaction in which nothing is under way. */
  get isWaiting(): boolean {
    return this.running > 0 || !this.synced || this.waiting.length + this.requests.length > 0;
  }

  /** Whether it waits for no answer, and has no transaction open. */
  private get isFree(): boolean {
    return this.ready && this.running === 0 && this.synced && !this.skipping && this.status === Status.idle;
  }

  /** Resolves once it is idle, or has gone. */
  whenIdle(): Promise<void> {
    if (this.idle || this.closed) return Promise.resolve();
    return new Promise((resolve) => this.idleListeners.push(resolve));
  }

  leadsTo(route: object): boolean {
    return this.route === route;
  }

  /** From now on it leads elsewhere. The client notices nothing: what it believes to be parsed is parsed there when needed. */
  redirect(route: Route): void {
    if (!this.idle) throw new Error('a client connection can only be redirected while it is idle');
    this.route = route;
  }

  /** The server takes data again, after {@link Route.copy} was false. */
  drained(): void {
    if (!this.closed) this.sink.drained();
  }
  /** The client takes more of an answer, after {@link Sink.push} was false. */
  sinkDrained(): void {
    if (!this.closed) this.route?.drained(this);
  }
  cancel(): void {
    this.route?.cancel(this);
  }

  // --- to the client

  /** In the async context of the segment that it answers: a shared session's own would be that of its first user. */
  give(bytes: Buffer, context: Context = this.context): boolean {
    if (this.closed) return true;
    try {
      return context.runInAsyncScope(() => this.sink.push(bytes));
    } catch (error) {
      // A callback of the app's has thrown. As with a real socket nothing catches that; what else came is not its matter.
      later(() => {
        throw error;
      });
      return true;
    }
  }

  /** Ends it with an error of ours, in a later turn. */
  abort(error: ErrorFields): void {
    this.abortWith(errorResponse({ ...error, severity: 'FATAL' }));
  }
  /** Ends it with what a server has said. */
  abortWith(response: Buffer): void {
    if (this.closed) return;
    void this.leave();
    later(() =>
      this.context.runInAsyncScope(() => {
        this.sink.push(response);
        this.sink.end();
      }),
    );
  }
  /** Ends it as a connection that breaks. */
  break(error: Error): void {
    if (this.closed) return;
    void this.leave();
    this.sink.fail(error);
  }
  /** Ends it without a word. */
  hangUp(): void {
    if (this.closed) return;
    const left = this.leave();
    if (left) void left.then(() => this.sink.end());
    else this.sink.end();
  }
  /** The client has gone without saying goodbye. */
  lost(): void {
    if (!this.closed) void this.leave();
  }

  private leave(): Promise<void> | void {
    this.closed = true;
    this.requests = [];
    if (this.secret) this.clients.leave(this.secret);
    const left = this.route?.leave(this);
    for (const tell of this.idleListeners.splice(0)) tell();
    return this.onLeft?.() ?? left;
  }

  // --- start-up

  private start(asked: Startup): void {
    switch (asked.kind) {
      case 'encryption': // what is in this process, or comes by a door of this machine, is not encrypted
        return this.answerLater(Buffer.from('N'));
      case 'cancel':
        this.clients.cancel(asked.secret);
        return this.hangUp();
      case 'start':
        this.cutter.startup = false;
        this.startup = asked.parameters;
        if (asked.unknownOptions) this.answerLater(negotiateProtocolVersion(VERSION_3_0, asked.unknownOptions));
        void this.enter(asked);
    }
  }

  private async enter(asked: Extract<Startup, { kind: 'start' }>): Promise<void> {
    if (asked.refused) return this.abort(asked.refused);
    try {
      const entrance = this.firstRoute(this);
      this.route = entrance;
      this.welcome(await entrance.welcome(this));
    } catch (error) {
      this.turnAway(error as Error & Partial<ErrorFields>);
    }
  }

  private welcome({ parameters, pid }: Profile): void {
    if (this.closed) return;
    this.pid = pid;
    this.secret = this.clients.enter(this);
    const told = this.told.news(parameters) ?? Buffer.alloc(0);
    const end = [backendKeyData(pid, this.secret), readyForQuery(Status.idle)];
    this.answerLater(Buffer.concat([AUTHENTICATION_OK, told, ...end]), () => {
      this.ready = true;
      this.next();
    });
  }

  /** What a server has said goes on as the server's; anything else is an error of connecting. */
  turnAway(error: Error & Partial<ErrorFields>): void {
    const { code, severity } = error;
    if (severity !== undefined && code !== undefined) this.abort({ ...error, code, message: error.message });
    else this.break(error);
  }

  private answerLater(bytes: Buffer, then?: () => void): void {
    later(() => {
      this.give(bytes);
      then?.();
    });
  }
}
