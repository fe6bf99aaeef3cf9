// What is sent to a server connection in one write, and what is to become of each part of the answer.
import { Backend, bind, execute, parse, query, SYNC, FLUSH, close } from './frames';
import type { PreparedNames } from './prepared-names';

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
    const { name, fresh } = this.names.take(text);
    if (fresh) this.hide(parse(name, text), Answer.parse, () => this.names.drop(text, name));
    return this.run(name, values, onRow);
  }

  /** A statement of ours that will hardly come again. */
  ownOnce(text: string, values?: readonly (string | null)[], onRow?: (row: Buffer) => void): this {
    this.names.unnamed = undefined;
    this.hide(parse('', text), Answer.parse);
    return this.run('', values, onRow);
  }

  private run(name: string, values?: readonly (string | null)[], onRow?: (row: Buffer) => void): this {
    this.names.unnamedPortal = undefined;
    this.hide(bind('', name, values), Answer.bind);
    this.frames.push(execute(''));
    this.steps.push({ answer: Answer.execute, shown: false, onRow });
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

  describeStatement(frame: Buffer): this {
    this.show(frame, Answer.parameters);
    this.steps.push({ answer: Answer.rows, shown: true });
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
    return this.show(typeof text === 'string' ? query(text) : text, Answer.ready);
  }

  /** `shown`: the client waits for its ReadyForQuery. */
  sync(shown: boolean): this {
    this.frames.push(SYNC);
    this.steps.push({ answer: Answer.ready, shown, sync: true });
    return this;
  }

  flush(): this {
    this.frames.push(FLUSH);
    return this;
  }
}
