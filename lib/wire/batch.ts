// What is sent to a server connection in one write, and what is to become of each part of the answer.
import { Backend, bind, close, EXECUTE_ALL, FLUSH, parse, query, SYNC } from './frames';
import type { Prepared, PreparedNames } from './prepared-names';

/** The message that ends the answer to a step; some have others in its place, see {@link ends}. */
export const Answer = {
  parse: Backend.parseComplete,
  bind: Backend.bindComplete,
  close: Backend.closeComplete,
  parameters: Backend.parameterDescription,
  rows: Backend.rowDescription,
  execute: Backend.commandComplete,
  ready: Backend.readyForQuery,
} as const;
type Answer = (typeof Answer)[keyof typeof Answer];

export function ends(type: number, answer: Answer): boolean {
  if (type === answer) return true;
  if (answer === Answer.execute) return type === Backend.emptyQueryResponse || type === Backend.portalSuspended;
  return answer === Answer.rows && type === Backend.noData;
}

export interface Step {
  /** What ends its answer; undefined for an answer that is made here. */
  readonly answer: Answer | undefined;
  /** Whether the client gets the answer. */
  readonly shown: boolean;
  /** A server that passes over everything after an error stops at a Sync. */
  readonly sync?: boolean;
  readonly made?: Buffer;
  readonly onRow?: ((row: Buffer) => void) | undefined;
  /** It was not carried out: by its own error (`failed`), or since one before it had an error. */
  readonly undo?: ((failed: boolean) => void) | undefined;
}

const HIDDEN = {
  parse: { answer: Answer.parse, shown: false },
  bind: { answer: Answer.bind, shown: false },
  execute: { answer: Answer.execute, shown: false },
} as const;
const SHOWN = {
  bind: { answer: Answer.bind, shown: true },
  parameters: { answer: Answer.parameters, shown: true },
  rows: { answer: Answer.rows, shown: true },
  execute: { answer: Answer.execute, shown: true },
  ready: { answer: Answer.ready, shown: true },
} as const;
const SYNCS = [
  { answer: Answer.ready, shown: false, sync: true },
  { answer: Answer.ready, shown: true, sync: true },
] as const;
const BIND_NOTHING = bind('', '');

export class Batch {
  readonly frames: Buffer[];
  readonly steps: Step[] = [];
  /**
   * A simple Query behind frames of the extended protocol: the numbers of its frame and its step. If those fail, only a Sync
   * brings the server back.
   */
  queryBehind: [frame: number, step: number] | undefined;

  constructor(private readonly names: PreparedNames) {
    this.frames = names.closes();
    for (const _ of this.frames) this.steps.push({ answer: Answer.close, shown: false });
  }

  // --- ours: the client gets nothing of their answers

  /** A statement of ours, parsed once. `values` go as text. */
  own(text: string, values?: readonly (string | null)[], onRow?: (row: Buffer) => void): this {
    return this.run(this.prepared(text).name, values, onRow);
  }

  /** A statement of ours that will hardly come again. */
  ownOnce(text: string, values?: readonly (string | null)[], onRow?: (row: Buffer) => void): this {
    this.names.unnamed = undefined;
    this.frames.push(parse('', text));
    this.steps.push(HIDDEN.parse);
    return this.run('', values, onRow);
  }

  /** A statement of ours that comes again and again, without values. */
  ownAgain(text: string): this {
    const prepared = this.prepared(text);
    prepared.run ??= Buffer.concat([bind('', prepared.name), EXECUTE_ALL]);
    this.names.unnamedPortal = undefined;
    this.frames.push(prepared.run);
    this.steps.push(HIDDEN.bind, HIDDEN.execute);
    return this;
  }

  private prepared(text: string): Prepared {
    const prepared = this.names.take(text);
    if (!prepared.isSent) this.hide(parse(prepared.name, text), Answer.parse, () => this.names.drop(prepared));
    prepared.isSent = true;
    return prepared;
  }

  private run(name: string, values?: readonly (string | null)[], onRow?: (row: Buffer) => void): this {
    this.names.unnamedPortal = undefined;
    this.frames.push(name === '' && !values ? BIND_NOTHING : bind('', name, values), EXECUTE_ALL);
    this.steps.push(HIDDEN.bind, onRow ? { answer: Answer.execute, shown: false, onRow } : HIDDEN.execute);
    return this;
  }

  /** Any frame of ours. */
  hide(frame: Buffer, answer: Answer, undo?: (failed: boolean) => void): this {
    this.frames.push(frame);
    this.steps.push({ answer, shown: false, undo });
    return this;
  }

  closePortal(name: string): this {
    return this.hide(close('portal', name), Answer.close);
  }

  // --- the client's

  show(frame: Buffer, answer: Answer, undo?: (failed: boolean) => void): this {
    this.frames.push(frame);
    this.steps.push({ answer, shown: true, undo });
    return this;
  }

  /** A frame that changes nothing of what is known, so that its failure has nothing to undo. */
  pass(frame: Buffer, kind: keyof typeof SHOWN): this {
    this.frames.push(frame);
    this.steps.push(SHOWN[kind]);
    return this;
  }

  describeStatement(frame: Buffer): this {
    this.pass(frame, 'parameters');
    this.steps.push(SHOWN.rows);
    return this;
  }

  /** An answer that needs no server. It comes in its turn. */
  answer(made: Buffer, undo?: (failed: boolean) => void): this {
    this.steps.push({ answer: undefined, shown: true, made, undo });
    return this;
  }

  query(text: string | Buffer): this {
    if (this.frames.length > 0) this.queryBehind = [this.frames.length, this.steps.length];
    this.names.unnamed = this.names.unnamedPortal = undefined;
    return this.pass(typeof text === 'string' ? query(text) : text, 'ready');
  }

  /** `shown`: the client waits for its ReadyForQuery. */
  sync(shown: boolean): this {
    this.frames.push(SYNC);
    this.steps.push(SYNCS[shown ? 1 : 0]);
    return this;
  }

  flush(): this {
    this.frames.push(FLUSH);
    return this;
  }
}
