// Names under which a server connection has statements parsed. One serves all client connections, and our own statements.
import type { Statement } from './contract';
import { close } from './frames';

/** So many at most: then all are closed and parsed anew where they are needed. Far more than an app has. */
const MOST = 5000;

/** Over all connections: a session may be left to its driver, and taken again with what it had parsed. */
let serial = 0;

export class PreparedNames {
  /** Whose statement the server has parsed under no name. */
  unnamed: Statement | undefined;
  /** Whose portal it has open under no name. */
  unnamedPortal: object | undefined;
  private readonly byKey = new Map<string, string>();
  private readonly used = new Set<string>();
  private toClose: string[] = [];

  /** `fresh`: it has to be parsed under that name first. It is the name `wanted`, if the server has none of that. */
  take(key: string, wanted?: string): { readonly name: string; readonly fresh: boolean } {
    const known = this.byKey.get(key);
    if (known !== undefined) return { name: known, fresh: false };
    if (this.byKey.size >= MOST) this.forget();
    const name = wanted === undefined || this.used.has(wanted) ? `rewind_${++serial}` : wanted;
    this.byKey.set(key, name);
    this.used.add(name);
    return { name, fresh: true };
  }

  /** It was not parsed. */
  drop(key: string, name: string): void {
    if (this.byKey.get(key) !== name) return;
    this.byKey.delete(key);
    this.used.delete(name);
  }

  /** None of them is to be used again: DDL was rolled back, and their plans may expect what is gone. */
  forget(): void {
    this.toClose.push(...this.byKey.values());
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
