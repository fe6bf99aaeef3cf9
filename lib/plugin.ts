import { spawnSync } from 'node:child_process';
import path from 'node:path';
import type { Knex } from 'knex';
import {
  type LoadedConfig,
  type RewindConfig,
  emptyRules,
  fingerprintOf,
  hintOnTables,
  resolveInstances,
  resolvePools,
  setUp,
  taggingOf,
} from './config';
import {
  announceRun,
  assertNotShared,
  assertTestDatabase,
  createWorkerDatabase,
  describeDatabase,
  identifyDatabase,
  dropDatabasesOfWorkers,
  keepDatabase,
  keepServer,
  leadUrl,
  makeDatabasesOfWorkers,
  openClones,
  pointWorkerAtOwnDatabase,
} from './database';
import { AUDIT_REPORT, readAuditPlan } from './audit-plan';
import { assertEnvironment, isOn } from './environment';
import { RewindError } from './errors';
import { type KeepDatabase, createIsolation } from './isolation';
import { phaseOf } from './modes';
import {
  type FinishedTest,
  type MochaPlugin,
  type RunHandler,
  type RunPlan,
  expectActivation,
  isCommandLine,
  isPlugged,
  plugMocha,
} from './mocha';
import { printSqlOfFailures, printSummary } from './report';
import {
  type KnexWatch,
  type ManagedPool,
  manageKnex,
  managePgPool,
  tapQueries,
  watchKnex,
  watchOrigins,
} from './sandbox';
import { publishRunFacts } from './run-facts';
import { type Scope } from './scope';
import { realTimers, timestamp } from './timers';
import type { RunFacts, TestFacts } from './facts';

/** What Mocha takes from a `--require`d module. */
export interface RootHookPlugin {
  /** Awaited by Mocha before it loads the first spec file; also called in the main process of `--parallel`. */
  readonly mochaHooks: () => Promise<Mocha.RootHookObject>;
  /** Runs in the main process only. */
  readonly mochaGlobalTeardown: () => Promise<void>;
}

/**
 * The plugin, with a config that is loaded when `DATABASE_URL` is what it is going to be in this process.
 *
 * @param source - what has given it to the user.
 */
export function pluginFor(source: keyof typeof WAYS, load: () => Promise<LoadedConfig>): RootHookPlugin {
  expectActivation(isPlugged, (place) => inactive(source, place));
  announceRun(process.env);
  pointWorkerAtOwnDatabase(process.env);
  return {
    mochaHooks: async () => {
      assertEnvironment(process.env);
      const started = realTimers.now();
      await createWorkerDatabase(process.env);
      const waitedMs = realTimers.now() - started;
      return (await createPlugin(load, waitedMs)).mochaHooks;
    },
    mochaGlobalTeardown: dropDatabasesOfWorkers,
  };
}

/** How each of them gets to be asked for its hooks. */
const WAYS = {
  'mocha-rewind/register': {
    required: '`"require": ["mocha-rewind/register"]` in .mocharc.json, or `mocha --require mocha-rewind/register`',
    hooks: "await require('mocha-rewind/register').mochaHooks()",
  },
  'rewind()': {
    required: '`mocha --require FILE`, of the file that has `module.exports = rewind(…)`',
    hooks: 'await rewind(…).mochaHooks()',
  },
} as const;

function inactive(source: keyof typeof WAYS, place: string | undefined): RewindError {
  const { required, hooks } = WAYS[source];
  return new RewindError('REWIND_MOCHA', {
    problem: `${source} was loaded${place === undefined ? '' : ` by ${place}`}, but Mocha has not taken its hooks, so nothing that tests write would be undone.`,
    remedy: `Write ${required}. A spec file, or one that \`file\` or \`--file\` names, is too late. A program that makes its own Mocha: \`new Mocha({ rootHooks: ${hooks} })\`.`,
  }).withoutStack();
}

/**
 * Puts the rooms together: the one place that knows all of them. Nothing connects here; the first connection is made
 * by the first root hook, or by the app.
 */
