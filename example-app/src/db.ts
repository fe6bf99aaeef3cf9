import path from 'node:path';
import knex from 'knex';

const root = path.join(__dirname, '..');

export const databaseUrl = process.env.DATABASE_URL ?? 'postgresql://localhost/shop';

/** The app's one Knex instance. Nothing in it, or anywhere else in `src`, knows that there are tests. */
export const db = knex({
  client: 'pg',
  connection: databaseUrl,
  pool: { min: 0, max: 10 },
  migrations: { directory: path.join(root, 'migrations'), extension: 'ts' },
  seeds: { directory: path.join(root, 'seeds') },
});
