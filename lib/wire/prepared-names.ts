// Names under which a server connection has statements parsed. One serves all client connections, and our own statements.
import type { Statement } from './contract';
import { close } from './frames';

/** So many at most: then all are closed and parsed anew where they are needed. Far more than an app has. */
const MOST = 5000;

/** Over all connections: a session may be left to its driver, and taken again with what it had parsed. */
let serial = 0;

/** A statement that a server connection has under a name, or is about to have. */
export interface Prepared {
  readonly key: string;
  readonly name: string;
  /** Its Parse has been sent. */
  isSent: boolean;
  /** Bind and Execute, of one of ours that takes no values. */
  run?: Buffer;
}

export class PreparedNames {
  /** Whose statement the server has parsed under no name. */
  unnamed: Statement | undefined;
  /** The client whose portal it has open under no name. */
  unnamedPortal: object | undefined;
  private readonly byKey = new Map<string, Prepared>();
  private readonly used = new Set<string>();
  private toClose: string[] = [];

  /** What is not sent has to be parsed first. It gets the name `wanted`, if the server has none of that. */
  take(key: string, wanted = ''): Prepared {
    const known = this.byKey.get(key);
    if (known) return known;
    if (this.byKey.size >= MOST) this.forget();
    const name = wanted === '' || this.used.has(wanted) ? `rewind_${++serial}` : wanted;
    const prepared = { key, name, isSent: false };
    this.byKey.set(key, prepared);
    this.used.add(name);
    return prepared;
  }

  /** It was not parsed. */
  drop(prepared: Prepared): void {
    if (this.byKey.get(prepared.key) !== prepared) return;
    this.byKey.delete(prepared.key);
    this.used.delete(prepared.name);
  }

  /** None of them is to be used again: DDL was rolled back, and their plans may expect what is gone. */
  forget(): void {
    for (const { name } of this.byKey.values()) this.toClose.push(name);
    this.byKey.clear();
  }

  /** The server has none of them any more. */
  lost(): void {
    this.byKey.clear();
    this.used.clear();
    this.toClose = [];
    this.unnamed = undefined;
  }

  /** Frames that close what is forgotten; a server keeps it otherwise until the session ends. */
  closes(): Buffer[] {
    const frames = this.toClose.map((name) => close('statement', name));
    for (const name of this.toClose.splice(0)) this.used.delete(name);
    return frames;
  }
}
