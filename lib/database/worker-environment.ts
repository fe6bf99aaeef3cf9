import { randomBytes } from 'node:crypto';
import { RewindError } from '../errors';
import { describeDatabase } from './describe';
import type { DatabaseInfo } from './index';
import { assertTestDatabase } from './safety';
import { connectByUrl, databaseOfUrl, urlWithDatabase } from './url-connection';
import { claimWorkerDatabase, dropWorkerDatabases, workerDatabaseName } from './worker-database';

/** Inherited by workers: tells this run's databases from those of any other. */
const RUN = 'REWIND_RUN';
/** In a worker: what DATABASE_URL was before. */
const BASE_URL = 'REWIND_BASE_URL';

/** In the main process, before any worker exists. */
export function announceRun(env: NodeJS.ProcessEnv): void {
  if (env['MOCHA_WORKER_ID'] === undefined) env[RUN] = randomBytes(4).toString('hex');
}

let hasWorkers = false;

/** In the main process, once it is known to run its files in workers. */
export function expectWorkers(): void {
  hasWorkers = true;
}

/**
 * In a worker of `--parallel`, while plugins are being required: from now on `DATABASE_URL` names a database that is
 * this worker's own, so whoever reads it (the app, a raw client in a test, a child process) finds that one.
 * {@link createWorkerDatabase} makes it true. Nothing happens in other processes.
 */
export function pointWorkerAtOwnDatabase(env: NodeJS.ProcessEnv): void {
  const worker = env['MOCHA_WORKER_ID'];
  const run = env[RUN];
  const url = env['DATABASE_URL'];
  if (worker === undefined || run === undefined || !url || env[BASE_URL] !== undefined) return;
  const base = databaseOfUrl(url);
  if (!base) return;
  env[BASE_URL] = url;
  env['DATABASE_URL'] = urlWithDatabase(url, workerDatabaseName({ base, run, worker }));
}

/** In a worker, before spec files are loaded: clones the database that DATABASE_URL already names. */
export async function createWorkerDatabase(env: NodeJS.ProcessEnv): Promise<void> {
  const worker = env['MOCHA_WORKER_ID'];
  const run = env[RUN];
  if (worker === undefined || run === undefined) return;
  const url = env[BASE_URL];
  const base = url && databaseOfUrl(url);
  if (!url || !base) {
    throw new RewindError('REWIND_CONFIG', {
      problem:
        'With --parallel each worker needs a database of its own, and DATABASE_URL does not name the one to clone.',
      remedy:
        'Let your app take its connection from DATABASE_URL, and set it with a database name in it. Or run without --parallel.',
    }).withoutStack();
  }
  const connect = (database: string): ReturnType<typeof connectByUrl> => connectByUrl(url, database);
  const look = await connect(base);
  try {
    await assertTestDatabase(await describeDatabase(look.query));
  } finally {
    await look.end();
  }
  await claimWorkerDatabase({ connect, base, run, worker });
}

/**
 * Throws where a worker's app uses the database that all workers were to clone, instead of its own clone: the workers
 * would wait for one another's locks, and see what the others commit.
 */
export function assertNotShared(info: Pick<DatabaseInfo, 'name'>, env: NodeJS.ProcessEnv): void {
  const base = env['MOCHA_WORKER_ID'] === undefined ? undefined : env[BASE_URL];
  if (!base || databaseOfUrl(base) !== info.name) return;
  throw new RewindError('REWIND_CONFIG', {
    problem: `This worker of --parallel has a database of its own, named by DATABASE_URL, but the app uses "${info.name}", as all other workers do.`,
    remedy: 'Let your app take its connection from DATABASE_URL. Or run without --parallel.',
  });
}

/** In the main process, when all workers are done. A server that is already gone has taken the databases with it. */
export async function dropDatabasesOfWorkers(env: NodeJS.ProcessEnv): Promise<void> {
  const url = env['DATABASE_URL'];
  const run = env[RUN];
  const base = url && databaseOfUrl(url);
  if (!hasWorkers || !url || !run || !base) return;
  await dropWorkerDatabases({ connect: (database) => connectByUrl(url, database), base, run }).catch(() => {});
}
