import type { Knex } from 'knex';
import type { Client, Pool } from 'pg';
import { type LoadedConfig, loadConfig, resolveInstances, resolvePools } from '../config';
import { type DatabaseInfo, assertTestDatabase, describeDatabase, identifyDatabase, namedServer } from '../database';
import { RewindError, messageOf } from '../errors';
import { requirePeer } from '../peers';
import { asOwn, assertOwnSession } from '../pooler';
import type { OwnConnection } from '../sql';
import { preload } from './preload';

/** A database a command works on: known to be one for tests. */
export interface TargetDatabase {
  /** `database "shop_test"`, with the instance's name where there are several. */
  readonly label: string;
  readonly info: DatabaseInfo;
  readonly connect: () => Promise<OwnConnection>;
}

/**
 * The databases of the config's instances and pools, else the one that DATABASE_URL or `PG*` variables name. Each is
 * looked at before anything is done to it, and refused if it is not one for tests.
 */
export async function targetDatabases(requireFiles: readonly string[]): Promise<TargetDatabase[]> {
  await preload(process.cwd(), requireFiles);
  const loaded = await loadConfig();
  const found = new Map<string, TargetDatabase>();
  for (const connect of await connectors(loaded)) {
    const connection = await opened(connect);
    try {
      const info = await describeDatabase(connection.query);
      await assertOwnSession(connection, () => opened(connect), `database "${info.name}"`);
      await assertTestDatabase(info, loaded.config.allowDatabase);
      const { oid, start } = await identifyDatabase(connection.query); // two names of its server may lead to one database
      const key = `${oid} ${start}`;
      if (!found.has(key)) found.set(key, { label: `database "${info.name}"`, info, connect: () => opened(connect) });
    } finally {
      await connection.end();
    }
  }
  return [...found.values()];
}

type Connect = () => Promise<OwnConnection>;

async function connectors({ config }: LoadedConfig): Promise<Connect[]> {
  const instances = Object.values((await resolveInstances(config)) ?? {});
  const pools = await resolvePools(config);
  const ofApp = [...instances.map(throughKnex), ...pools.map(throughPool)];
  if (ofApp.length > 0) return ofApp;
  const named = process.env['DATABASE_URL'] ? undefined : namedServer(process.env);
  const url = named ? named.url : process.env['DATABASE_URL'];
  if (!url) {
    throw new RewindError('REWIND_CONFIG', {
      problem: 'Which database? Neither `knex` in a rewind.config.* nor DATABASE_URL names one.',
      remedy:
        'Run it in the package whose config has `knex`, or set DATABASE_URL. (An embedded server is gone when its run is.)',
    });
  }
  Object.assign(process.env, named?.env);
  return [throughUrl(url)];
}

/** Through the instance's own pool, so that what the app does to a new connection is done to this one. */
function throughKnex(knex: Knex): Connect {
  const client = knex.client as { acquireConnection(): Promise<Client>; releaseConnection(c: Client): Promise<void> };
  return async () => {
    const connection = await client.acquireConnection();
    return own(connection, () => client.releaseConnection(connection));
  };
}

function throughPool(pool: Pool): Connect {
  return async () => {
    const connection = await pool.connect();
    return own(connection, async () => connection.release());
  };
}

function throughUrl(connectionString: string): Connect {
  return async () => {
    const client = new (requirePeer<typeof import('pg')>('pg').Client)({
      connectionString,
      application_name: 'mocha-rewind',
    });
    await client.connect();
    return own(client, () => client.end());
  };
}

async function own(client: Pick<Client, 'query' | 'on'>, end: () => Promise<void>): Promise<OwnConnection> {
  client.on('error', () => {}); // a loss shows in the next query
  const query: OwnConnection['query'] = async (sql, values) => client.query(sql, values && [...values]) as never;
  return asOwn(query, client as unknown as { processID: number }, end);
}

async function opened(connect: Connect): Promise<OwnConnection> {
  try {
    return await connect();
  } catch (cause) {
    if (cause instanceof RewindError) throw cause;
    throw new RewindError('REWIND_CONNECTION', {
      problem: `No connection to the database: ${messageOf(cause)}`,
      remedy: 'Is the server running, and are DATABASE_URL or the settings of the Knex instance right for tests?',
      cause,
    });
  }
}
