// A way to the test server that can go dead: connections stay open, and nothing comes through any more.
import net from 'node:net';
import { once } from 'node:events';
import type { TestDatabase } from './database';

export interface FrailNetwork {
  /** The database, by this way. */
  readonly url: string;
  /** For spec files: `await goDead()` cuts the way they came. */
  readonly tools: string;
  close(): void;
}

const GO_DEAD = 'GO DEAD';

export async function frailNetworkTo(database: TestDatabase): Promise<FrailNetwork> {
  const target = new URL(database.url);
  const directory = target.searchParams.get('host');
  const sockets = new Set<net.Socket>();
  let dead = false;
  const proxy = net.createServer((near) => {
    const far = directory
      ? net.connect(`${directory}/.s.PGSQL.${target.port || '5432'}`)
      : net.connect(Number(target.port || 5432), target.hostname);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => {});
    }
    const pass = (to: net.Socket) => (bytes: Buffer) => {
      if (bytes.toString('latin1') === GO_DEAD) {
        dead = true;
        near.end('yes');
      } else if (!dead) to.write(bytes);
    };
    near.on('data', pass(far));
    far.on('data', pass(near));
    near.on('close', () => far.destroy());
    far.on('close', () => !dead && near.destroy());
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const { port } = proxy.address() as net.AddressInfo;
  const url = new URL(database.url);
  url.searchParams.delete('host');
  url.hostname = '127.0.0.1';
  url.port = String(port);
  return {
    url: url.href,
    tools: `const goDead = () => new Promise((resolve, reject) => {
      const socket = require('node:net').connect(${String(port)}, '127.0.0.1', () => socket.write('${GO_DEAD}'));
      socket.on('data', () => { socket.destroy(); resolve(); }).on('error', reject);
    });`,
    close: () => {
      for (const socket of sockets) socket.destroy();
      proxy.close();
    },
  };
}
