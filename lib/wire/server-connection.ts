// A real session. It was opened by the app's own driver; from then on its socket is ours. Batches go in; of what comes back,
// what is the client's is handed on as ranges of the chunks that came, without a copy, and the rest is dropped.
import { Answer, Batch, ends, type Step } from './batch';
import type { BatchOwner, Ended, OpenSession } from './contract';
import { isFatal } from './error-response';
import { FrameCutter } from './frame-cutter';
import { FrameRange } from './frame-range';
import { Backend, FLUSH, Frontend, ProtocolError, readTag, Status, stringAt, SYNC, TERMINATE } from './frames';
import { later } from './later';
import { PreparedNames } from './prepared-names';
import { ServerParameters } from './server-parameters';
import { cancelRequest } from './startup';

interface Job {
  readonly batch: Batch;
  readonly steps: Step[];
  readonly owner: BatchOwner;
  at: number;
  /** What is not sent yet. */
  rest: Buffer[] | undefined;
  failed: 'client' | 'own' | undefined;
  error: Buffer | undefined;
  committed: boolean;
}

/** A write that is joined is one system call; above that size, joining costs more than it saves. */
const JOINED = 65_536;
const FORGET_ALL = new Set(['DEALLOCATE ALL', 'DISCARD ALL']);

export class ServerConnection {
  readonly parameters: ServerParameters;
  readonly pid: number;
  readonly names = new PreparedNames();
  ended: Ended | undefined;
  /** The transaction's, as the server told it last. */
  status: Status = Status.idle;
  /** What comes unasked: notifications, and notices while nothing runs. */
  onUnasked: (frame: Buffer) => void = () => {};
  onEnded: (why: Ended) => void = () => {};
  /** The session has dropped all that was parsed: DEALLOCATE ALL, DISCARD ALL, said by the client or by us. */
  onForgotten: (byClient: boolean) => void = () => {};
  /** The server takes data again, after {@link copy} was false. */
  onDrain: () => void = () => {};
  /** Gets the frames that come while no batch is under way: the driver that has opened the session uses it between batches. */
  between: ((frame: Buffer) => void) | undefined;
  private keeps = false;
  private isLetGo = false;
  private quitting: Promise<void> | undefined;
  private readonly endListeners: (() => void)[] = [];
  private readonly cutter = new FrameCutter((type, chunk, start, end) => this.frame(type, chunk, start, end));
  private readonly jobs: Job[] = [];
  private readonly held: Job[] = [];
  /** An error has come, and no Sync is under way: the server passes over all until one. */
  private skipping = false;
  private fatal: Buffer | undefined;
  private broken: Error | undefined;
  private readonly range = new FrameRange();
  private readonly listeners = {
    data: (chunk: Buffer): void => this.data(chunk),
    drain: (): void => this.onDrain(),
    error: (error: Error): void => void (this.broken = error),
    close: (): void => this.end(),
  };

  constructor(private readonly session: OpenSession) {
    const { socket } = session;
    this.parameters = new ServerParameters(session.parameters);
    this.pid = session.pid;
    for (const [event, listener] of Object.entries(this.listeners)) socket.on(event, listener);
    this.hold(false);
  }

  /** With its pid, what cancels a statement of the session. */
  get secret(): Buffer {
    return this.session.secret;
  }

  batch(): Batch {
    return new Batch(this.names);
  }

  /** Batches are answered in order. One may be sent before the one ahead is answered. */
  run(batch: Batch, owner: BatchOwner): void {
    const job: Job = {
      batch,
      steps: batch.steps,
      owner,
      at: 0,
      rest: undefined,
      failed: undefined,
      error: undefined,
      committed: false,
    };
    if (this.ended) {
      const why = this.ended;
      return later(() => owner.lost(why));
    }
    const alone = batch.queryBehind || this.jobs.at(-1)?.batch.queryBehind;
    if (this.held.length > 0 || (alone && this.jobs.length > 0)) this.held.push(job);
    else this.send(job);
  }

  /**
   * Data for a COPY … FROM STDIN, or its end. False if the socket is full. In the extended protocol the server tells that the
   * COPY is complete only when it is asked for more: the client's Sync may wait for just that.
   */
  copy(frame: Buffer): boolean {
    if (this.ended) return true;
    const writable = this.session.socket.write(frame);
    return frame[0] === Frontend.copyData ? writable : this.session.socket.write(FLUSH);
  }

  /** Asks the server to cancel what runs. Resolves when it has been told, or can't be. */
  cancel(): Promise<void> {
    return new Promise((resolve) => {
      const socket = this.session.dial();
      socket.on('error', () => {});
      socket.on('close', resolve);
      socket.on('data', () => {});
      socket.write(cancelRequest(this.pid, this.session.secret));
    });
  }

  /** Reads no more of the answer for now. */
  pause(): void {
    this.session.socket.pause();
  }
  resume(): void {
    this.session.socket.resume();
  }

