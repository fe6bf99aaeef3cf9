// The public API, nothing else. Importing it has no side effect.
import { type RewindConfig, validateConfig } from './config';
import { type RootHookPlugin, pluginFor } from './plugin';

export { defineConfig } from './config';
export type { InstanceInfo, KnexInstances, RewindConfig, Rule } from './config';
export type { DatabaseInfo } from './database';
export { RewindError, type RewindErrorCode } from './errors';
export type { RestoreFacts, RunFacts, TestFacts } from './facts';
export type { Mode, Phase } from './modes';
export { countQueries, detached, expectQueries } from './sandbox';
export { dirty, nodb, rollback, schema, truncate, unmanaged } from './tagged';
export type { Tagged, TaggedSuite, TaggedTest } from './tagged';
export type { RootHookPlugin } from './plugin';
export { unique } from './unique';

/**
 * The plugin for people who `--require` a set-up file of their own instead of `mocha-rewind/register`:
 * `module.exports = rewind({ knex })`. Takes what the config file takes, or a function that gives it, which is called
 * when `DATABASE_URL` is what it is going to be; no config file is looked for.
 */
export function rewind(config: RewindConfig | (() => RewindConfig | Promise<RewindConfig>) = {}): RootHookPlugin {
  return pluginFor('rewind()', async () => {
    const given = typeof config === 'function' ? await config() : config;
    return { config: validateConfig(given, 'rewind()'), root: process.cwd() };
  });
}
