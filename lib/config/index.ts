// The contract of the config room: find, load and validate the config.
import type { Knex } from 'knex';
import type { Pool } from 'pg';
import type { DatabaseInfo } from '../database';
import type { Mode } from '../modes';

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
  /** Mode of untagged tests. @default 'rollback' */
  default?: Mode;
  /** More words for a mode: `{ rollback: ['transaction'] }` makes `@transaction` mean rollback too. */
  tags?: Partial<Readonly<Record<Mode, string | readonly string[]>>>;
  rules?: readonly Rule[];
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
