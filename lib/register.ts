// What `mocha --require mocha-rewind/register` loads.
import { loadConfig } from './config';
import { announceRun, createWorkerDatabase, dropDatabasesOfWorkers, pointWorkerAtOwnDatabase } from './database';
import { createPlugin } from './plugin';

announceRun(process.env);
pointWorkerAtOwnDatabase(process.env);

/** Awaited by Mocha before it loads the first spec file; also called in the main process of `--parallel`. */
export const mochaHooks = async (): Promise<Mocha.RootHookObject> => {
  await createWorkerDatabase(process.env);
  return (await createPlugin(await loadConfig())).mochaHooks;
};

/** Runs in the main process only. */
export const mochaGlobalTeardown = (): Promise<void> => dropDatabasesOfWorkers(process.env);