  /** Whether it keeps the process alive also while no answer is waited for. */
  set keepsProcess(keeps: boolean) {
    this.keeps = keeps;
    this.hold(!this.isFree);
  }

  /** From now on the process does not stay for it, whatever is under way: nobody waits for an answer any more. */
  letGo(): void {
    this.isLetGo = true;
    this.hold(false);
  }

  /** Whether no answer is waited for. */
  get isFree(): boolean {
    return this.jobs.length + this.held.length === 0;
  }

  /** Whether the process has to stay for an answer. */
  private hold(holds: boolean): void {
    const { socket } = this.session;
    if ((holds || this.keeps) && !this.isLetGo) socket.ref?.();
    else socket.unref?.();
  }

  /** Ends the session once it has done what it was sent. Resolves when it has ended. */
  quit(): Promise<void> {
    if (this.ended) return Promise.resolve();
    return (this.quitting ??= new Promise((resolve) => {
      this.endListeners.push(resolve);
      this.hold(true);
      this.session.socket.end(TERMINATE);
    }));
  }

  /** Cancels what runs, and cuts the session off. */
  async kill(): Promise<void> {
    if (!this.isFree) await this.cancel();
    this.session.socket.destroy();
  }

  // --- to the server

  private send(job: Job): void {
    const { batch } = job;
    let { frames } = batch;
    this.jobs.push(job);
    if (this.jobs.length === 1) this.hold(true);
    if (this.skipping) {
      frames = batch.steps.some((step) => step.sync) ? [SYNC] : [];
      this.skipping = false;
      this.skipToSync();
    }
    if (batch.queryBehind && this.status === Status.idle) frames = this.holdQuery(job);
    if (frames.length > 0) this.write(frames);
    if (this.needsNoServer) later(() => this.advance());
  }

  /**
   * Since PostgreSQL 18 several Executes without a Sync make an implicit transaction. A Query behind them would run in it, and
   * would never be committed: where no transaction is open, it is sent when what is ahead of it is done.
   */
  private holdQuery(job: Job): Buffer[] {
    const { frames, queryBehind } = job.batch;
    const [frame, step] = queryBehind as [frame: number, step: number];
    job.steps.splice(step, 0, { answer: Answer.ready, shown: false, sync: true });
    job.rest = frames.slice(frame);
    return [...frames.slice(0, frame), SYNC];
  }

  private write(frames: readonly Buffer[]): void {
    const { socket } = this.session;
    const size = frames.reduce((sum, frame) => sum + frame.length, 0);
    if (size < JOINED) {
      socket.write(frames.length === 1 ? frames[0] : Buffer.concat(frames, size));
      return;
    }
    socket.cork();
    for (const frame of frames) socket.write(frame);
    socket.uncork();
  }

  // --- from the server

  private data(chunk: Buffer): void {
    try {
      this.cutter.push(chunk);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.session.socket.destroy(error);
    }
    this.flush();
  }

  private frame(type: number, chunk: Buffer, start: number, end: number): void {
    let job = this.jobs[0];
    if (!job && this.between) return this.pass(type, chunk, start, end);
    let step = job?.steps[job.at];
    if (step && step.made === undefined && type === Backend.dataRow) {
      if (step.shown) this.show(chunk, start, end);
      else step.onRow?.(chunk.subarray(start, end));
      return;
    }
    while (this.needsNoServer) this.advance();
    job = this.jobs[0];
    step = job?.steps[job.at];
    switch (type) {
      case Backend.parameterStatus:
        return this.parameter(chunk, start);
      case Backend.notificationResponse:
        return this.unasked(chunk.subarray(start, end));
      case Backend.noticeResponse:
        if (!step) this.unasked(chunk.subarray(start, end));
        else if (step.shown) this.show(chunk, start, end);
        return;
      case Backend.errorResponse:
        return this.error(job, step, chunk, start, end);
      default:
        if (job && step) this.answer(type, job, step, chunk, start, end);
    }
  }

  /** To the driver, whose statement and portal may have taken the places of those without a name. */
  private pass(type: number, chunk: Buffer, start: number, end: number): void {
    this.names.unnamed = this.names.unnamedPortal = undefined;
    if (type === Backend.readyForQuery) this.status = chunk[end - 1] as Status;
    else if (type === Backend.parameterStatus) this.parameter(chunk, start);
    this.between?.(chunk.subarray(start, end));
  }

  private answer(type: number, job: Job, step: Step, chunk: Buffer, start: number, end: number): void {
    if (type === Backend.copyInResponse && step.shown) return this.copyIn(job, chunk, start, end);
    const ready = type === Backend.readyForQuery;
    if (ready) this.status = chunk[end - 1] as Status;
    if (ready && job.rest) {
      job.at = job.failed ? job.steps.length : job.at + 1;
      if (!job.failed) this.write(job.rest);
      job.rest = undefined;
      return this.advance(this.status);
    }
    if (step.shown) this.show(chunk, start, end);
    if (type === Backend.commandComplete) this.completed(job, step, chunk, start, end);
    if (step.answer === undefined || !ends(type, step.answer)) return;
    job.at++;
    this.advance(type === Backend.readyForQuery ? chunk[end - 1] : undefined);
  }

