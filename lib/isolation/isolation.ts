import type { RewindError } from '../errors';
import { commits } from '../modes';
import {
  type Admission,
  type Gate,
  type ManagedPool,
  type Sandbox,
  type Unfinished,
  caveatsOf,
  isRequested,
} from '../sandbox';
import { type Scope, scopeContext } from '../scope';
import type { Restored } from '../snapshot';
import { realTimers, sleep } from '../timers';
import type { RunFacts } from '../facts';
import { CleaningWatch, lookForRows } from './cleaning';
import { afresh, complaintsOf } from './complaints';
import { asInProduction, hintOnConnection, isUnreachable } from './connect';
import type { Departure, IsolationOptions, IsolationPlan, IsolationRoom } from './index';
import { keepStateOf } from './keep';
import type { LeakWatch } from './leak-watch';
import { ManagedDatabase } from './managed-database';
import { areSeeded } from './kept';
import { type Need, needFor } from './need';
import { nodb } from './nodb';
import { restoreFactsOf } from './restore-facts';
import { prepareFor } from './rollback';
import { SchemaPlan } from './schema-plan';
import { strategyOf } from './strategy-of';
import { withoutTables } from './tables';
import { Unawaited, notAwaited } from './unawaited';
import { describeWaits } from './waits';

/** `idle`: no run, or between runs; `setup`: migrations and seeds; `running`: scopes decide. */
type Stage = 'idle' | 'setup' | 'running';

/** How often it is looked whether what is waited for has ended. */
const DRAIN_STEP_MS = 2;
/** For so long nobody else is let through while `migrate` and `seed` run. */
const SET_UP_ALONE_MS = 10_000;
type Lets = (origin: Scope | undefined) => boolean;

/** The context of migrations and seeds. */
const SETTING_UP: Scope = {
  kind: 'root',
  title: '',
  file: undefined,
  mode: 'rollback',
  parent: undefined,
  ended: false,
  timedOut: false,
};

export class Isolation implements IsolationRoom {
  readonly #databases = new Map<string, ManagedDatabase>();
  #stage: Stage = 'idle';
  #path: Scope[] = [];
  #lastTest: Scope | undefined;
  /** The scope for which each database has been made right; a checkout of the same scope goes straight through. */
  #arrived = new WeakMap<ManagedDatabase, Scope>();
  #need: Need = 'no';
  #startsInSandbox = false;
  #isWorker = false;
  /** Whether the databases hold, or can be brought back to, the baseline of the run before: of another file in this worker. */
  #knowsBaseline = false;
  #schemas: SchemaPlan | undefined;
  #errors: Error[] = [];
  /** Whether the run ends with a failure whose rows are kept. */
  #hasKept = false;
  #cleaning = new CleaningWatch();
  readonly #unawaited = new Unawaited();
  /** The last scope whose code has asked for a connection. */
  #askedIn: Scope | undefined;
  /** While a scope is closing, or the baseline is made: code that has no part in that waits. */
  #closed: { readonly lets: Lets; readonly opens: Promise<void>; readonly open: () => void } | undefined;
  /** Whether the database, when the run has ended, holds what the tests started from. */
  #endsOnBaseline = true;
  /** Milliseconds spent since the current test was entered. */
  #spentMs = 0;

  constructor(private readonly options: IsolationOptions) {}

