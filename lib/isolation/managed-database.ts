import { type Sandbox, createSandbox } from '../sandbox';
import type { Restored, Snapshot } from '../snapshot';
import { type Scope, pathOf } from '../scope';
import type { Query } from '../sql';
import { AppPools } from './app-pools';
import { Blame } from './blame';
import { assertRestored, modeMix } from './complaints';
import { isUnreachable } from './connect';
import { Judge } from './judge';
import { type Leak, LeakWatch, type SchemaLeak } from './leak-watch';
import type { Need } from './need';
import { NeededSnapshot } from './needed-snapshot';
import { openDatabase } from './opening';
import type { IsolationOptions } from './index';
import type { UnrestoredSnapshot } from './leftovers';
import type { OwnDatabases } from './own-databases';
import { ScopeProblems } from './problems';
import { leftOpen } from './unawaited';

/**
 * One database of the app's: its sandbox, its snapshot, and what is due before the next user code may touch it.
 *
 *   new → ready (inspected, recovered) → [snapshot taken] → …
 *
 * `unsettled` means: code that commits has run since the last restore.
 */
export class ManagedDatabase {
  readonly sandbox: Sandbox;
  readonly pools = new AppPools();
  /** What stands for it while `@schema` scopes run; shared by all views of one database. */
  own: OwnDatabases | undefined;
  readonly problems = new ScopeProblems();
  /** True once the app has asked for a connection, or the config has named it, and the server could be reached. */
  wasUsed = false;
  /** Where there is a snapshot. */
  leaks: LeakWatch | undefined;
  needed: NeededSnapshot | undefined;
  /** Nothing will undo what root-level hooks have committed, so their `after` hooks have to be able to. */
  keepsRoot = false;
  #ready: Promise<void> | undefined;
  #snapshot: Snapshot | undefined;
  #leakRepaired = false;
  #unsettled = false;
  readonly #blame: Blame;
  readonly #judge: Judge;
  #sequencesNoted = false;
  /** Whether something has been committed that no restore can undo. */
  #baselineLost = false;
  /** The last scope that the sandbox has been told to leave. */
  #left: Scope | undefined;
  /** Statements that were sent through the sandbox before the last committing scope. */
  #queriesSeen = 0;
  /** Whether nothing but unmanaged tests has run since the last restore. */
  #handsOff = false;
  /** Scopes whose committed rows are checkpoints, outermost first: `snapshot.depth` of them. */
  #checkpoints: Scope[] = [];
  /** Whether what root-level hooks committed is behind a checkpoint. */
  #rootPrepared = false;
  /** Set anew by each scope whose commits nobody undoes. */
  #drift: object | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    readonly label: string,
    private readonly options: IsolationOptions,
    private readonly needsSnapshot: (identity: string) => Need,
    private readonly sandboxes: (identity: string) => readonly Sandbox[],
    onStray: (problem: Error, scope: Scope) => void,
  ) {
    this.sandbox = createSandbox({ onStray });
    this.#judge = this.pools.judge = new Judge(label, options);
    const { note } = options;
    this.#blame = new Blame({ label, problems: this.problems, note, suspects: () => this.leaks?.suspects ?? [] });
  }

  /** The same for two views of one database, by different addresses, which have a sandbox each, and one snapshot. */
  get identity(): string {
    return this.#judge.identity;
  }

  /** Of a pool's real session, before its first use; undefined where nothing is to be done with the database yet. */
  judge(query: Query, elsewhere: string | undefined): Promise<void> | undefined {
    return this.#ready?.then(() => this.#judge.judge(query, elsewhere));
  }

  enter(scope: Scope): void {
    this.sandbox.enter(scope);
    this.leaks?.enter(scope);
    this.#blame.entered(scope);
  }

  /** One step at a time: what is due may be found due by many queries at once. */
  exclusively<T>(step: () => Promise<T>): Promise<T> {
    const result = this.#last.then(step, step);
    this.#last = result.catch(() => {});
    return result;
  }

  /**
   * Inspected, and recovered if the last run was killed. Idempotent; a refusal is remembered. A server that can't be
   * reached concerns who asks for it, now: nobody else waits for this database, and the next one asks again.
   */
  ready(): Promise<void> {
    this.wasUsed = true;
    return (this.#ready ??= this.#makeReady());
  }

  async #makeReady(): Promise<void> {
    try {
      this.#snapshot = await openDatabase(this.pools, this.options, (identity) => this.#judge.knows(identity));
    } catch (error) {
      if (isUnreachable(error)) {
        this.#ready = undefined;
        this.wasUsed = false;
      }
      throw error;
    }
    const snapshot = this.#snapshot;
    const note = (sentence: string): void => this.options.note(`${this.label}: ${sentence}`);
    this.needed = new NeededSnapshot(snapshot, () => this.needsSnapshot(this.identity), note);
  }

  /** What an earlier run may have left: the baseline that `migrate` and `seed` would make. */
  get kept(): Pick<Snapshot, 'holdsKept' | 'useKept'> | undefined {
    return this.#snapshot;
  }

  get hasSnapshot(): boolean {
    return this.#snapshot?.taken ?? false;
  }

  /** Whether what is there is no baseline, but what earlier runs have left, which is to stay. */
  get holdsLeftovers(): boolean {
    return (this.#snapshot as Partial<UnrestoredSnapshot> | undefined)?.foundLeftovers ?? false;
  }

  /** The baseline is copied before anything is written to it, and only if need be. */
  async takeIfNeeded(present: Scope | undefined): Promise<void> {
    await this.needed?.take();
    if (this.hasSnapshot && !this.leaks) this.#watchForLeaks(present);
  }

  #watchForLeaks(present: Scope | undefined): void {
    if (!this.#snapshot || this.options.leaks === 'never') return;
    const sandboxes = (): readonly Sandbox[] => this.sandboxes(this.identity);
    const isPaused = (): boolean => this.#unsettled;
    this.leaks = new LeakWatch(this.#snapshot, sandboxes, isPaused, (leak) => this.#leaked(leak), present);
  }

  #leaked(leak: Leak | SchemaLeak): void {
    if ('change' in leak) this.#baselineLost = true;
    else this.#leakRepaired = true;
    this.#blame.leaked(leak);
  }

  /** Enough to come back to the baseline in the next file, as long as all tests roll back. */
  async noteSequences(): Promise<void> {
    if (this.#sequencesNoted) return;
    this.#sequencesNoted = true;
    await this.#snapshot?.noteSequences();
  }

  /** Whether the next run can start from the baseline of this one. */
  get keepsBaseline(): boolean {
    return this.#sequencesNoted && !this.#baselineLost;
  }

  /** Whatever is there is part of the next baseline. */
  async startAnew(): Promise<void> {
    if (this.#snapshot?.taken) await this.#snapshot.forget();
    await this.close();
    await this.ready();
  }

  /** The next run of the same process starts as the last one did. What was written since is the last test's. */
  async startAgain(last: Scope | undefined): Promise<void> {
    if (!this.hasSnapshot) return this.#snapshot?.resetSequences();
    this.#watchForLeaks(last);
    await this.leaks?.settle();
    await this.restore();
  }

  /** What root-level hooks wrote in the sandbox is committed, for everybody to see; no lock of ours stays behind. */
  async openForCommits(scope: Scope): Promise<void> {
    const [root, ...inner] = pathOf(scope);
    const mixed = inner.find((s) => this.sandbox.hasOpened(s));
    if (mixed) throw modeMix(scope, mixed);
    if (root && this.sandbox.hasOpened(root)) {
      await this.sandbox.commit();
      await this.prepared(root);
      this.#rootPrepared = true;
    } else if (this.sandbox.queries > this.#queriesSeen || this.#leakRepaired) {
      // ROLLBACK does not give back the numbers that sequences have given out (manual, 9.17), nor does the repair of a leak.
      this.#unsettled = true;
    }
    this.#leakRepaired = false;
    this.keepsRoot ||= !this.#snapshot?.taken && scope !== root;
    this.#queriesSeen = this.sandbox.queries;
    await this.sandbox.release();
    if (root && !this.#rootPrepared && scope !== root) {
      this.#rootPrepared = true;
      if (root.mode === 'truncate') await this.prepared(root);
    }
  }

  expectCommits(scope: Scope): void {
    this.commitsAhead(scope);
    this.#handsOff = false;
  }

  /** What an unmanaged test leaves, the next one finds: they may build on each other, as they did without us. */
  async keepHandsOff(scope: Scope): Promise<void> {
    if (!this.#handsOff) await this.settle();
    this.commitsAhead(scope);
    this.#handsOff = true;
  }

  commitsAhead(writer: Scope): void {
    this.#unsettled = true;
    this.#blame.began(writer);
    this.#baselineLost ||= !this.hasSnapshot;
  }

  /** The `before` hooks of a committing suite are over: what they wrote is what its tests start from. */
  async prepared(scope: Scope): Promise<void> {
    const snapshot = this.#snapshot;
    if (!snapshot?.taken) return;
    if ((await snapshot.touched()).length > 0) {
      this.#blame.pushed(scope, await snapshot.push());
      this.#checkpoints.push(scope);
    }
    this.leaks?.atCheckpoint();
    this.#unsettled = false;
  }

  /** Does what is due: checkpoints of ended scopes are dropped, what committing code left is restored. */
  async settle(): Promise<void> {
    await this.#dropCheckpoints((scope) => scope.ended);
    if (this.#unsettled) await this.#blame.tellWriter(() => this.restore());
  }

  /** After the last hook of a suite: its own checkpoint is no longer wanted. */
  async closing(scope: Scope): Promise<void> {
    await this.#dropCheckpoints((s) => s.ended || s === scope);
    if (this.#unsettled) await this.#blame.tellWriter(() => this.restore());
  }

  async #dropCheckpoints(isOver: (scope: Scope) => boolean): Promise<void> {
    for (let top = this.#checkpoints.at(-1); top && isOver(top); top = this.#checkpoints.at(-1)) {
      const restored = await this.#snapshot?.pop();
      this.#checkpoints.pop();
      this.leaks?.atCheckpoint();
      this.#unsettled = false;
      if (!restored) continue;
      this.#baselineLost ||= Boolean(restored.schemaChange);
      this.#blame.popped(top, restored);
    }
  }

  /** Back to the current checkpoint. */
  async restore(): Promise<Restored | undefined> {
    if (!this.#snapshot?.taken) return undefined;
    const restored = this.#blame.restored(await this.#snapshot.restore());
    this.#baselineLost ||= Boolean(restored.schemaChange);
    this.leaks?.atCheckpoint();
    this.#unsettled = false;
    this.#handsOff = false;
    return restored;
  }

  async forgetSnapshot(): Promise<void> {
    this.#checkpoints = [];
    this.#unsettled = false;
    this.#baselineLost = true;
    this.keepsRoot = true;
    this.leaks = undefined;
    if (this.#snapshot?.taken) await this.#snapshot.forget();
  }

  async #toBaseline(snapshot: Snapshot): Promise<void> {
    await this.#blame.tellWriter(() => this.restore());
    if (this.options.verify === 'at-end') await assertRestored(snapshot, this.label);
  }

  /** Ends the sandbox's side of a scope, once: a test's when its hooks are over, so that what it left open is its own. */
  leaveSandbox(scope: Scope): readonly Error[] {
    if (this.#left === scope) return [];
    this.#left = scope;
    return this.sandbox.leave(scope);
  }

  /** What is still under way on real sessions of its own when a committing test ends does nothing any more. */
  async evict(scope: Scope): Promise<void> {
    for (const pool of this.pools.all) {
      const open = pool.unfinished(scope).filter(({ by, what }) => by === scope && what === 'a transaction');
      for (const one of open) this.problems.report(scope, leftOpen(scope, this.label, one));
      await pool.evict(scope);
    }
  }

  /** End of a run. Never leaves the app's pools holding a connection of ours. */
  async finish(): Promise<void> {
    if (!this.#ready) return;
    // A refusal has been reported where it happened.
    const usable = await this.#ready.then(() => true).catch(() => false);
    try {
      if (usable) await this.sandbox.release();
      if (this.#snapshot?.taken) {
        await this.leaks?.settle();
        await this.#dropCheckpoints(() => true);
        if (!this.#snapshot.adopted) await this.#toBaseline(this.#snapshot);
      }
    } catch (error) {
      this.#baselineLost = true;
      throw error;
    } finally {
      this.leaks = undefined;
      this.#rootPrepared = false;
      this.#checkpoints = [];
      this.#unsettled = false;
      this.#handsOff = false;
      this.keepsRoot = false;
      this.#drift = undefined;
    }
  }

  /** The next run finds out anew what there is. Never rejects. */
  async close(): Promise<void> {
    await this.#snapshot?.close();
    this.#snapshot = undefined;
    this.#ready = undefined;
    this.#judge.forget();
    this.needed = undefined;
    this.#sequencesNoted = false;
    this.#baselineLost = false;
  }

  /** It can't be reached any more: nothing that was committed can be restored now. Whoever asks for it starts anew. */
  async lose(): Promise<void> {
    this.leaks = undefined;
    this.#checkpoints = [];
    this.#unsettled = false;
    await this.sandbox.release().catch(() => {});
    await this.close();
    this.wasUsed = false;
  }

  /** Tells the contents that a settled database has from those it had at other times. */
  get basis(): object | undefined {
    return this.#checkpoints.at(-1) ?? this.#drift;
  }

  goAdrift(): void {
    this.#drift = {};
  }

  /** Does `work` while no connection is open that is ours, or idle in a pool of the app's. */
  async aside<T>(work: () => Promise<T>): Promise<T> {
    await this.leaks?.quiet();
    await this.sandbox.release();
    await this.pools.closeIdle();
    return this.#snapshot ? this.#snapshot.aside(work) : work();
  }
}
