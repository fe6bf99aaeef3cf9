import { type OwnConnection, quoteIdent, quoteLiteral } from '../sql';
import { cloneDatabase, connectForMaintenance, relatedName } from './clone';
import { describeDatabase } from './describe';
import type { DatabaseInfo } from './index';
import { leaseHolders, takeLease } from './lease';
import { dropDatabase, isNamedFor, sweepClones } from './orphans';
import type { UrlConnection } from './url-connection';

export interface WorkerDatabaseOptions {
  /** Opens a connection to a database of that name, with the settings the app has for `base`. */
  readonly connect: (database: string) => Promise<UrlConnection>;
  /** The database the app is configured for: every worker's is a clone of it. */
  readonly base: string;
  /** Throws where `base` is not to be cloned. */
  readonly inspect: (base: DatabaseInfo) => Promise<void>;
  /** The same for all workers of one run, and for no other run. */
  readonly run: string;
  /** `MOCHA_WORKER_ID`. A counter: a worker that replaces a dead one gets a higher id (research/mocha.md §4). */
  readonly worker: string;
}

export interface WorkerDatabase {
  readonly name: string;
  /** Connected for as long as the worker lives: a worker database without one belongs to nobody and is swept. */
  readonly lease: OwnConnection;
}

const WORDS = {
  what: 'The database of a --parallel worker',
  ifBusy:
    'Nobody may be connected to it when workers start: a mochaGlobalSetup that uses it has to close its connections (knex.destroy()).',
  otherwise: 'Or run without --parallel.',
};

export function workerDatabaseName({
  base,
  run,
  worker,
}: Pick<WorkerDatabaseOptions, 'base' | 'run' | 'worker'>): string {
  return relatedName(base, holderOf({ run, worker }));
}

function holderOf({ run, worker }: Pick<WorkerDatabaseOptions, 'run' | 'worker'>): string {
  return `${run}_${worker}`;
}

/** Our comments on them: one that is made for a worker, and one that its worker has. */
const marksOf = (base: string): { readonly waiting: string; readonly taken: string } => ({
  waiting: `mocha-rewind database for a worker of ${base}`,
  taken: `mocha-rewind worker of ${base}`,
});

/**
 * Gives a worker of `--parallel` a database of its own: the one that waits for it, or a clone of `base`. Databases are
 * made, looked at and leased under an advisory lock in a third database, since one with sessions can be neither cloned nor
 * dropped (manual, CREATE DATABASE, Notes).
 * @throws RewindError `REWIND_CONNECTION` if `base` can't be cloned, e.g. because somebody is connected to it.
 */
export async function claimWorkerDatabase(options: WorkerDatabaseOptions): Promise<WorkerDatabase> {
  const name = workerDatabaseName(options);
  const maintenance = await connectForMaintenance(options.connect, options.base, WORDS);
  try {
    await takeLease(maintenance, holderOf(options));
    await underLock(maintenance, options.base, async () => {
      if ((await markOn(maintenance, name)) !== marksOf(options.base).waiting) await makeAnew(maintenance, options);
      await mark(maintenance, name, marksOf(options.base).taken);
    });
    maintenance.unref();
    return { name, lease: maintenance };
  } catch (error) {
    await maintenance.end();
    throw error;
  }
}

/** In the main process: the databases of the workers of one run, made while those start, dropped when they are done. */
export class WorkerDatabases {
  readonly #made: Promise<void>;
  #lease: UrlConnection | undefined;

  constructor(
    private readonly options: Omit<WorkerDatabaseOptions, 'worker'>,
    workers: number,
  ) {
    // A worker whose database is not there makes it, and can say why it can't.
    this.#made = this.#make(workers).catch(() => {});
  }