async function createPlugin(load: () => Promise<LoadedConfig>, waitedMs: number): Promise<MochaPlugin> {
  const loaded = await load();
  const { config } = loaded;
  const notes = new Set<string>();
  const note = (sentence: string): void => void notes.add(sentence);

  const { REWIND_DIRTY, REWIND_FRESH, REWIND_LEAKS, REWIND_VERIFY, CI } = process.env;
  const isolation = createIsolation({
    note,
    namesInstances: config.knex !== undefined,
    openClones,
    announce: (base, database) => leadUrl(process.env, base, database),
    // A cache can hide from its author that the database can't be built any more; CI is where that has to show.
    kept: isOn(REWIND_FRESH) || isOn(CI) ? 'ignore' : 'use',
    leftovers: isOn(REWIND_DIRTY) ? 'kept' : 'restored',
    keepDatabase: isOn(process.env['REWIND_KEEP']) ? keepForPeople : undefined,
    // The runs of an audit must not find what others have left.
    unmanaged: process.env[AUDIT_REPORT] ? 'restored' : 'kept',
    fingerprint: () => settings.fingerprint,
    leaks: isOn(REWIND_LEAKS) ? 'always' : (config.leaks ?? 'with a snapshot'),
    drainMs: config.drain ?? 2000,
    unawaited: config.unawaited ?? 'note',
    limitMs: config.hookTimeout ?? 30_000,
    verify: isOn(REWIND_VERIFY) ? 'at-end' : 'never',
    identify: identifyDatabase,
    inspect: async (query) => {
      const info = await describeDatabase(query);
      assertNotShared(info, process.env);
      await assertTestDatabase(info, config.allowDatabase);
    },
  });
  const named = config.knex && new Set<unknown>();
  const watch: KnexWatch = {
    onPool: (pool) => ((named?.has(pool.knexClient) ?? isWanted(pool, config)) ? isolation.manage(pool) : undefined),
    onIgnored: note,
    onLate: isolation.stray,
  };
  watchOrigins();
  if (!named) watchKnex(watch);
  const settle = async (current: LoadedConfig): Promise<Settings> => {
    const instances = await resolveInstances(current.config);
    for (const knex of Object.values(instances ?? {})) {
      if (named?.has(knex.client)) continue;
      named?.add(knex.client);
      await manageKnex(knex, watch);
    }
    for (const pool of await resolvePools(current.config))
      managePgPool(pool, isolation.manage, { onLate: isolation.stray });
    return { config: current.config, instances, fingerprint: fingerprintOf(current, instances ?? {}) };
  };
  let settings = await settle(loaded);

  emptyRules(config, loaded.root).forEach(note);

  let beforeRunMs = waitedMs;
  let runs = 0;
  const hintOn = async (error: unknown): Promise<string | undefined> =>
    isolation.hintOn(error) ?? (await hintOnTables(settings.config, error, () => isolation.withoutTables()));
  const beginRun = (plan: RunPlan): RunHandler => {
    if (plan.role === 'main') refuseToKeep();
    isolation.begin(plan);
    // A later run of Mocha's command line is one of `--watch`, which loads the app's modules anew: its instances are others.
    const isRerun = plan.role === 'serial' && isCommandLine() && runs++ > 0;
    const prepare = async (): Promise<void> => {
      if (isRerun) settings = await settle(await load());
    };
    const run = new RewindRun(
      plan,
      isolation,
      { prepare, hintOn, setUp: () => setUp(settings.config, settings.instances) },
      notes,
      beforeRunMs,
    );
    beforeRunMs = 0;
    return run;
  };
  const { split = true, rejections = 'fail' } = config;
  const audit = process.env[AUDIT_REPORT] ? { plan: readAuditPlan(process.env) } : undefined;
  return plugMocha(taggingOf(config, loaded.root), beginRun, { split, rejections, audit });
}

/** What a run goes by, of a config that may be loaded again. */
interface Settings {
  readonly config: RewindConfig;
  readonly instances: Readonly<Record<string, Knex>> | undefined;
  readonly fingerprint: string | undefined;
}

class RewindRun implements RunHandler {
  readonly #facts = new Map<Scope, TestFacts>();
  #setupMs: number;
  #testStartedAt = 0;
  #sql: string[] = [];
  #stopListening: (() => void) | undefined;
  #lastFacts: Pick<RunFacts, 'cleaned' | 'hasRows'> = {};
  readonly enter;
  readonly leave;
  readonly arrive;
  readonly prepared;
  readonly closing;
  readonly hookBegan;
  readonly drain;
  readonly hintOn;

