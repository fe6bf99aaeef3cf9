// Databases for tests, each its own, on the server that DATABASE_URL names (the embedded one, unless it was set).
import { randomBytes } from 'node:crypto';
import { Client } from 'pg';

export interface TestDatabase {
  readonly name: string;
  readonly url: string;
  /** One statement on a fresh connection that nobody manages: what another process would see. */
  query<Row = Record<string, unknown>>(sql: string, values?: unknown[]): Promise<Row[]>;
  drop(): Promise<void>;
}

export function serverUrl(): string {
  const url = process.env.DATABASE_URL;
  if (!url)
    throw new Error('DATABASE_URL is not set: run through mocha, whose .mocharc.json starts the embedded server');
  return url;
}

export function urlOf(database: string, server = serverUrl()): string {
  const url = new URL(server);
  url.pathname = `/${database}`;
  return url.href;
}

/** Where the programs of the server are that {@link serverUrl} leads to. */
export async function serverBinaries(): Promise<string> {
  const [found] = await on(serverUrl(), async (c) => {
    const { rows } = await c.query<{ bin: string }>(`select setting as bin from pg_config where name = 'BINDIR'`);
    return rows;
  });
  if (!found) throw new Error('the server does not say where its binaries are');
  return found.bin;
}

/** A new database, with `test` in its name unless another one is given. `sql` is run in it. */
export async function createDatabase(
  sql = '',
  { server = serverUrl(), name = `rw_test_${randomBytes(5).toString('hex')}` } = {},
): Promise<TestDatabase> {
  await administer(`create database ${name}`, server);
  const url = urlOf(name, server);
  if (sql) await on(url, (c) => c.query(sql));
  return {
    name,
    url,
    query: async <Row>(text: string, values?: unknown[]) =>
      on(url, async (c) => (await c.query(text, values)).rows as Row[]),
    drop: async () => {
      await administer(`drop database if exists ${name} with (force)`, server);
    },
  };
}

/** After the databases in which they own anything, or have been granted anything. */
export async function dropRoles(names: readonly string[], server = serverUrl()): Promise<void> {
  if (names.length > 0) await on(server, (c) => c.query(`drop role if exists ${names.join()}`));
}

/** What makes and drops the databases of this process. A connection costs the server more than what is asked on it. */
let admin: Client | undefined;
let before: Promise<unknown> = Promise.resolve();

function administer(sql: string, server: string): Promise<unknown> {
  if (server !== serverUrl()) return on(server, (c) => c.query(sql));
  const ask = async (): Promise<unknown> => {
    if (!admin) {
      // Not to the database that the server's URL names: while somebody is in it, nobody can make a copy of it.
      const client = new Client({ connectionString: urlOf('postgres', server) });
      client.on('error', () => (admin = undefined));
      await client.connect();
      (client as unknown as { unref(): void }).unref(); // not in its types: the process may end
      admin = client;
    }
    return admin.query(sql);
  };
  return (before = before.then(ask, ask));
}

async function on<T>(url: string, use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}
