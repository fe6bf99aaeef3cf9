// The public API, nothing else. Importing it has no side effect.
import { type RewindConfig, validateConfig } from './config';
import { createPlugin } from './plugin';

export { defineConfig } from './config';
export type { InstanceInfo, KnexInstances, RewindConfig, Rule } from './config';
export type { DatabaseInfo } from './database';
export { RewindError, type RewindErrorCode } from './errors';
export type { RestoreFacts, RunFacts, TestFacts } from './facts';
export type { Mode, Phase } from './modes';
export { countQueries, expectQueries } from './sandbox';
export { dirty, nodb, rollback, truncate, unmanaged } from './tagged';
export type { Tagged, TaggedSuite, TaggedTest } from './tagged';
export { unique } from './unique';

/**
 * The plugin for people who `--require` a set-up file of their own instead of `mocha-rewind/register`:
 * `module.exports = rewind({ knex })`. Takes what the config file takes; no config file is looked for.
 */
export function rewind(config: RewindConfig = {}): { mochaHooks: () => Promise<Mocha.RootHookObject> } {
  return {
    mochaHooks: async () => {
      const loaded = { config: validateConfig(config, 'rewind()'), root: process.cwd() };
      return (await createPlugin(loaded)).mochaHooks;
    },
  };
}
