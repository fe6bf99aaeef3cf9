import { type OwnConnection, quoteIdent, quoteLiteral } from '../sql';
import { cloneDatabase, connectForMaintenance, relatedName } from './clone';
import { leaseHolders, takeLease } from './lease';
import { dropDatabase, isNamedFor, sweepClones } from './orphans';
import type { UrlConnection } from './url-connection';

export interface WorkerDatabaseOptions {
  /** Opens a connection to a database of that name, with the settings the app has for `base`. */
  readonly connect: (database: string) => Promise<UrlConnection>;
  /** The database the app is configured for: every worker's is a clone of it. */
  readonly base: string;
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

/**
 * Gives a worker of `--parallel` a database of its own, cloned from `base`, and drops what killed runs left behind.
 * Creating and leasing happen under an advisory lock in a third database, since a database with sessions can be neither
 * cloned nor dropped (manual, CREATE DATABASE, Notes).
 * @throws RewindError `REWIND_CONNECTION` if `base` can't be cloned, e.g. because somebody is connected to it.
 */
export async function claimWorkerDatabase(options: WorkerDatabaseOptions): Promise<WorkerDatabase> {
  const name = workerDatabaseName(options);
  const maintenance = await connectForMaintenance(options.connect, options.base, WORDS);
  try {
    await maintenance.query('select pg_advisory_lock(hashtext($1))', [`mocha-rewind ${options.base}`]);
    await takeLease(maintenance, holderOf(options));
    await sweep(maintenance, options);
    await dropDatabase(maintenance, options.connect, name);
    await cloneDatabase(maintenance, options.base, name, WORDS);
    await maintenance.query(
      `comment on database ${quoteIdent(name)} is ${quoteLiteral(`mocha-rewind worker of ${options.base}`)}`,
    );
    await maintenance.query('select pg_advisory_unlock_all()');
    maintenance.unref();
    return { name, lease: maintenance };
  } catch (error) {
    await maintenance.end();
    throw error;
  }
}

/** Drops the databases of this run's workers. For the main process, when all workers are done. */
export async function dropWorkerDatabases(options: Omit<WorkerDatabaseOptions, 'worker'>): Promise<void> {
  const maintenance = await connectForMaintenance(options.connect, options.base, WORDS);
  try {
    for (const name of await workerDatabases(maintenance, options.base)) {
      if (isNamedFor(options.run, name)) await dropDatabase(maintenance, options.connect, name);
    }
  } finally {
    await maintenance.end();
  }
}

async function sweep(maintenance: OwnConnection, options: WorkerDatabaseOptions): Promise<void> {
  const { rows } = await maintenance.query<{ datname: string }>(
    'select distinct datname from pg_stat_activity where datname is not null',
  );
  const inUse = new Set(rows.map((row) => row.datname));
  const holders = [...(await leaseHolders(maintenance))];
  for (const name of await workerDatabases(maintenance, options.base)) {
    if (inUse.has(name) || isNamedFor(options.run, name) || holders.some((holder) => name.endsWith(`_${holder}`)))
      continue;
    // Somebody may connect in between: then it is in use after all.
    await maintenance.query(`drop database if exists ${quoteIdent(name)}`).catch(() => {});
  }
  await sweepClones(maintenance, options.connect);
}

/** Told by our comment, not by the name alone: nobody else's database is ever dropped. */
async function workerDatabases(maintenance: OwnConnection, base: string): Promise<string[]> {
  const { rows } = await maintenance.query<{ datname: string }>(
    `select datname from pg_database where shobj_description(oid, 'pg_database') = $1`,
    [`mocha-rewind worker of ${base}`],
  );
  return rows.map((row) => row.datname);
}
