// A small sandbox: many client connections in one transaction that is never committed, each segment above a savepoint. It
// has no transactions of clients, and knows nothing of statements; it shows what a route can build on.
import {
  errorResponse,
  frames,
  type Batch,
  type ClientConnection,
  type Profile,
  type Route,
  type Segment,
  type ServerConnection,
  SharedNames,
  type StatementView,
} from '../../lib/wire';

export class SharedRoute implements Route {
  readonly takes = 'one';
  server: ServerConnection | undefined;
  /** Statements of ours that go ahead of the next segment, and behind it. */
  ahead: string[] = [];
  behind: string[] = [];
  private names: SharedNames | undefined;
  private opening: Promise<ServerConnection> | undefined;
  private begun = false;
  private failed = false;
  private active: Segment | undefined;
  private readonly waiting: Segment[] = [];

  readonly view: StatementView = { textOf: ({ text }) => text, searchPathOf: () => '', isKept: () => false };

  constructor(private readonly open: () => Promise<ServerConnection>) {}

  async welcome(): Promise<Profile> {
    this.opening ??= this.open();
    this.server = await this.opening;
    this.server.onDrain = () => this.active?.client.drained();
    this.names ??= new SharedNames(this.server.names, this.view);
    return this.server;
  }

  run(segment: Segment): void {
    this.waiting.push(segment);
    this.next();
  }
  copy(client: ClientConnection, frame: Buffer): boolean {
    return this.active?.client !== client || !this.server || this.server.copy(frame);
  }
  cancel(client: ClientConnection): void {
    if (this.active?.client === client) return void this.server?.cancel();
    const at = this.waiting.findIndex((segment) => segment.client === client);
    const [segment] = at < 0 ? [] : this.waiting.splice(at, 1);
    segment?.refuse({ code: '57014', message: 'canceling statement due to user request' });
  }
  drained(): void {}
  leave(client: ClientConnection): void {
    if (client.copying) this.server?.copy(frames.copyFail('the client has gone'));
    this.names?.portalsEnd(client);
  }
  quit(): void {
    void this.server?.quit();
  }

  private next(): void {
    const segment = this.active ? undefined : this.waiting.shift();
    if (!segment || !this.server || !this.names) return;
    this.active = segment;
    const { client, end } = segment;
    const batch = this.server.batch();
    this.prepare(batch);
    let refused = false;
    for (const request of segment.requests) {
      const error = this.names.add(request, segment, batch);
      if (!error) continue;
      batch.answer(errorResponse(error));
      refused = true;
      break;
    }
    if (end !== 'query') {
      for (const text of this.behind) batch.own(text);
      batch.sync(end === 'sync');
    }
    this.server.run(batch, {
      push: (bytes) => void segment.push(bytes),
      copyIn: () => (client.copying = true),
      lost: ({ response }) => client.abortWith(response ?? errorResponse({ code: '08006', message: 'lost' })),
      done: ({ status, failed, error, tail }) => {
        this.active = undefined;
        client.copying = false;
        this.failed = failed !== undefined || refused || status === frames.Status.failed;
        if (error) segment.push(error);
        if (end !== 'flush' || this.failed) this.names?.portalsEnd(client);
        if (end !== 'flush')
          segment.finish(status === undefined ? undefined : frames.Status.idle, tail, this.server?.parameters);
        else if (this.failed) segment.fail(tail);
        else segment.finish(undefined, tail);
        this.next();
      },
    });
  }

  private prepare(batch: Batch): void {
    if (!this.begun) batch.own('BEGIN');
    else if (this.failed) batch.own('ROLLBACK TO SAVEPOINT segment');
    this.begun = true;
    this.names?.closePortals(batch);
    batch.own('SAVEPOINT segment');
    for (const text of this.ahead.splice(0)) batch.own(text);
  }
}
