import type { Client, Profile } from './contract';
import type { Segment } from './segment';

/** Where a client connection leads just now. One route may serve many of them. */
export interface Route {
  /**
   * A client's next segment comes when the one before is finished (`one`), or as soon as the client has sent it
   * (`any`: as it is with a server).
   */
  readonly takes: 'one' | 'any';
  /** Answers it: `segment.push()` any number of times, then `segment.finish()` or `segment.refuse()`. */
  run(segment: Segment): void;
  /** Data for a COPY … FROM STDIN, whole frames. False if the client is to write no more until `client.drained()`. */
  copy(client: Client, frame: Buffer): boolean;
  /** The client has asked, by a second connection, to cancel what it runs. */
  cancel(client: Client): void;
  /** The client is ready for more of an answer, after `segment.push()` was false. */
  drained(client: Client): void;
  /** The client has gone. What it has sent and is not answered may still run. Resolves when a session of its own has ended. */
  leave(client: Client): Promise<void> | void;
}

/** A route that a client may start on. */
export interface Entrance extends Route {
  /** A client has started up. What it is told; or the error that it is refused with. */
  welcome(client: Client): Promise<Profile>;
}
