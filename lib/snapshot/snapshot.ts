import { RewindError } from '../errors';
import { realTimers } from '../timers';
import { Connection, isLocked, unrepairable } from './connection';
import type {
  Blocker,
  Difference,
  Look,
  Recovered,
  Restored,
  Snapshot,
  SnapshotOptions,
  SnapshotStatus,
} from './index';
import { removeSnapshot } from './remove';
import { type Sequences, readSequences, resetSequences } from './sequences';
import { NO_STATUS, type State, readState, readStatus } from './status';

/* eslint-disable @typescript-eslint/no-require-imports -- late: 100 kB of SQL, for who has a snapshot, or takes one */
const server = (): typeof import('./server') => require('./server') as typeof import('./server');
const privileges = (): typeof import('./privileges') => require('./privileges') as typeof import('./privileges');
/* eslint-enable @typescript-eslint/no-require-imports */

/** Relations armed, copied or let go in one transaction: each takes several locks, and the lock table is finite. */
const BATCH = 100;

interface Reading {
  readonly outside: string;
}

interface RestoreReport extends Reading, Pick<Restored, 'tables' | 'sequences'> {
  readonly schemaChange: string | null;
  readonly lateForMs?: number;
  /** Materialized views whose contents can't be brought back. */
  readonly refreshed: readonly string[];
}

/** See {@link Snapshot}. What counts is in the database; this object only remembers how deep the stack should be. */
export class DatabaseSnapshot implements Snapshot {
  readonly #connection: Connection;
  #taken = false;
  #adopted = false;
  #depth = 0;
  #sequences: Sequences = [];
  /** Materialized views that have been named as not restored. */
  readonly #named = new Set<string>();
  /** The last reading: see wroteOutside. */
  #outside = '';

  constructor(private readonly options: SnapshotOptions) {
    this.#connection = new Connection(options);
  }

  get taken(): boolean {
    return this.#taken;
  }

  get adopted(): boolean {
    return this.#adopted;
  }

  get depth(): number {
    return this.#depth;
  }

  async recover(): Promise<Recovered | undefined> {
    const state = await this.#state();
    if (!state || state.status === 'kept') return undefined;
    // A run that is still alive is waited for, and never recovered from under its feet.
    await this.#connection.hold();
    try {
      return await this.#recover(await this.#state());
    } finally {
      await this.#connection.release();
    }
  }

