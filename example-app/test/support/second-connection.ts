import { Client } from 'pg';
import { databaseUrl } from '../../src/db';

/** A connection that knows nothing of the app's: it sees what another process would see. */
export async function onSecondConnection<T>(use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

/** How many rows of a table are committed. */
export function committedRows(table: string): Promise<number> {
  return onSecondConnection(async (client) => {
    const { rows } = await client.query<{ count: number }>(
      `select count(*)::int from ${client.escapeIdentifier(table)}`,
    );
    return rows[0]?.count ?? 0;
  });
}
