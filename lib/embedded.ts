// What `mocha --require mocha-rewind/embedded` loads, before `mocha-rewind/register`: afterwards DATABASE_URL names a
// server. Apps read it while they are imported, so it is set here and now, not in a hook.
import { namedServer, startServer } from './database';
import { RewindError } from './errors';

/** Where DATABASE_URL is set, by the user or by the process that forked this one, there is nothing to do. */
function provideServer(env: NodeJS.ProcessEnv): void {
  if (env.DATABASE_URL) return;
  const named = namedServer(env);
  if (named) Object.assign(env, named.env);
  env.DATABASE_URL = named?.url ?? startServer().url;
}

let failure: Error | undefined;
try {
  provideServer(process.env);
} catch (error) {
  // Thrown by the factory below: Mocha 11 and 12 load a module that throws a second time, by import().
  failure = error instanceof RewindError ? error.withoutStack() : (error as Error);
}

export const mochaHooks = (): Mocha.RootHookObject => {
  if (failure) throw failure;
  return {};
};
