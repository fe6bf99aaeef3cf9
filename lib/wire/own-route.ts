// A server connection of the client's own. All passes through under the client's own names: what is wrong is the server's
// to say. Only statements that were parsed before the client was led here are parsed again, unseen, when they are used.
import { Answer, type Batch } from './batch';
import type { Client, Ended, Profile, Statement } from './contract';
import { close, parse, Status } from './frames';
import type { Request } from './request';
import type { Entrance } from './route';
import type { Segment } from './segment';
import type { ServerConnection } from './server-connection';

export class OwnRoute<Server extends ServerConnection = ServerConnection> implements Entrance {
  readonly takes = 'any';
  private server: Server | undefined;
  private opening: Promise<Server> | undefined;
  private left = false;
  private readonly waiting: Segment[] = [];
  /** By the client's names: what the server has parsed. */
  private readonly parsed = new Map<string, Statement>();

  /** `ahead` adds statements of ours ahead of a segment's, under the same Sync. If one fails, its error is the answer. */
  constructor(
    private readonly client: Client,
    private readonly open: () => Promise<Server>,
    private readonly ahead: (batch: Batch) => void = () => {},
  ) {}

  async welcome(): Promise<Profile> {
    return this.connected();
  }

  run(segment: Segment): void {
    if (this.server) return this.forward(segment, this.server);
    this.waiting.push(segment);
    if (this.waiting.length > 1) return;
    this.connected().catch((error: Error) => this.client.turnAway(error));
  }

  copy(_client: Client, frame: Buffer): boolean {
    return this.server?.copy(frame) ?? true;
  }
  cancel(): void {
    void this.server?.cancel();
  }
  drained(): void {
    this.server?.resume();
  }
  leave(): Promise<void> | undefined {
    this.left = true;
    this.server?.resume();
    return this.server?.quit();
  }

  /** Its session, if it has one. */
  get current(): Server | undefined {
    return this.server;
  }

  /** Its session, if there is one and nothing is under way on it. */
  get idle(): Server | undefined {
    return this.server?.isFree && this.server.status === Status.idle ? this.server : undefined;
  }

  /** Its session is somebody else's from now on. What the client sends here meanwhile gets another one. */
  lend(): Server | undefined {
    const server = this.idle;
    if (!server) return undefined;
    this.server = this.opening = undefined;
    server.onUnasked = server.onDrain = server.onForgotten = server.onEnded = () => {};
    return server;
  }

  /** A session that was lent comes back, as it was when it was new. False if it is not wanted any more. */
  takeBack(server: Server): boolean {
    if (this.left || this.opening || server.ended) return false;
    this.opening = Promise.resolve(server);
    this.connect(server);
    return true;
  }

  /** Ends its session if nothing is under way on it; the client gets another one when it needs one. */
  async park(): Promise<void> {
    await this.lend()?.quit();
  }

  /** Cuts its session off, whatever is under way on it. */
  async kill(): Promise<void> {
    await this.server?.kill();
  }

  private connected(): Promise<Server> {
    return (this.opening ??= this.open().then(
      (server) => this.connect(server),
      (error) => {
        this.opening = undefined;
        throw error;
      },
    ));
  }

  private connect(server: Server): Server {
    this.server = server;
    this.parsed.clear();
    server.onUnasked = (frame) => void this.client.give(frame);
    server.onDrain = () => this.client.drained();
    server.onForgotten = (byClient) => {
      this.parsed.clear();
      if (byClient) this.client.statements.clear();
    };
    server.onEnded = (why) => this.ended(why);
    for (const segment of this.waiting.splice(0)) this.forward(segment, server);
    if (this.left) void server.quit();
    return server;
  }

  /** The client sees what it would see of its server. If it leads elsewhere just now, it gets a new session when it is back. */
  private ended({ response, error }: Ended): void {
    this.server = this.opening = undefined;
    this.parsed.clear();
    if (!this.client.leadsTo(this)) return;
    if (response) this.client.abortWith(response);
    else if (error) this.client.break(error);
    else this.client.hangUp();
  }

  private forward(segment: Segment, server: ServerConnection): void {
    const { client } = this;
    const batch = server.batch();
    this.ahead(batch);
    for (const request of segment.requests) this.relay(request, batch);
    if (segment.end === 'sync') batch.sync(true);
    else if (segment.end === 'flush') batch.flush();
    server.run(batch, {
      push: (bytes) => {
        if (!segment.push(bytes)) server.pause();
      },
      copyIn: () => {
        client.copying = true;
        return true;
      },
      done: ({ status, error, tail }) => {
        client.copying = false;
        if (error) segment.push(error);
        segment.finish(status, tail, server.parameters);
      },
      lost: () => {},
    });
  }

  private relay(request: Request, batch: Batch): void {
    const { frame } = request;
    switch (request.kind) {
      case 'query':
        this.note('', undefined); // a simple Query drops it
        batch.query(frame);
        return;
      case 'parse': {
        const { name, text, types } = request;
        if (name !== '') this.align(name, batch);
        const undo = this.note(name, { text, types });
        batch.show(frame, Answer.parse, (failed) => {
          undo();
          if (failed && name === '') this.note('', undefined); // it has dropped the one before
        });
        return;
      }
      case 'bind':
        this.align(request.statement, batch);
        batch.show(frame, Answer.bind);
        return;
      case 'describe':
        if (request.what === 'portal') batch.show(frame, Answer.rows);
        else {
          this.align(request.name, batch);
          batch.describeStatement(frame);
        }
        return;
      case 'execute':
        batch.show(frame, Answer.execute);
        return;
      case 'close': {
        const undo = request.what === 'statement' ? this.note(request.name, undefined) : undefined;
        batch.show(frame, Answer.close, undo);
      }
    }
  }

  /** Notes what the client and its server are going to have under a name. Returns how to take that back. */
  private note(name: string, statement: Statement | undefined): () => void {
    const maps = [this.client.statements, this.parsed];
    const before = maps.map((map) => map.get(name));
    maps.forEach((map) => put(map, name, statement));
    return () => {
      maps.forEach((map, i) => {
        if (map.get(name) === statement) put(map, name, before[i]);
      });
    };
  }

  /** Brings the server's statement of this name in line with what the client believes. */
  private align(name: string, batch: Batch): void {
    const here = this.parsed.get(name);
    const wanted = this.client.statements.get(name);
    if (here === wanted) return;
    if (here) batch.hide(close('statement', name), Answer.close);
    if (wanted) batch.hide(parse(name, wanted.text, wanted.types), Answer.parse, () => this.parsed.delete(name));
    put(this.parsed, name, wanted);
  }
}

function put(map: Map<string, Statement>, name: string, statement: Statement | undefined): void {
  if (statement) map.set(name, statement);
  else map.delete(name);
}