  async #recover(state: State | undefined): Promise<Recovered | undefined> {
    if (state?.status !== 'running') return undefined;
    if (!state.usable) {
      this.options.note(
        'the last run was killed, and its baseline is of no use any more: the data are as it left them',
      );
      return undefined;
    }
    const touched = await this.touched();
    const { schemaChange } = await this.#restoreTo(0);
    await this.#mark('kept');
    return state.level > 0 || touched.length > 0 ? { schemaChange } : undefined;
  }

  async resume(): ReturnType<Snapshot['resume']> {
    if ((await this.#state())?.status !== 'running') return 'no such run';
    await this.#connection.hold();
    const state = await this.#state();
    if (state?.status === 'running' && state.usable) return 'resumed';
    await this.#connection.release();
    return state?.status === 'running' ? 'its baseline is of no use' : 'no such run';
  }

  async holdsKept(): Promise<boolean> {
    if (this.options.kept === 'ignore') return false;
    await this.#connection.hold();
    const state = await this.#state();
    const isKept = state?.usable && state.status === 'kept' && state.level === 0;
    return Boolean(isKept && state.fingerprint === this.#fingerprint && (await this.touched()).length === 0);
  }

  async useKept(): Promise<void> {
    await this.#mark('running');
    await this.#noteCounter();
    await this.#begin();
  }

  async #begin(): Promise<void> {
    this.#taken = true;
    this.#depth = 0;
    const limits = await this.#connection.query<{ sentence: string }>('select rewind.limits($1) as sentence', [
      this.#journalAbove,
    ]);
    for (const { sentence } of limits) this.options.note(sentence);
  }

  get #journalAbove(): number {
    return this.options.journalAbove ?? 20_000;
  }

  get #fingerprint(): string | null {
    return this.options.fingerprint ?? null;
  }

  async take(): Promise<void> {
    await this.#connection.hold();
    const fingerprint = this.#fingerprint;
    const state = await this.#state();
    await privileges().assertMayTake((sql) => this.#connection.query(sql));
    const isUsable = this.options.kept !== 'ignore' && state?.usable && state.status !== 'taking';
    if (!isUsable || state.fingerprint !== fingerprint) {
      await this.remove();
      await this.#install();
    }
    await this.#noteCounter();
    await this.#connection.insistAndTell('select rewind.begin_take()');
    await this.#untilDone('select rewind.arm_some($1) as n');
    await this.#connection.insistAndTell('select rewind.choose_journals($1)', [this.#journalAbove]);
    await this.#untilDone('select rewind.capture_some($1) as n');
    await this.#connection.insistAndTell('select rewind.end_take($1)', [fingerprint]);
    await this.#begin();
  }

  async adopt(): Promise<boolean> {
    if (!(await this.#connection.holdIfFree())) return false;
    if (!(await this.holdsKept())) {
      await this.#connection.release();
      return false;
    }
    await this.#noteCounter();
    this.#depth = 0;
    return (this.#taken = this.#adopted = true);
  }

  async push(): Promise<readonly Blocker[]> {
    const level = this.#depth + 1;
    const { rows, blockers } = await this.#connection.insist<Reading>(
      `select rewind.push_and_read(${level}) as outside`,
    );
    this.#note(rows);
    this.#depth = level;
    return blockers;
  }

  async pop(): Promise<Restored> {
    if (this.#depth === 0) throw new Error('there is no checkpoint above the baseline');
    const restored = await this.#restoreTo(this.#depth - 1);
    this.#depth -= 1;
    return restored;
  }

  restore(): Promise<Restored> {
    return this.#restoreTo(this.#depth);
  }

  async touched(): Promise<readonly string[]> {
    const [row] = await this.#connection.query<{ names: string[] }>('select rewind.touched() as names');
    return row?.names ?? [];
  }

  async wroteOutside(): Promise<boolean> {
    return this.#note(await this.#connection.query<Reading>('select rewind.outside_by_all_means() as outside'));
  }

  /** What is there, in large objects too, is or becomes the checkpoint; who is counted from here on may have changed it. */
  async #noteCounter(): Promise<void> {
    this.#note(await this.#connection.query<Reading>('select rewind.outside() as outside'));
  }

  async look(sandboxes: readonly number[]): Promise<Look> {
    type Row = Reading & Look & { schemaChange: string | null };
    const rows = await this.#connection.query<Row>('select * from rewind.look($1)', [sandboxes]);
    this.#note(rows);
    const { differences = [], open = true, schemaChange } = rows[0] ?? {};
    return { differences, open, ...(typeof schemaChange === 'string' && { schemaChange }) };
  }

  async repair(names: readonly string[]): Promise<boolean> {
    try {
      await this.#connection.query('select rewind.repair($1)', [names]);
      return true;
    } catch (error) {
      const cause = error instanceof RewindError ? error.cause : error;
      if (isLocked(cause)) return false;
      throw unrepairable(names, cause);
    }
  }

  /** Whether the reading is another one than the last. */
  #note([row]: readonly Reading[]): boolean {
    const last = this.#outside;
    this.#outside = row?.outside ?? last;
    return this.#outside !== last;
  }

  async verify(): Promise<readonly Difference[]> {
    const sql = 'select name, extra::float8, missing::float8 from rewind.verify()';
    return this.#connection.insistAndTell<Difference>(sql);
  }

  async plan(): Promise<string> {
    const [row] = await this.#connection.query<{ plan: string }>('select rewind.plan() as plan');
    return row?.plan ?? '';
  }

  async status(): Promise<SnapshotStatus> {
    const state = await this.#state();
    return state ? readStatus((sql) => this.#connection.query(sql), state.status) : NO_STATUS;
  }

  aside<T>(work: () => Promise<T>): Promise<T> {
    return this.#connection.aside(work);
  }

  async forget(): Promise<void> {
    // What a checkpoint has noted as changed no counter tells any more, and the copies below are of before that.
    await this.#mark(this.#depth > 0 ? 'taking' : 'kept');
    this.#taken = false;
    this.#depth = 0;
  }

  async noteSequences(): Promise<void> {
    this.#sequences = await readSequences(this.#connection.insist.bind(this.#connection));
  }

  async resetSequences(): Promise<void> {
    await resetSequences(this.#connection.insist.bind(this.#connection), this.#sequences);
  }

  async remove(): Promise<void> {
    await this.#connection.hold();
    await removeSnapshot((sql) => this.#connection.insistAndTell(sql));
    this.#taken = false;
    this.#depth = 0;
  }

  async close(): Promise<void> {
    try {
      // Nothing waits for this one, and nobody is ended for it: where it fails, the next run has less to adopt.
      if (this.#adopted) await this.#connection.query('select rewind.restore(0)');
      else if (this.#taken && this.#depth === 0 && (await this.touched()).length === 0) await this.#mark('kept');
    } catch {
      // It stays marked as running: the next run recovers it.
    }
    await this.#connection.end();
    this.#taken = false;
    this.#adopted = false;
    this.#depth = 0;
  }

  async #restoreTo(level: number): Promise<Restored> {
    const started = realTimers.now();
    const { rows, blockers, sent } = await this.#connection.insist<{ report: RestoreReport }>(
      `select rewind.restore_and_read(${level}) as report`,
    );
    const report = rows[0]?.report;
    if (!report) throw new Error('rewind.restore_and_read() returns one row');
    this.#note([report]);
    for (const name of report.refreshed.filter((view) => !this.#named.has(view))) {
      this.#named.add(name);
      this.options.note(
        `a restore has refreshed materialized view ${name}, which gave it other rows than it had: it was stale before, or its query does not give the same rows each time`,
      );
    }
    return {
      ms: realTimers.now() - started,
      tables: report.tables,
      sequences: report.sequences,
      schemaChange: report.schemaChange ?? undefined,
      lateSince: report.lateForMs === undefined ? undefined : sent - report.lateForMs,
      blockers,
    };
  }

  async #install(): Promise<void> {
    const { serverVersion, superuser } = await this.#connection.session();
    const { eventTriggersSql, serverSide } = server();
    const side = serverSide(serverVersion);
    // One message, so one transaction. The first statement is for the case that it has to be sent twice.
    await this.#connection.insistAndTell(
      `drop schema if exists rewind cascade; ${side.sql} ${superuser ? eventTriggersSql : ''}`,
    );
    await this.#connection.query(
      `insert into rewind.state (version, self, status) values ($1, 'rewind.state'::regclass, 'taking') on conflict do nothing`,
      [side.version],
    );
  }

  async #untilDone(step: string): Promise<void> {
    for (;;) {
      const [row] = await this.#connection.insistAndTell<{ n: number }>(step, [BATCH]);
      if ((row?.n ?? 0) < BATCH) return;
    }
  }

  async #mark(status: State['status']): Promise<void> {
    await this.#connection.query('update rewind.state set status = $1', [status]);
  }

  async #state(): Promise<State | undefined> {
    const { serverVersion } = await this.#connection.session();
    return readState(
      (sql, values) => this.#connection.query(sql, values),
      () => server().serverSide(serverVersion).version,
    );
  }
}