  readonly manage = (pool: ManagedPool): Gate => {
    let database = this.#databases.get(pool.key) ?? this.#originalOf(pool);
    if (!database) {
      database = new ManagedDatabase(pool.label, this.options, this.#needOf, this.#sandboxesOn, this.stray);
      this.#databases.set(pool.key, database);
      for (const scope of this.#path) database.enter(scope);
    }
    database.pools.add(pool);
    database.sandbox.join(pool);
    const managed = database;
    pool.judge = (query, elsewhere) => managed.judge(query, elsewhere ?? managed.pools.elsewhere);
    return (_pool, origin) => this.#admit(managed, origin);
  };

  /** Of a pool that was made from the URL of a clone, e.g. by an app that reads DATABASE_URL when it first needs it. */
  #originalOf({ database }: ManagedPool): ManagedDatabase | undefined {
    return this.used().find(({ own }) => own?.has(database));
  }

  readonly #needOf = (identity: string): Need =>
    this.used().some((d) => d.hasSnapshot && d.identity === identity) ? 'no' : this.#need;

  readonly #sandboxesOn = (identity: string): readonly Sandbox[] =>
    this.used()
      .filter((database) => database.identity === identity)
      .map((database) => database.sandbox);

  readonly stray = (problem: Error): void => {
    if (this.options.unawaited === 'fail') this.#errors.push(problem);
    else this.#unawaited.late(problem);
  };

  begin(plan: IsolationPlan): void {
    const { counts, role } = plan;
    this.#schemas = new SchemaPlan(plan, this.options, () => this.used());
    this.#isWorker = role === 'worker';
    this.#need = needFor(counts, role, this.options);
    this.#startsInSandbox = counts.rollback > 0;
    this.#endsOnBaseline = counts.dirty === 0 && (counts.unmanaged === 0 || this.#need === 'yes');
    this.#cleaning = new CleaningWatch();
    this.#errors = [];
    this.#hasKept = false;
    this.#arrived = new WeakMap();
    this.#stage = 'running';
    // Code that was started at load waits until the baseline is made; the main process makes none.
    if (role !== 'main') this.#close((origin) => origin !== undefined);
  }

  async start(setUp: () => Promise<void>): Promise<number> {
    this.#close((origin) => origin === SETTING_UP);
    try {
      return await this.#start(setUp);
    } finally {
      this.#open();
    }
  }

  async #start(setUp: () => Promise<void>): Promise<number> {
    const started = realTimers.now();
    let setUpMs = 0;
    if (this.#knowsBaseline) await this.#startAgain();
    else {
      await this.#startAnew([...this.#databases.values()]);
      if (!(await areSeeded([...this.#databases.values()], this.options))) setUpMs = await this.#setUp(setUp);
    }
    for (const database of this.used()) await this.#takeBaseline(database, this.#path.at(-1));
    if (this.#startsInSandbox) await prepareFor(this.used());
    return realTimers.now() - started - setUpMs;
  }

  /** One that can't be reached concerns the tests that use it; where the config names no other, that is all of them. */
  async #startAnew(databases: readonly ManagedDatabase[]): Promise<void> {
    const unreached: RewindError[] = [];
    for (const database of databases) {
      await database.startAnew().catch((error: unknown) => {
        if (!isUnreachable(error)) throw error;
        unreached.push(error);
      });
    }
    const [first] = unreached;
    if (first && this.options.namesInstances && unreached.length === databases.length) throw first;
    for (const { problem } of unreached) this.options.note(problem);
  }

  /** What a seed function keeps in variables outlives a file as the worker does, so that one seeding serves them all. */
  async #startAgain(): Promise<void> {
    for (const database of this.#databases.values()) await database.startAgain(this.#lastTest);
  }

  async #setUp(setUp: () => Promise<void>): Promise<number> {
    const started = realTimers.now();
    this.#stage = 'setup';
    const impatient = realTimers.setTimeout(() => this.#letPass(), SET_UP_ALONE_MS);
    try {
      await scopeContext.run(SETTING_UP, setUp);
    } finally {
      realTimers.clearTimeout(impatient);
      this.#stage = 'running';
    }
    return realTimers.now() - started;
  }

  /** What migrations wait for may wait for them. */
  #letPass(): void {
    if (!this.#closed) return;
    this.options.note(
      'The set-up took longer than ten seconds, so other code of the app was let through, which had waited for its end',
    );
    this.#open();
  }

  async #takeBaseline(database: ManagedDatabase, present: Scope | undefined): Promise<void> {
    await this.#schemas?.prepare(database);
    await database.takeIfNeeded(present);
    if (this.#isWorker) await database.noteSequences();
  }

  enter(scope: Scope): void {
    this.#path.push(scope);
    if (scope.kind === 'test') {
      this.#spentMs = 0;
      this.#lastTest = scope;
    }
    for (const database of this.#databases.values()) database.enter(scope);
  }

  leave(scope: Scope): void {
    this.#path.pop();
    for (const database of this.#databases.values()) {
      this.#errors.push(...database.leaveSandbox(scope));
      this.#errors.push(...database.problems.take(scope));
      database.leaks?.leave(scope);
    }
  }

  /** Where a checkout goes. Quick when the scope is known to be right; never rejects (Knex would log the rejection). */
  #admit(database: ManagedDatabase, origin: Scope | undefined): Admission | Promise<Admission> {
    if (this.#closed && !this.#closed.lets(origin)) {
      return this.#closed.opens.then(() => this.#admit(database, origin));
    }
    const scope = this.#path.at(-1);
    this.#askedIn = scope;
    // A spec file may write while it is loaded, and means all of its tests to find it.
    if (this.#stage === 'idle') this.#knowsBaseline = false;
    if (this.#stage !== 'running' || !scope) return { to: 'pool' };
    const strategy = strategyOf(scope);
    if (strategy === nodb) return strategy.admit(database, scope);
    if (this.#isRight(database, scope)) return strategy.admit(database, scope);
    return this.#arriveAt(database, scope, 'at a statement').then(
      () => strategy.admit(database, scope),
      (error: Error) => ({ to: 'nowhere', error: isUnreachable(error) ? asInProduction(error) : afresh(error) }),
    );
  }

  #arriveAt(database: ManagedDatabase, scope: Scope, moment: 'before its code' | 'at a statement'): Promise<void> {
    return database.exclusively(async () => {
      if (this.#isRight(database, scope)) return;
      if (scope.mode !== 'unmanaged') {
        await database.ready();
        // A test that needs them tries again, and is told.
        await this.#schemas?.prepare(database).catch(() => {});
        await this.#takeBaseline(database, scope);
      }
      const started = realTimers.now();
      // What a rolled-back test may never ask for is read at its first statement.
      const leaks = this.#leaksOf(database);
      await (commits(scope.mode) || moment === 'at a statement' ? leaks?.settle(scope) : leaks?.quiet());
      if (commits(scope.mode)) {
        // Their locks would stand in the way of the restore.
        for (const other of this.#sameDatabaseAs(database)) await other.openForCommits(scope);
      }
      const strategy = strategyOf(scope);
      await strategy.arrive(database, scope);
      // Hooks around a @nodb test have yet to arrive.
      if (strategy !== nodb) this.#arrived.set(database, scope);
      this.#spentMs += realTimers.now() - started;
    });
  }

  /** Other views of the same database. */
  #sameDatabaseAs(database: ManagedDatabase): ManagedDatabase[] {
    return this.used().filter((other) => other !== database && other.identity === database.identity);
  }

  #isRight(database: ManagedDatabase, scope: Scope): boolean {
    if (this.#arrived.get(database) !== scope) return false;
    return commits(scope.mode) || !this.#leaksOf(database)?.isDue(scope);
  }

  /** The view that has the snapshot looks after them. */
  #leaksOf(database: ManagedDatabase): LeakWatch | undefined {
    return database.leaks ?? this.#sameDatabaseAs(database).find((other) => other.leaks)?.leaks;
  }

  async arrive(scope: Scope): Promise<void> {
    for (const database of this.used()) {
      await this.#unlessLost(database, () => this.#arriveAt(database, scope, 'before its code'));
    }
  }

  /** A server that can't be reached any more, or a database that has been dropped, concerns the tests that use it. */
  async #unlessLost<T>(database: ManagedDatabase, step: () => Promise<T>): Promise<T | undefined> {
    try {
      return await step();
    } catch (error) {
      if (!isUnreachable(error)) throw error;
      this.options.note(error.problem);
      this.#arrived.delete(database);
      await database.lose();
      return undefined;
    }
  }

  async prepared(scope: Scope): Promise<void> {
    const strategy = strategyOf(scope);
    for (const database of this.used()) {
      await this.#unlessLost(database, () => database.exclusively(async () => strategy.prepared?.(database, scope)));
    }
  }

  async closing(scope: Scope): Promise<void> {
    const strategy = strategyOf(scope);
    for (const database of this.used()) {
      await this.#unlessLost(database, () => database.exclusively(async () => strategy.closing?.(database, scope)));
    }
  }

  readonly hookBegan: IsolationRoom['hookBegan'] = (scope, hook) => this.#cleaning.hookBegan(scope, hook);

  /** What a body has under way when it times out is canceled: its hooks would wait for it. */
  #notAwaited(scope: Scope): readonly Error[] {
    if (scope.kind !== 'test' || scope.mode === 'unmanaged') return [];
    if (scope.timedOut) for (const pool of this.#pools()) pool.cancel(scope);
    const queries = this.#unfinished(scope).filter(({ by, what }) => by === scope && what !== 'a transaction');
    if (queries.length === 0) return [];
    this.#unawaited.still(scope, queries);
    return this.options.unawaited === 'fail' ? [notAwaited(scope, queries)] : [];
  }

  #pools(): ManagedPool[] {
    return this.used().flatMap(({ pools }) => [...pools.all]);
  }

  #unfinished(scope: Scope): Unfinished[] {
    return this.#pools().flatMap((pool) => pool.unfinished(scope));
  }

  /** Nobody else's code begins anything until it opens again. */
  #close(lets: Lets): void {
    this.#open();
    let open = (): void => {};
    const opens = new Promise<void>((resolve) => (open = resolve));
    this.#closed = { lets, opens, open };
  }

  #open(): void {
    this.#closed?.open();
    this.#closed = undefined;
  }

  /** What a test has begun may end before the test does; so may what others have begun while it ran. */
  async drain(scope: Scope): Promise<void> {
    if (scope.mode === 'unmanaged') return;
    this.#close((origin) => origin === scope);
    const isOpen = (): boolean => left.length > 0 || (this.#askedIn === scope && isRequested(scope));
    const until = realTimers.now() + this.options.drainMs;
    let left = this.#unfinished(scope);
    if (!isOpen()) return;
    const transactions = left.filter(({ by, what }) => by === scope && what === 'a transaction');
    if (this.options.unawaited === 'fail' && transactions.length > 0) {
      this.used()[0]?.problems.report(scope, notAwaited(scope, transactions));
    }
    while (isOpen() && realTimers.now() < until) {
      await sleep(DRAIN_STEP_MS);
      left = this.#unfinished(scope);
    }
    this.#unawaited.still(
      scope,
      left.filter(({ by }) => by !== scope),
    );
  }

  bodyEnded(scope: Scope): readonly Error[] {
    const errors = this.#notAwaited(scope);
    return [...errors, ...this.#problemsOf(scope)];
  }

  #problemsOf(scope: Scope): readonly Error[] {
    return this.used().flatMap((database) => [...database.problems.take(scope), ...database.sandbox.takeProblems()]);
  }

  async failed(scope: Scope): Promise<boolean> {
    const { keepDatabase, note } = this.options;
    // What its hooks leave, or break, after it is not what it had left.
    if (this.#hasKept) return false;
    const sentences = keepDatabase ? await keepStateOf(scope, this.used(), keepDatabase) : [];
    sentences.forEach(note);
    return (this.#hasKept = sentences.length > 0);
  }

  async depart(scope: Scope): Promise<Departure> {
    if (!this.#closed && scope.mode !== 'unmanaged') this.#close((origin) => origin === scope);
    try {
      return await this.#depart(scope);
    } finally {
      const closed = this.#closed;
      // By then the test's scope is left.
      realTimers.setImmediate(() => closed === this.#closed && this.#open());
    }
  }

  async #depart(scope: Scope): Promise<Departure> {
    const errors: Error[] = [];
    const restores: Restored[] = [];
    const started = realTimers.now();
    for (const database of this.used()) {
      errors.push(
        ...database.problems.take(scope),
        ...database.sandbox.takeProblems(),
        ...database.leaveSandbox(scope),
      );
      try {
        const restored = await this.#unlessLost(database, () =>
          database.exclusively(() => strategyOf(scope).depart(database, scope)),
        );
        if (!commits(scope.mode)) await database.leaks?.depart(scope);
        errors.push(...database.problems.take(scope));
        if (!restored) continue;
        restores.push(restored);
        errors.push(...complaintsOf(scope, restored));
      } catch (error) {
        errors.push(error as Error);
      }
    }
    const isolationMs = this.#spentMs + realTimers.now() - started;
    const [clone, cleaned] = [this.#schemas?.takeFacts(), await this.#cleaning.take()];
    return { errors, restore: restoreFactsOf(restores), clone, isolationMs, cleaned };
  }

  caveats(): readonly string[] {
    return this.used().flatMap(({ sandbox }) => caveatsOf(sandbox));
  }

  async waits(): Promise<readonly string[]> {
    return (await Promise.all([...this.#databases.values()].map(describeWaits))).flat();
  }

  hintOn(error: unknown): string | undefined {
    return hintOnConnection(error);
  }

  async withoutTables(): Promise<string | undefined> {
    return (await withoutTables(this.used()))?.label;
  }

  async finish(): Promise<readonly Error[]> {
    this.#stage = 'idle';
    this.#open();
    this.#unawaited.takeSentences().forEach(this.options.note);
    const errors = this.#errors;
    this.#errors = [];
    errors.push(...((await this.#schemas?.close()) ?? []));
    for (const database of this.#databases.values()) {
      try {
        await database.finish();
      } catch (error) {
        errors.push(error as Error);
      }
      errors.push(...database.problems.takeAll());
    }
    const databases = [...this.#databases.values()];
    this.#knowsBaseline =
      this.#isWorker && databases.length > 0 && databases.every((database) => database.keepsBaseline);
    if (!this.#knowsBaseline) for (const database of databases) await database.close();
    return errors;
  }

  async lastCleaned(): Promise<Pick<RunFacts, 'cleaned' | 'hasRows'>> {
    const cleaned = await this.#cleaning.take();
    const hasRows: Record<string, boolean> = {};
    const { emptiedBefore } = this.#cleaning;
    if (emptiedBefore.size === 0 || !this.#endsOnBaseline) return { cleaned };
    for (const { pools } of this.used()) await lookForRows(emptiedBefore, () => pools.connect(), hasRows);
    return { cleaned, hasRows };
  }

  letGo(): void {
    this.#open();
    for (const database of this.#databases.values()) database.pools.letGo();
  }

  protected used(): ManagedDatabase[] {
    return [...this.#databases.values()].filter((database) => database.wasUsed);
  }
}
