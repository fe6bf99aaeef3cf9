// A real session: opened by the app's own driver, with the app's own settings; then its socket is ours.
import net from 'node:net';
import { openingOwn } from '../own-sockets';
import { scopeContext } from '../scope';
import { frames, readFields, ServerConnection, type Batch, type Ended, type ErrorFields } from '../wire';
import type { ClientClass, PgClient } from './pg-types';

export class ServerSession extends ServerConnection {
  /** Whoever has lent it is ended, and waits for it to come back. */
  onWanted: (() => Promise<void>) | undefined;
  /** It is on the database that it should be on. */
  isJudged = false;
  private readonly toDriver: (frame: Buffer) => void;

  private constructor(
    private readonly client: PgClient,
    parameters: ReadonlyMap<string, string>,
  ) {
    const { stream: socket } = client.connection;
    const parsers = socket.listeners('data') as ((bytes: Buffer) => void)[];
    socket.removeAllListeners('data');
    super({
      socket,
      parameters,
      pid: client.processID,
      secret: frames.int32(client.secretKey),
      dial: () => dial(client),
    });
    this.toDriver = (frame) => parsers.forEach((parse) => parse(frame));
  }

  /** Rejects as the driver does. Its socket must not belong to the test that happens to run: see origin.ts. */
  static async open(driver: ClientClass, settings: unknown): Promise<ServerSession> {
    return scopeContext.run(undefined, async () => {
      const client = new driver(settings);
      const parameters = new Map<string, string>();
      const note = (told: { parameterName: string; parameterValue: string }): void =>
        void parameters.set(told.parameterName, told.parameterValue);
      client.on('error', () => {}); // its end is seen below the driver
      client.connection.on('parameterStatus', note);
      client.connectionParameters.query_timeout = 0; // it is the app's clients that count
      await openingOwn(() => client.connect());
      client.connection.removeListener('parameterStatus', note);
      return new ServerSession(client, parameters);
    });
  }

  /** A query of ours by the driver that has opened the session; its rows are what the app's type parsers make of them. */
  async ask<Row>(sql: string, values: readonly unknown[] = []): Promise<Row[]> {
    if (this.ended) throw endOf(this.ended);
    this.between = this.toDriver;
    this.keepsProcess = true;
    try {
      return await new Promise((resolve, reject) => {
        const { connection } = this.client;
        this.client.query(sql, values, (error: Error | null, result: unknown) => {
          if (!error) return resolve((result as { rows: Row[] }).rows);
          // pg's client calls back before it is ready for the next query
          if (this.ended || !('severity' in error)) return reject(error);
          return connection.once('readyForQuery', () => reject(error));
        });
      });
    } finally {
      this.keepsProcess = false;
      this.between = undefined;
    }
  }

  /** Sends what `fill` says, whose answers nobody wants. Rejects with the first error. */
  exec(fill: (batch: Batch) => void): Promise<void> {
    const batch = this.batch();
    fill(batch);
    return new Promise((resolve, reject) =>
      this.run(batch, {
        holdsErrors: true,
        push: () => {},
        done: ({ error }) => (error ? reject(errorOf(error)) : resolve()),
        lost: (why) => reject(endOf(why)),
      }),
    );
  }
}

/** How long a server may take to hear a cancel request, and to hang up; no process waits for one that does not. */
const HEARD_WITHIN_MS = 3000;

/** A second connection to the server of a client, for a cancel request. */
export function dial({ host, port }: PgClient): net.Socket {
  const socket = openingOwn(() =>
    host.startsWith('/') ? net.connect(`${host}/.s.PGSQL.${port}`) : net.connect(port, host),
  );
  return socket.setTimeout(HEARD_WITHIN_MS, () => socket.destroy()).unref();
}

/** As pg makes one of the server's error. */
export function errorOf(response: Buffer): Error {
  return errorFrom({ severity: 'ERROR', ...readFields(response) });
}

export function errorFrom(fields: ErrorFields): Error {
  return Object.assign(new Error(fields.message), { name: 'error', severity: 'ERROR', ...fields });
}

export function endOf({ response, error }: Ended): Error {
  return response ? errorOf(response) : (error ?? new Error('Connection terminated unexpectedly'));
}
