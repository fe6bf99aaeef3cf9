import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createShopServer } from '../../src/http';

export interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface Shop {
  /** Asks the API as this user. */
  ask(userId: number, method: string, path: string, body?: object): Promise<Answer>;
  close(): Promise<void>;
}

/** The app's real HTTP server, in this process, on a free port. */
export async function openShop(): Promise<Shop> {
  const server = createShopServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    async ask(userId, method, path, body) {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, {
        method,
        headers: { 'x-user-id': String(userId) },
        ...(body && { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      return { status: response.status, body: JSON.parse(text || '{}') as Answer['body'] };
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
