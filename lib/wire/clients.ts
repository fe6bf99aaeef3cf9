import { randomBytes } from 'node:crypto';
import type { Client } from './contract';

/** The client connections of this process. A cancel request finds its client here, on whichever connection it comes. */
export class Clients implements Iterable<Client> {
  private readonly bySecret = new Map<string, Client>();

  /** Several clients may be told the same pid, that of the session they share: the secret tells them apart. */
  enter(client: Client): Buffer {
    const secret = randomBytes(4);
    if (this.bySecret.has(secret.toString('hex'))) return this.enter(client);
    this.bySecret.set(secret.toString('hex'), client);
    return secret;
  }
  leave(secret: Buffer): void {
    this.bySecret.delete(secret.toString('hex'));
  }
  /** By the secret alone: the pid is that of whichever session the client leads to. False if none of these clients has it. */
  cancel(secret: Buffer): boolean {
    const client = this.bySecret.get(secret.toString('hex'));
    client?.cancel();
    return client !== undefined;
  }
  [Symbol.iterator](): Iterator<Client> {
    return this.bySecret.values();
  }
}
