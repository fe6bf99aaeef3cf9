// The contract of the config room: find, load and validate the config.
import path from 'node:path';
import type { Knex } from 'knex';
import type { Pool } from 'pg';
import type { DatabaseInfo } from '../database';
import type { Mode } from '../modes';
import { findConfig, packageRoot } from './find';
import { loadModule } from './load-module';

export { FILE_NAMES, packageRoot } from './find';
export { resolveInstances, resolvePools } from './instances';
export { setUp } from './set-up';
export { hintOnTables } from './unmigrated';
export { type Tagging, emptyRules, taggingOf } from './tagging';

type MaybePromise<T> = T | Promise<T>;

/** One Knex instance, or several by name. */
export type KnexInstances = Knex | Readonly<Record<string, Knex>>;

/** Sets the mode of tests nobody wants to edit yet. The first rule that matches wins; a tag in a title beats rules. */
export interface Rule {
  /** Glob of spec files, relative to the package's folder: `test/legacy/**`. */
  files?: string;
  /** Matched against the full title: a RegExp, or text it has to contain. */
  title?: RegExp | string;
  mode: Mode;
}

/** All of it optional. */
export interface RewindConfig {
  /**
   * The instances to manage, and no others. Without it every PostgreSQL Knex instance of the process is managed from
   * its first connection on.
   */
  knex?: KnexInstances | Promise<KnexInstances> | (() => MaybePromise<KnexInstances>);
  /** `pg.Pool`s that share the test's transaction. */
  pools?: Pool | readonly Pool[] | (() => MaybePromise<Pool | readonly Pool[]>);
  /** Manage only instances for which this says yes. `info` never holds a password. */
  include?: (info: InstanceInfo) => boolean;
  /** Leave alone the instances for which this says yes. */
  exclude?: (info: InstanceInfo) => boolean;
  /** Brings the schema up to date, once, before the first test. Gets the (first) instance, and all of them by name. */
  migrate?: (knex: Knex, all: Readonly<Record<string, Knex>>) => unknown;
  /** Writes the session fixtures, once, before the first test, committed. Has to be repeatable, as with `knex seed:run`. */
  seed?: (knex: Knex, all: Readonly<Record<string, Knex>>) => unknown;
  /**
   * Keeps the seeded baseline from run to run: `migrate` and `seed` are skipped while neither the database nor what it was
   * made from has changed. `true` watches the config file and Knex's migration and seed folders; globs name more files.
   */
  reuse?: boolean | string | readonly string[];
  /** Mode of untagged tests. @default 'rollback' */
  default?: Mode;
  /** More words for a mode: `{ rollback: ['transaction'] }` makes `@transaction` mean rollback too. */
  tags?: Partial<Readonly<Record<Mode, string | readonly string[]>>>;
  rules?: readonly Rule[];
  /**
   * Whether a describe with tests of several phases is divided. `false`: it runs whole, in the latest of them; for a single
   * one, put `@whole` into its title. @default true
   */
  split?: boolean;
  /**
   * What becomes of a promise that is rejected and never handled, which Mocha swallows: `fail` charges it to the test it
   * comes from. @default 'fail'
   */
  rejections?: 'fail' | 'ignore';
  /**
   * Rows that reach the database from outside of the sandbox (another process, a connection that is not managed) fail the
   * run, wherever it has a snapshot. `always`: rollback tests alone are reason enough to take one. `never`: another process
   * is expected to write.
   */
  leaks?: 'always' | 'never';
  /**
   * How long the work around a test (a restore, a clone, a snapshot) may stand still before the run is given up, in
   * milliseconds. It is not cut short while the server works on it; `migrate` and `seed` take as long as they take.
   * @default 30_000
   */
  hookTimeout?: number;
  /**
   * How long the end of a test waits for queries, transactions and requests that it has begun and not awaited, in
   * milliseconds. What they write still belongs to the test. @default 2000
   */
  drain?: number;
  /**
   * What it means that a test ends before all that it has begun is over: a note at the end of the run, or the failure of
   * the test; and of the run, for a query that comes after the test has ended. @default 'note'
   */
  unawaited?: 'note' | 'fail';
  /** Says yes to a database that does not look like one for tests. */
  allowDatabase?: (info: DatabaseInfo) => MaybePromise<boolean>;
}

/** How `include` and `exclude` see a Knex instance. */
export interface InstanceInfo {
  readonly host: string | undefined;
  readonly port: number | undefined;
  readonly database: string | undefined;
  readonly user: string | undefined;
}

export interface LoadedConfig {
  readonly config: RewindConfig;
  /** The package's folder, which rules' globs are relative to. */
  readonly root: string;
  /** The file it came from; undefined where there is none. */
  readonly file?: string;
}

export interface LoadOptions {
  readonly cwd?: string;
  /** `REWIND_CONFIG` is read from here. */
  readonly env?: NodeJS.ProcessEnv;
}

/**
 * Changes with all that a seeded baseline is made from. Undefined: the config does not want one used again.
 */
export function fingerprintOf(loaded: LoadedConfig, instances: Readonly<Record<string, Knex>>): string | undefined {
  if (!loaded.config.reuse) return undefined;
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- late: few reuse one, and picomatch takes 4 ms to load
  return (require('./fingerprint') as typeof import('./fingerprint')).fingerprintOf(loaded, instances);
}

/** Gives a config its type. Does nothing else. */
export function defineConfig(config: RewindConfig): RewindConfig {
  return config;
}

/**
 * Finds, loads and validates `rewind.config.*` beside the nearest package.json, or the file `REWIND_CONFIG` names.
 * Without one, the config is empty. Every mistake is a `REWIND_CONFIG` error that names the file and the key.
 */
export async function loadConfig({ cwd = process.cwd(), env = process.env }: LoadOptions = {}): Promise<LoadedConfig> {
  const root = packageRoot(cwd);
  const nameOf = (file: string): string => path.relative(cwd, file);
  const found = await findConfig({ cwd, root, named: env['REWIND_CONFIG'] }, (file, content) =>
    loadModule(file, content, nameOf(file)),
  );
  if (!found) return { config: {}, root };
  return { config: validateConfig(found.exported, nameOf(found.file)), root, file: found.file };
}

/**
 * The config with tags as arrays of bare words and without keys that are `undefined`; throws where it isn't one.
 * `where` is what messages call it.
 */
export function validateConfig(value: unknown, where: string): RewindConfig {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- late: a schema takes time to load, and a config is optional
  return (require('./validate') as typeof import('./validate')).validate(value, where);
}
