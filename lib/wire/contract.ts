// The types that this room's files have in common, and those that other rooms need.
import type { Duplex } from 'node:stream';
import type { ClientConnection } from './client-connection';
import type { Status } from './frames';
import type { Segment } from './segment';
import type { ServerParameters } from './server-parameters';

/** A statement that a client believes to be parsed. Told apart by identity: a name may be used again. */
export interface Statement {
  readonly text: string;
  /** The parameters' count and type oids, as in Parse. */
  readonly types: Buffer;
}

/** What a server says of itself when a client connects. */
export interface Profile {
  readonly parameters: ServerParameters;
  readonly pid: number;
}

/** Where a client connection leads just now. One route may serve many of them. */
export interface Route {
  /**
   * A client's next segment comes when the one before is finished (`one`), or as soon as the client has sent it
   * (`any`: as it is with a server).
   */
  readonly takes: 'one' | 'any';
  /** A client has started up. What it is told; or the error that it is refused with. */
  welcome(client: ClientConnection): Promise<Profile>;
  /** Answers it: `segment.push()` any number of times, then `segment.finish()` or `segment.refuse()`. */
  run(segment: Segment): void;
  /** Data for a COPY … FROM STDIN, whole frames. False if the client is to write no more until `client.drained()`. */
  copy(client: ClientConnection, frame: Buffer): boolean;
  /** The client has asked, by a second connection, to cancel what it runs. */
  cancel(client: ClientConnection): void;
  /** The client is ready for more of an answer, after `segment.push()` was false. */
  drained(client: ClientConnection): void;
  /** The client has gone. What it has sent and is not answered may still run. */
  leave(client: ClientConnection): void;
}

/** A session that is open, authenticated and idle, and whose socket has no `data` listener any more. */
export interface OpenSession {
  readonly socket: Duplex & { ref?(): unknown; unref?(): unknown };
  /** The ParameterStatus messages so far. */
  readonly parameters: Iterable<readonly [string, string]>;
  readonly pid: number;
  readonly secret: Buffer;
  /** A second connection to the same server, for a cancel request. */
  readonly dial: () => Duplex;
}

/** Why a session has ended. */
export interface Ended {
  /** The ErrorResponse with which the server has closed it. */
  readonly response: Buffer | undefined;
  /** The socket's error. */
  readonly error: Error | undefined;
}

export interface Outcome {
  /** The server's, if the batch ended in a ReadyForQuery. */
  readonly status: Status | undefined;
  /** Whose step had an error. Of a simple Query of the client's, it is the client's; the answer has it already. */
  readonly failed: 'client' | 'own' | undefined;
  /** The error of a step of ours, an ErrorResponse. The client has not been told. */
  readonly error: Buffer | undefined;
  /** The last part of the client's answer, up to its ReadyForQuery if one is shown. */
  readonly tail: Buffer | undefined;
}

export interface BatchOwner {
  push(bytes: Buffer): void;
  /** CopyInResponse. It is handed on, unless this returns `false`. */
  copyIn?(response: Buffer): boolean;
  done(outcome: Outcome): void;
  /** The session has ended; some of the answer may have been pushed. */
  lost(why: Ended): void;
}
