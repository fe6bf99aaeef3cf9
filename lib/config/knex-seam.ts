/**
 * Seam: what Knex instances and pg pools look like from outside. Read on knex 2.5.1, 3.0.1, 3.1.0 and 3.3.0 (a function
 * with a `client`; `lib/dialects/*`: `dialect`, `driverName`) and pg 8.11.3 to 8.23.1 (pg-pool: `totalCount`). Canary:
 * test/config/instances.test.ts.
 */
import type { Knex } from 'knex';
import type { Pool } from 'pg';

/** Not `instanceof`: the app's knex or pg may be another copy than ours. */
export function isKnex(value: unknown): value is Knex {
  return typeof value === 'function' && typeof clientOf(value)?.acquireConnection === 'function';
}

export function isPool(value: unknown): value is Pool {
  if (typeof value !== 'object' || value === null) return false;
  const pool = value as Partial<Record<'connect' | 'query' | 'totalCount', unknown>>;
  return typeof pool.connect === 'function' && typeof pool.query === 'function' && typeof pool.totalCount === 'number';
}

/** Undefined for a PostgreSQL instance; otherwise what it is instead, to be read after "is". */
export function foreignKind(knex: Knex): string | undefined {
  if (knex.isTransaction) return 'a transaction, not the instance it was started on';
  const { dialect = '', driverName = '' } = clientOf(knex) ?? {};
  if (dialect === 'postgresql' && driverName === 'pg') return undefined;
  if (driverName === 'pgnative')
    return 'an instance for pg-native, whose connections we can\'t go through (use client "pg")';
  if (driverName === 'cockroachdb') return 'an instance for CockroachDB, not PostgreSQL';
  if (dialect === 'redshift') return 'an instance for Redshift, not PostgreSQL';
  return dialect ? `an instance for ${dialect}, not PostgreSQL` : 'an instance whose client has no dialect';
}

/** Where `knex migrate` and `knex seed` look, relative to the working directory. */
export function setUpFoldersOf(knex: Knex): { folders: readonly string[]; hasOwnSource: boolean } {
  const { migrations, seeds } = clientOf(knex)?.config ?? {};
  return {
    folders: [migrations?.directory ?? './migrations', seeds?.directory ?? './seeds'].flat(),
    hasOwnSource: Boolean(migrations?.migrationSource ?? seeds?.seedSource),
  };
}

/** What somebody probably gave in place of something else, to be read after "not"; undefined: no idea. */
export function wellKnown(value: unknown): string | undefined {
  if (typeof value === 'function' && 'Client' in value && 'QueryBuilder' in value) return 'the knex package itself';
  if (isKnex(value)) return 'a Knex instance: those go into `knex`';
  if (typeof value !== 'object' || value === null) return undefined;
  if ('client' in value && !isKnex(value.client)) return "Knex's configuration, not the instance made from it";
  if (isPool(value)) return 'a pg.Pool: those go into `pools`';
  if ('knex' in value && isKnex(value.knex)) return 'something built on Knex: give its `.knex`';
  return undefined;
}

interface KnexClient {
  readonly config?: Pick<Knex.Config, 'migrations' | 'seeds'>;
  readonly acquireConnection?: unknown;
  readonly dialect?: string;
  readonly driverName?: string;
}

function clientOf(knex: object): KnexClient | undefined {
  return (knex as { client?: KnexClient }).client;
}
