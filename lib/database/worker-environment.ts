import { randomBytes } from 'node:crypto';
import { RewindError } from '../errors';
import type { DatabaseInfo } from './index';
import { assertTestDatabase } from './safety';
import { connectByUrl, databaseOfUrl, urlWithDatabase } from './url-connection';
import type { WorkerDatabases } from './worker-database';

/** Inherited by workers: tells this run's databases from those of any other. */
const RUN = 'REWIND_RUN';
/** In a worker: what DATABASE_URL was before. */
const BASE_URL = 'REWIND_BASE_URL';

function databases(): typeof import('./worker-database') {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- late: only runs of --parallel have any
  return require('./worker-database') as typeof import('./worker-database');
}

/** In the main process, before any worker exists. */
export function announceRun(env: NodeJS.ProcessEnv): void {
  if (env['MOCHA_WORKER_ID'] === undefined) env[RUN] = randomBytes(4).toString('hex');
}

let ofWorkers: WorkerDatabases | undefined;

/** In the main process, when that many workers are about to start. Whatever is wrong, they say. */
export function makeDatabasesOfWorkers(env: NodeJS.ProcessEnv, workers: number): void {
  const url = env['DATABASE_URL'];
  const run = env[RUN];
  const base = url && databaseOfUrl(url);
  if (!url || !run || !base) return;
  void ofWorkers?.letGo(); // --watch
  const connect = (database: string): ReturnType<typeof connectByUrl> => connectByUrl(url, database);
  ofWorkers = new (databases().WorkerDatabases)({ connect, base, run, inspect: assertClonable }, workers);
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
  env['DATABASE_URL'] = urlWithDatabase(url, databases().workerDatabaseName({ base, run, worker }));
}

/** In a worker, before spec files are loaded: lets the database be there that DATABASE_URL already names. */
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
  await databases().claimWorkerDatabase({ connect, base, run, worker, inspect: assertClonable });
}

async function assertClonable(info: DatabaseInfo): Promise<void> {
  try {
    await assertTestDatabase(info);
  } catch (refusal) {
    if (!(refusal instanceof RewindError)) throw refusal;
    throw new RewindError(refusal.code, {
      problem: refusal.problem,
      remedy: `Point DATABASE_URL at a database with "test" as a word in its name (such as "${info.name}_test"). With --parallel the name has to do: workers clone the database before the config can be asked for allowDatabase.`,
    }).withoutStack();
  }
}

/**
 * Throws where a worker's app uses a database that other workers use, too: they would wait for one another's locks, and
 * see what the others commit. Beside its clone, a database whose name has the worker's number in it is its own, unless it
 * is the one that all are cloned from.
 */
export function assertNotShared({ name }: Pick<DatabaseInfo, 'name'>, env: NodeJS.ProcessEnv): void {
  const worker = env['MOCHA_WORKER_ID'];
  const url = env[BASE_URL];
  const base = url && databaseOfUrl(url);
  const run = env[RUN];
  if (worker === undefined || !base || !run) return;
  if (name === databases().workerDatabaseName({ base, run, worker }) || (name !== base && isNumbered(name, worker)))
    return;
  throw new RewindError('REWIND_CONFIG', {
    problem: `This worker of --parallel has a database of its own, named by DATABASE_URL, but the app uses "${name}", as all other workers do.`,
    remedy:
      name === base
        ? 'Let your app take its connection from DATABASE_URL, and be loaded after that has changed: a set-up file gives `rewind()` a function that loads it. Or run without --parallel.'
        : `Give each worker one of its own with MOCHA_WORKER_ID in its name, such as "${name}_${worker}"; or leave its instance out (\`knex\`, \`exclude\`), if no test writes to it. Or run without --parallel.`,
  });
}

/** `audit_test_1`, `audit_test_w1` and `test1` are worker 1's; `audit_test_7f1a0` is nobody's. */
function isNumbered(name: string, worker: string): boolean {
  return name.split(/[^\p{L}\d]+/u).some((word) => word.replace(/^\D+/, '') === worker);
}

/**
 * Lets DATABASE_URL name the clone that stands for `base`, for raw clients and child processes; `undefined`: `base` again.
 * Where it names another database, it goes on doing so.
 */
export function leadUrl(env: NodeJS.ProcessEnv, base: string, database: string | undefined): void {
  const url = env['DATABASE_URL'];
  if (led && led.url !== url) led = undefined; // the app has set another one
  const original = led?.original ?? url;
  if (!original || databaseOfUrl(original) !== base) return;
  led = database === undefined ? undefined : { original, url: urlWithDatabase(original, database) };
  env['DATABASE_URL'] = led?.url ?? original;
}

/** What DATABASE_URL was before it named a clone, and what it is. */
let led: { readonly original: string; readonly url: string } | undefined;

/** In the main process, when all workers are done. A server that is already gone has taken the databases with it. */
export async function dropDatabasesOfWorkers(): Promise<void> {
  await ofWorkers?.drop().catch(() => {});
}