  private error(job: Job | undefined, step: Step | undefined, chunk: Buffer, start: number, end: number): void {
    const response = chunk.subarray(start, end);
    if (isFatal(response)) {
      this.fatal = Buffer.from(response);
      return this.end();
    }
    if (!job || !step) return;
    job.failed = step.shown ? 'client' : 'own';
    if (step.shown && !job.owner.holdsErrors) this.show(chunk, start, end);
    else job.error = Buffer.from(response);
    if (step.answer === Answer.ready) return; // of a simple Query, or of the commit at a Sync: ReadyForQuery comes
    step.undo?.(true);
    this.names.unnamed = this.names.unnamedPortal = undefined;
    job.at++;
    if (job.batch.queryBehind && !job.rest) {
      this.session.socket.write(SYNC);
      job.steps.push({ answer: Answer.ready, shown: false, sync: true });
    }
    this.skipToSync();
  }

  /** What the server passes over after an error: all until the next Sync that was sent, which may be a later batch's. */
  private skipToSync(): void {
    let job: Job | undefined;
    while ((job = this.jobs[0])) {
      for (; job.at < job.steps.length; job.at++) {
        const step = job.steps[job.at] as Step;
        if (step.sync) return;
        step.undo?.(false);
      }
      job.failed ??= 'client';
      this.finish(job, undefined);
    }
    this.skipping = true;
  }

  /** Gives the answers made here whose turn has come, and ends the job if that was all. */
  private advance(status?: Status): void {
    const job = this.jobs[0];
    if (!job) return;
    for (let step: Step | undefined; (step = job.steps[job.at])?.made; job.at++) {
      this.flush();
      job.owner.push(step.made);
    }
    if (job.at < job.steps.length) return;
    this.finish(job, status);
    // never within the delivery of another answer: pg-cursor is not ready for one then
    if (this.needsNoServer) later(() => this.advance());
  }

  /** The next step of what is at work waits for nothing from the server. */
  private get needsNoServer(): boolean {
    const job = this.jobs[0];
    return job !== undefined && (job.at === job.steps.length || job.steps[job.at]?.made !== undefined);
  }

  private finish(job: Job, status: Status | undefined): void {
    const tail = this.range.take();
    this.jobs.shift();
    if (this.jobs.length === 0) this.hold(false);
    const { failed, error, committed } = job;
    job.owner.done({ status, failed, error, committed, tail });
    if (this.jobs.length === 0) for (const held of this.held.splice(0)) this.run(held.batch, held.owner);
  }

  /**
   * The server reads data now, and passes over each Sync until they end ("COPY Operations" in the manual's Message Flow): one
   * that was sent already is not answered.
   */
  private copyIn(job: Job, chunk: Buffer, start: number, end: number): void {
    for (let i = job.steps.length - 1; i > job.at; i--) if (job.steps[i]?.sync) job.steps.splice(i, 1);
    this.flush();
    if (job.owner.copyIn?.(chunk.subarray(start, end)) !== false) job.owner.push(chunk.subarray(start, end));
  }

  private parameter(chunk: Buffer, start: number): void {
    const [name, next] = stringAt(chunk, start + 5);
    this.parameters.set(name, stringAt(chunk, next)[0]);
  }

  private unasked(frame: Buffer): void {
    this.flush();
    this.onUnasked(Buffer.from(frame));
  }

  private completed(job: Job, { shown }: Step, chunk: Buffer, start: number, end: number): void {
    const first = chunk[start + 5];
    if (first !== 0x43 && first !== 0x44) return; // C, D: most tags are none of these
    const tag = readTag(chunk.subarray(start, end));
    if (tag === 'COMMIT' && shown) job.committed = true;
    if (!FORGET_ALL.has(tag)) return;
    this.names.lost();
    this.onForgotten(shown);
  }

  // --- what is the client's of the present chunk

  private show(chunk: Buffer, start: number, end: number): void {
    if (this.range.extend(chunk, start, end)) return;
    this.flush();
    this.range.begin(chunk, start, end);
  }

  private flush(): void {
    const bytes = this.range.take();
    if (bytes) this.jobs[0]?.owner.push(bytes);
  }

  private end(): void {
    if (this.ended) return;
    this.ended = { response: this.fatal, error: this.broken };
    for (const job of [...this.jobs.splice(0), ...this.held.splice(0)]) job.owner.lost(this.ended);
    this.onEnded(this.ended);
    for (const tell of this.endListeners.splice(0)) tell();
  }
}
