// A connection pooler in front of the test server, like PgBouncer: clients get sessions of the server for as long as they
// are connected, or for one transaction after another.
import net from 'node:net';
import { once } from 'node:events';
import { Client } from 'pg';
import type { TestDatabase } from './database';

export interface Pooler {
  /** The database, by way of it. */
  readonly url: string;
  close(): Promise<void>;
}

const SSL_REQUEST = 80877103;
const CANCEL_REQUEST = 80877102;
/** ReadyForQuery, and the status in it of a session without a transaction. */
const [READY, IDLE] = ['Z', 'I'].map((letter) => letter.charCodeAt(0));
const PARAMETERS = { server_version: '15.0', client_encoding: 'UTF8', standard_conforming_strings: 'on' };

/**
 * `transaction`: the session that was given back last is handed to whoever asks next; `transaction, in turn`: the one that was
 * given back first, of three (PgBouncer's `server_round_robin`).
 */
type Mode = 'session' | 'transaction' | 'transaction, in turn';

export async function poolerTo(database: TestDatabase, mode: Mode): Promise<Pooler> {
  const idle: Session[] = [];
  const sessions = new Set<Session>();
  const clients = new Set<net.Socket>();
  const pooled: PooledClient[] = [];
  /** By the secret that it was told: its place. */
  const cancel = async (secret: number): Promise<void> => (await pooled[secret]?.session)?.cancel(database.url);
  const opened = async (): Promise<Session> => {
    const inTurn = mode === 'transaction, in turn';
    const free = inTurn ? (sessions.size < 3 ? undefined : idle.shift()) : idle.pop();
    const session = free ?? (await Session.open(database.url));
    sessions.add(session);
    return session;
  };
  const server = net.createServer((socket) => {
    clients.add(socket);
    socket.on('error', () => {});
    const secret = pooled.length;
    pooled.push(new PooledClient(socket, mode, opened, (session) => idle.push(session), secret, cancel));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = new URL(database.url);
  url.searchParams.delete('host');
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as net.AddressInfo).port);
  return {
    url: url.href,
    close: async () => {
      for (const socket of clients) socket.destroy();
      server.close();
      for (const session of sessions) await session.end();
    },
  };
}

/** A connection to the server, of which only the stream is used once it is open. */
class Session {
  receive: (message: Buffer) => void = () => {};
  lost = (): void => {};

  private constructor(
    private readonly client: Client,
    readonly stream: net.Socket,
  ) {
    stream.removeAllListeners('data');
    stream.on('close', () => this.lost());
    stream.on(
      'data',
      messages((message) => this.receive(message)),
    );
  }

  static async open(url: string): Promise<Session> {
    const client = new Client({ connectionString: url });
    client.on('error', () => {});
    await client.connect();
    return new Session(client, (client as unknown as { connection: { stream: net.Socket } }).connection.stream);
  }

  async cancel(url: string): Promise<void> {
    const client = new Client({ connectionString: url });
    await client.connect();
    await client.query('select pg_cancel_backend($1)', [(this.client as unknown as { processID: number }).processID]);
    await client.end();
  }

  async end(): Promise<void> {
    if (this.stream.destroyed) return;
    const closed = once(this.stream, 'close');
    this.stream.destroy();
    await closed;
    await this.client.end().catch(() => {});
  }
}

class PooledClient {
  #session: Promise<Session> | undefined;
  /** Messages that are answered by ReadyForQuery, and have not been. */
  #unanswered = 0;
  /** Whether no transaction is open. */
  #isIdle = true;

  constructor(
    private readonly socket: net.Socket,
    private readonly mode: Mode,
    private readonly opened: () => Promise<Session>,
    private readonly giveBack: (session: Session) => void,
    private readonly secret: number,
    private readonly cancel: (secret: number) => Promise<void>,
  ) {
    socket.once('data', (startup: Buffer) => this.#start(startup));
    socket.on('close', () => void this.#leave());
  }

  get session(): Promise<Session> | undefined {
    return this.#session;
  }

  #start(startup: Buffer): void {
    if (startup.readInt32BE(4) === CANCEL_REQUEST) {
      void this.cancel(startup.readInt32BE(12)).finally(() => this.socket.end());
      return;
    }
    if (startup.readInt32BE(4) === SSL_REQUEST) {
      this.socket.once('data', (again: Buffer) => this.#start(again));
      this.socket.write('N');
      return;
    }
    this.socket.on(
      'data',
      messages((message) => void this.#send(message)),
    );
    const parameters = Object.entries(PARAMETERS).map(([name, value]) => packet('S', `${name}\0${value}\0`));
    // A process id that is no process's, as a pooler makes them up.
    const key = packet('K', Buffer.from([0x7f, 0xff, 0xff, 0xff, 0, 0, 0, this.secret]));
    this.socket.write(Buffer.concat([packet('R', Buffer.alloc(4)), ...parameters, key, packet('Z', 'I')]));
  }

  async #send(message: Buffer): Promise<void> {
    const type = String.fromCharCode(message[0] ?? 0);
    if (type === 'X') return;
    if (type === 'Q' || type === 'S') this.#unanswered++;
    const session = await (this.#session ??= this.#linked());
    session.stream.write(message);
  }

  async #linked(): Promise<Session> {
    const session = await this.opened();
    session.lost = () => void this.socket.destroy();
    session.receive = (message) => {
      this.socket.write(message);
      if (message[0] !== READY) return;
      this.#unanswered--;
      this.#isIdle = this.#unanswered === 0 && message[5] === IDLE;
      if (this.#isIdle && this.mode !== 'session') this.#unlink(session);
    };
    return session;
  }

  #unlink(session: Session): void {
    session.receive = () => {};
    session.lost = () => {};
    this.#session = undefined;
    this.giveBack(session);
  }

  /** What it has left open goes with its session. Nothing else is reset: the next client gets the session as it is. */
  async #leave(): Promise<void> {
    const session = await this.#session;
    if (!session) return;
    if (this.#unanswered > 0 || !this.#isIdle) await session.end();
    else this.#unlink(session);
  }
}

function packet(type: string, body: string | Buffer): Buffer {
  const bytes = Buffer.from(body);
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeInt32BE(bytes.length + 4, 1);
  return Buffer.concat([head, bytes]);
}

/** Cuts a stream into messages: a byte that tells the type, the length of the rest, the rest. */
function messages(each: (message: Buffer) => void): (bytes: Buffer) => void {
  let rest = Buffer.alloc(0);
  return (bytes) => {
    rest = Buffer.concat([rest, bytes]);
    while (rest.length >= 5 && rest.length >= 1 + rest.readInt32BE(1)) {
      const end = 1 + rest.readInt32BE(1);
      each(rest.subarray(0, end));
      rest = rest.subarray(end);
    }
  };
}