  async #make(workers: number): Promise<void> {
    const { connect, base, run } = this.options;
    const maintenance = await connectForMaintenance(connect, base, WORDS);
    this.#lease = maintenance;
    await takeLease(maintenance, run);
    for (let worker = 0; worker < workers; worker++) {
      const options = { ...this.options, worker: String(worker) };
      await underLock(maintenance, base, async () => {
        const isThere = (await leaseHolders(maintenance)).has(holderOf(options));
        if (isThere || (await isInUse(maintenance, base))) return;
        await makeAnew(maintenance, options);
        await mark(maintenance, workerDatabaseName(options), marksOf(base).waiting);
      });
    }
    maintenance.unref();
  }

  /** What it has made is left to the workers. */
  async letGo(): Promise<void> {
    await this.#made;
    this.#lease?.ref();
    await this.#lease?.end();
  }

  /** When all workers are done. */
  async drop(): Promise<void> {
    await this.#made;
    const { connect, base, run } = this.options;
    const maintenance = this.#lease ?? (await connectForMaintenance(connect, base, WORDS));
    maintenance.ref();
    try {
      for (const name of await workerDatabases(maintenance, base)) {
        if (isNamedFor(run, name)) await dropDatabase(maintenance, connect, name);
      }
    } finally {
      await maintenance.end();
    }
  }
}

async function underLock(maintenance: OwnConnection, base: string, work: () => Promise<void>): Promise<void> {
  await maintenance.query('select pg_advisory_lock(hashtext($1))', [`mocha-rewind ${base}`]);
  try {
    await work();
  } finally {
    await maintenance.query('select pg_advisory_unlock_all()');
  }
}

/** What killed runs left behind goes first. */
async function makeAnew(maintenance: OwnConnection, options: WorkerDatabaseOptions): Promise<void> {
  const { connect, base, inspect } = options;
  const look = await connect(base);
  try {
    await inspect(await describeDatabase(look.query));
  } finally {
    await look.end();
  }
  const name = workerDatabaseName(options);
  await sweep(maintenance, options);
  await dropDatabase(maintenance, connect, name);
  await cloneDatabase(maintenance, base, name, WORDS);
}

async function mark(maintenance: OwnConnection, name: string, text: string): Promise<void> {
  await maintenance.query(`comment on database ${quoteIdent(name)} is ${quoteLiteral(text)}`);
}

async function markOn(maintenance: OwnConnection, name: string): Promise<string | null | undefined> {
  const { rows } = await maintenance.query<{ text: string | null }>(
    `select shobj_description(oid, 'pg_database') as text from pg_database where datname = $1`,
    [name],
  );
  return rows[0]?.text;
}

async function isInUse(maintenance: OwnConnection, database: string): Promise<boolean> {
  const { rows } = await maintenance.query('select from pg_stat_activity where datname = $1 limit 1', [database]);
  return rows.length > 0;
}

async function sweep(maintenance: OwnConnection, options: WorkerDatabaseOptions): Promise<void> {
  const { rows } = await maintenance.query<{ datname: string }>(
    'select distinct datname from pg_stat_activity where datname is not null',
  );
  const inUse = new Set(rows.map((row) => row.datname));
  const holders = [...(await leaseHolders(maintenance))];
  for (const name of await workerDatabases(maintenance, options.base)) {
    const isHeld = holders.some((holder) => name.endsWith(`_${holder}`) || isNamedFor(holder, name));
    if (inUse.has(name) || isNamedFor(options.run, name) || isHeld) continue;
    // Somebody may connect in between: then it is in use after all.
    await maintenance.query(`drop database if exists ${quoteIdent(name)}`).catch(() => {});
  }
  await sweepClones(maintenance, options.connect);
}

/** Told by our comment, not by the name alone: nobody else's database is ever dropped. */
async function workerDatabases(maintenance: OwnConnection, base: string): Promise<string[]> {
  const { rows } = await maintenance.query<{ datname: string }>(
    `select datname from pg_database where shobj_description(oid, 'pg_database') = any($1)`,
    [Object.values(marksOf(base))],
  );
  return rows.map((row) => row.datname);
}
