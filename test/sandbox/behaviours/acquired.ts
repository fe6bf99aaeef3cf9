import type { Knex } from 'knex';
import type { Behaviour, Env } from '../arena';

/** A client of pg's, as a pool hands it out. */
export interface Connection {
  query<Row = Record<string, unknown>>(sql: string, values?: unknown[]): Promise<{ rows: Row[] }>;
  query<T extends object>(submittable: T): T;
}

/** Runs with a connection of its own from Knex's pool. */
export async function acquired<T>(knex: Knex, run: (c: Connection) => Promise<T>): Promise<T> {
  const c = (await knex.client.acquireConnection()) as Connection;
  try {
    return await run(c);
  } finally {
    await knex.client.releaseConnection(c);
  }
}

/** Runs with two connections of Knex's pool. */
export const two =
  (run: (a: Connection, b: Connection, env: Env) => Promise<unknown>): Behaviour['run'] =>
  ({ knex, ...env }) =>
    acquired(knex, (a) => acquired(knex, (b) => run(a, b, { knex, ...env })));
