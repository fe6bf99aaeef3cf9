// The types that this room's files have in common, and those that other rooms need.
import type { Duplex } from 'node:stream';
import type { ErrorFields } from './error-response';
import type { Status } from './frames';
import type { ServerParameters, ToldParameters } from './server-parameters';

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

/** What a segment ends in: a simple Query, the Sync of the extended protocol, or a Flush (more is to come). */
export type SegmentEnd = 'query' | 'sync' | 'flush';

/** What a client has open on a server connection that others use too. */
export interface Portal {
  readonly statement: Statement;
  /** Its name on the server, never ''. */
  readonly serverName: string;
}

/** An async context to go back to. Node's AsyncResource is one. */
export interface Context {
  runInAsyncScope<Result>(task: () => Result): Result;
}

/** A client connection, for the routes that it may lead to. */
export interface Client {
  readonly id: number;
  /** The pid that the client was told. */
  readonly pid: number | undefined;
  /** As the client was told last. */
  readonly status: Status;
  /** A COPY … FROM STDIN waits for its data. To be set before the client is told, for it may write at once. */
  copying: boolean;
  readonly told: ToldParameters;
  /** By name: what the client believes to be parsed. */
  readonly statements: Map<string, Statement>;
  /** By name. */
  readonly portals: Map<string, Portal>;
  leadsTo(route: object): boolean;
  /** In the async context of the segment that it answers: a shared session's own would be that of its first user. */
  give(bytes: Buffer, context?: Context): boolean;
  /** A segment that ended so is answered, and the client was told this status. */
  finished(end: SegmentEnd, status: Status | undefined): void;
  /** What comes is dropped until the client's Sync, as a server does it after an error; it is answered with this status. */
  skipToSync(status?: Status): void;
  /** The server takes data again, after a route's `copy` was false. */
  drained(): void;
  cancel(): void;
  /** What a server has said goes on as the server's; anything else is an error of connecting. */
  turnAway(error: Error & Partial<ErrorFields>): void;
  /** Ends it with an error of ours, in a later turn. */
  abort(error: ErrorFields): void;
  /** Ends it with what a server has said. */
  abortWith(response: Buffer): void;
  /** Ends it as a connection that breaks. */
  break(error: Error): void;
  /** Ends it without a word. */
  hangUp(): void;
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
  /** The ErrorResponse that the client has not been told: of a step of ours, or, where its owner holds errors, of any. */
  readonly error: Buffer | undefined;
  /** The client's part has said COMMIT to the server. */
  readonly committed: boolean;
  /** The last part of the client's answer, up to its ReadyForQuery if one is shown. */
  readonly tail: Buffer | undefined;
}

export interface BatchOwner {
  /** The client is not told of an error: the owner decides what it is told. */
  readonly holdsErrors?: boolean;
  push(bytes: Buffer): void;
  /** CopyInResponse. It is handed on, unless this returns `false`. */
  copyIn?(response: Buffer): boolean;
  done(outcome: Outcome): void;
  /** The session has ended; some of the answer may have been pushed. */
  lost(why: Ended): void;
}