  constructor(
    private readonly plan: RunPlan,
    private readonly isolation: ReturnType<typeof createIsolation>,
    private readonly steps: {
      readonly prepare: () => Promise<void>;
      readonly hintOn: (error: unknown) => Promise<string | undefined>;
      readonly setUp: () => Promise<void>;
    },
    private readonly notes: Set<string>,
    beforeRunMs: number,
  ) {
    this.#setupMs = beforeRunMs;
    this.enter = (scope: Scope): void => {
      if (scope.kind === 'test') {
        this.#testStartedAt = timestamp();
        this.#sql = [];
      }
      isolation.enter(scope);
    };
    this.leave = (scope: Scope): void => isolation.leave(scope);
    this.arrive = (scope: Scope): Promise<void> => isolation.arrive(scope);
    this.prepared = (scope: Scope): Promise<void> => isolation.prepared(scope);
    this.closing = (scope: Scope): Promise<void> => isolation.closing(scope);
    this.hookBegan = isolation.hookBegan;
    this.drain = (scope: Scope): Promise<void> => isolation.drain(scope);
    this.hintOn = steps.hintOn;
    publishRunFacts(() => this.runFacts());
    if (showsSql())
      this.#stopListening = tapQueries(({ sql, values }) =>
        this.#sql.push(values.length ? `${sql} -- ${JSON.stringify(values)}` : sql),
      );
  }

  async start(): Promise<void> {
    await this.steps.prepare();
    this.#setupMs += await this.isolation.start(this.steps.setUp);
  }

  bodyEnded(scope: Scope): Error | undefined {
    const errors = this.isolation.bodyEnded(scope);
    return errors.length > 1 ? new AggregateError(errors, errors.map((e) => e.message).join('\n')) : errors[0];
  }

  explainFailure(): readonly string[] {
    return this.isolation.caveats();
  }

  explainTimeout(): Promise<readonly string[]> {
    return this.isolation.waits();
  }

  failed(scope: Scope): Promise<boolean> {
    return this.isolation.failed(scope);
  }

  async depart(scope: Scope): Promise<readonly Error[]> {
    const { errors, restore, clone, isolationMs, cleaned } = await this.isolation.depart(scope);
    this.#facts.set(scope, {
      mode: scope.mode,
      phase: phaseOf(scope.mode),
      isolationMs,
      ...(restore && { restore }),
      ...(clone && { clone }),
      startedAt: this.#testStartedAt,
      endedAt: timestamp(),
      ...(this.plan.worker !== undefined && { worker: this.plan.worker }),
      ...(cleaned.length > 0 && { cleaned }),
      ...(showsSql() && { sql: this.#sql }),
    });
    return errors;
  }

  facts(scope: Scope): TestFacts | undefined {
    const facts = this.#facts.get(scope);
    this.#facts.delete(scope);
    return facts;
  }

  async finish(): Promise<readonly Error[]> {
    const started = realTimers.now();
    const errors = await this.isolation.finish();
    this.#lastFacts = await this.isolation.lastCleaned();
    this.#setupMs += realTimers.now() - started;
    return errors;
  }

  ended(tests: readonly FinishedTest[], totalMs: number): void {
    this.isolation.letGo();
    this.#stopListening?.();
    if (this.plan.role !== 'worker') {
      if (showsSql()) printSqlOfFailures(tests);
      printSummary(tests, totalMs, this.runFacts());
      if (isOn(process.env['REWIND_AUDIT'])) auditAgain(process.argv.slice(2));
    }
    this.notes.clear();
  }

  runFacts(): RunFacts {
    return { setupMs: this.#setupMs, notes: [...this.notes], ...this.#lastFacts };
  }

  workersStart(count: number): void {
    makeDatabasesOfWorkers(process.env, count);
  }

  heard({ setupMs, notes, cleaned = [], hasRows = {} }: RunFacts): void {
    this.#setupMs += setupMs;
    for (const note of notes) this.notes.add(note);
    const { cleaned: known = [], hasRows: seen } = this.#lastFacts;
    this.#lastFacts = { cleaned: [...known, ...cleaned], hasRows: { ...seen, ...hasRows } };
  }
}

/** `REWIND_KEEP=failed`: an embedded server has to outlive its run, or nobody could look at what is on it. */
const keepForPeople: KeepDatabase = async ({ urlOf, ...server }, original) => {
  const name = await keepDatabase(server, original);
  const pid = keepServer(urlOf(name));
  return { name, note: pid === undefined ? undefined : `its server goes on for a day, or until: kill -INT ${pid}` };
};

function refuseToKeep(): void {
  if (!isOn(process.env['REWIND_KEEP'])) return;
  throw new RewindError('REWIND_CONFIG', {
    problem: 'REWIND_KEEP keeps what one failed test has left, and with --parallel several run at a time.',
    remedy: 'Run that test, or its file, without --parallel.',
  }).withoutStack();
}

/** `REWIND_AUDIT=1`: the audit of a run that is over, with the arguments of that run. */
function auditAgain(args: readonly string[]): void {
  if (!isCommandLine()) {
    process.stderr.write('  rewind: REWIND_AUDIT needs mocha’s command line; npx mocha-rewind audit does the same\n');
    return;
  }
  const cli = path.join(__dirname, 'cli', 'main.js');
  spawnSync(process.execPath, [...process.execArgv, cli, 'audit', '--', ...args], { stdio: 'inherit' });
}

function showsSql(): boolean {
  return process.env['REWIND_SQL'] === 'failed';
}

function isWanted(pool: ManagedPool, config: RewindConfig): boolean {
  const settings = pool.knexClient?.connectionSettings as Record<string, unknown> | undefined;
  const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
  const info = {
    host: text(settings?.['host']),
    port: settings?.['port'] === undefined ? undefined : Number(settings['port']),
    database: text(settings?.['database']),
    user: text(settings?.['user']),
  };
  return (config.include?.(info) ?? true) && !config.exclude?.(info);
}
