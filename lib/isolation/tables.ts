import { hasTables } from '../snapshot';
import type { ManagedDatabase } from './managed-database';

/** The first of them where nobody has made a table, not even in the sandbox. */
export async function withoutTables(databases: readonly ManagedDatabase[]): Promise<ManagedDatabase | undefined> {
  for (const database of databases) {
    if (database.sandbox.changesSchema) continue;
    const connection = await database.pools.connect();
    try {
      if (!(await hasTables(connection.query))) return database;
    } finally {
      await connection.end();
    }
  }
  return undefined;
}
