// What `mocha --require mocha-rewind/register` loads.
import { loadConfig } from './config';
import { createPlugin } from './plugin';

/** Awaited by Mocha before it loads the first spec file; also called in the main process of `--parallel`. */
export const mochaHooks = async (): Promise<Mocha.RootHookObject> =>
  (await createPlugin(await loadConfig())).mochaHooks;
