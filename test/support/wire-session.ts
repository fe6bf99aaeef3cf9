// What drivers/ will do for wire/: a real session, opened by the app's own pg Client, whose socket is handed over.
import net from 'node:net';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Client, ClientConfig } from 'pg';
import { ServerConnection } from '../../lib/wire';

/** pg's private parts, as far as they are needed. The same in 8.11 and 8.23. */
interface Opened extends Address {
  readonly connection: { stream: Socket; on(event: string, listener: (message: Parameter) => void): void };
  readonly processID: number;
  readonly secretKey: number;
}
export interface Address {
  readonly host: string;
  readonly port: number;
}
interface Parameter {
  readonly parameterName: string;
  readonly parameterValue: string;
}

export type ClientClass = new (config: ClientConfig) => Client;

/** A host with a slash is the directory of a Unix socket. */
export const dial = ({ host, port }: Address): Socket =>
  host.startsWith('/') ? net.connect(`${host}/.s.PGSQL.${port}`) : net.connect(port, host);

/** `through`: what the socket is wrapped in. */
export async function openSession(
  Driver: ClientClass,
  config: ClientConfig,
  through: (socket: Socket) => Duplex = (socket) => socket,
): Promise<{ server: ServerConnection; socket: Socket }> {
  const client = new Driver(config);
  const opened = client as unknown as Opened;
  const parameters = new Map<string, string>();
  client.on('error', () => {}); // from now on it is wire/ that hears of its end
  opened.connection.on('parameterStatus', (told) => parameters.set(told.parameterName, told.parameterValue));
  await client.connect();
  const socket = opened.connection.stream;
  socket.removeAllListeners('data'); // pg's parser has read up to ReadyForQuery
  const secret = Buffer.alloc(4);
  secret.writeInt32BE(opened.secretKey);
  const told = { parameters, pid: opened.processID, secret, dial: () => dial(opened) };
  return { server: new ServerConnection({ socket: through(socket), ...told }), socket };
}
