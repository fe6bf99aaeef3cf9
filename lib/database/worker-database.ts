import { RewindError, messageOf } from '../errors';
import { type OwnConnection, quoteIdent, quoteLiteral } from '../sql';
import { realTimers, sleep } from '../timers';
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
  /** Connected for as long as the worker lives: a worker database without a session belongs to nobody and is swept. */
  readonly lease: OwnConnection;
}

/** PostgreSQL cuts longer names off (manual, 4.1.1). */
const NAME_LIMIT = 63;
const MARK = '_rewind_';

export function workerDatabaseName(options: Pick<WorkerDatabaseOptions, 'base' | 'run' | 'worker'>): string {
  const suffix = `${MARK}${options.run}_${options.worker}`;
  return options.base.slice(0, NAME_LIMIT - suffix.length) + suffix;
}

/**
 * Gives a worker of `--parallel` a database of its own, cloned from `base`, and drops what killed runs left behind.
 * Creating and leasing happen under an advisory lock in a third database, since a database with sessions can be neither
 * cloned nor dropped (manual, CREATE DATABASE, Notes).
 * @throws RewindError `REWIND_CONNECTION` if `base` can't be cloned, e.g. because somebody is connected to it.
 */
export async function claimWorkerDatabase(options: WorkerDatabaseOptions): Promise<WorkerDatabase> {
  const name = workerDatabaseName(options);
  const maintenance = await connectToAny(options, ['postgres', 'template1']);
  try {
    await maintenance.query('select pg_advisory_lock(hashtext($1))', [`mocha-rewind ${options.base}`]);
    await sweep(maintenance, options);
    await maintenance.query(`drop database if exists ${quoteIdent(name)} with (force)`);
    await clone(maintenance, options.base, name);
    await maintenance.query(
      `comment on database ${quoteIdent(name)} is ${quoteLiteral(`mocha-rewind worker of ${options.base}`)}`,
    );
    const lease = await options.connect(name);
    lease.unref();
    return { name, lease };
  } finally {
    await maintenance.end();
  }
}

/** Drops the databases of this run's workers. For the main process, when all workers are done. */
export async function dropWorkerDatabases(options: Omit<WorkerDatabaseOptions, 'worker'>): Promise<void> {
  const maintenance = await connectToAny(options, ['postgres', 'template1']);
  try {
    const prefix = workerDatabaseName({ ...options, worker: '' });
    for (const name of await workerDatabases(maintenance, options.base)) {
      if (name.startsWith(prefix)) await maintenance.query(`drop database if exists ${quoteIdent(name)} with (force)`);
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
  const mine = workerDatabaseName({ ...options, worker: '' });
  for (const name of await workerDatabases(maintenance, options.base)) {
    if (inUse.has(name) || name.startsWith(mine)) continue;
    // Somebody may connect in between: then it is in use after all.
    await maintenance.query(`drop database if exists ${quoteIdent(name)}`).catch(() => {});
  }
}

/** Told by our comment, not by the name alone: nobody else's database is ever dropped. */
async function workerDatabases(maintenance: OwnConnection, base: string): Promise<string[]> {
  const { rows } = await maintenance.query<{ datname: string }>(
    `select datname from pg_database where shobj_description(oid, 'pg_database') = $1`,
    [`mocha-rewind worker of ${base}`],
  );
  return rows.map((row) => row.datname);
}

/** PostgreSQL itself waits for others to leave, 5 s each time (`CountOtherDBBackends` in src/backend/storage/ipc/procarray.c). */
const PATIENCE_MS = 5_000;

async function clone(maintenance: OwnConnection, base: string, name: string): Promise<void> {
  const started = realTimers.now();
  for (;;) {
    try {
      await maintenance.query(`create database ${quoteIdent(name)} template ${quoteIdent(base)}`);
      return;
    } catch (cause) {
      const busy = (cause as { code?: unknown }).code === '55006';
      if (busy && realTimers.now() - started < PATIENCE_MS) {
        await sleep(100);
        continue;
      }
      throw new RewindError('REWIND_CONNECTION', {
        problem: `The database of a --parallel worker could not be cloned from "${base}": ${messageOf(cause)}.${busy ? await sessions(maintenance, base) : ''}`,
        remedy: busy
          ? `Nobody may be connected to "${base}" when workers start: a mochaGlobalSetup that uses it has to close its connections (knex.destroy()). End those sessions, or run without --parallel.`
          : 'The role needs the right to create databases (ALTER ROLE … CREATEDB). Or run without --parallel.',
        cause,
      });
    }
  }
}

async function sessions(maintenance: OwnConnection, base: string): Promise<string> {
  const { rows } = await maintenance.query<{ who: string }>(
    `select format('pid %s (%s, %s)', pid, usename, coalesce(nullif(application_name, ''), 'no application name')) as who
       from pg_stat_activity where datname = $1`,
    [base],
  );
  return ` Connected: ${rows.map((row) => row.who).join(', ')}.`;
}

async function connectToAny(
  options: Pick<WorkerDatabaseOptions, 'connect' | 'base'>,
  names: readonly string[],
): Promise<OwnConnection> {
  let cause: unknown;
  for (const name of names.filter((n) => n !== options.base)) {
    try {
      return await options.connect(name);
    } catch (error) {
      cause = error;
    }
  }
  throw new RewindError('REWIND_CONNECTION', {
    problem: `To give each --parallel worker its database, a connection to one of ${names.join(', ')} is needed: ${messageOf(cause)}`,
    remedy: 'Let the role connect to one of them, or run without --parallel.',
    cause,
  });
}
