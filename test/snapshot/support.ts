// Databases, roles and connections for the tests of the snapshot, and an independent look at everything a database holds.
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { Client } from 'pg';
import { type Snapshot, type SnapshotOptions, openSnapshot } from '../../lib/snapshot';
import type { OwnConnection, Query } from '../../lib/sql';
import { serverUrl } from '../support/database';

/** `owner`: owns the database, and no more. `granted`: an owner who may set session_replication_role. */
export type Role = 'superuser' | 'owner' | 'granted';

/** Which server, and what our role may do there. */
export interface Setting {
  readonly server: string;
  readonly role: Role;
}

/** The servers to test on: the default one, and those of REWIND_TEST_SERVERS (superusers' URLs, one space between them). */
export function servers(): { name: string; url: () => string }[] {
  const more = process.env.REWIND_TEST_SERVERS?.split(' ').filter(Boolean) ?? [];
  return [
    { name: 'the default server', url: serverUrl },
    ...more.map((url) => ({ name: new URL(url).host, url: () => url })),
  ];
}

/** As in `server_version_num`. */
export async function versionOf(server: string): Promise<number> {
  const client = await open(server);
  const { rows } = await client.query<{ version: number }>(
    `select current_setting('server_version_num')::int as version`,
  );
  await client.end();
  return rows[0]?.version ?? 0;
}

export interface Ground {
  readonly database: string;
  readonly url: string;
  /** A role without rights on schema `rewind`; the database's `appRole` may write its tables. */
  readonly appRole: string;
  /** The app's own connection: an ordinary one, as our role. */
  connect(options?: { role?: string; application?: string }): Promise<Client>;
  /** As the superuser of the server, for looking. */
  readonly observer: Client;
  snapshot(options?: Partial<SnapshotOptions>): Promise<Snapshot>;
  readonly notes: string[];
  /** After the server was down: looking and dropping need new connections. */
  reconnect(): Promise<void>;
  drop(): Promise<void>;
}

export async function ground(setting: Setting, sql: string): Promise<Ground> {
  const id = randomBytes(5).toString('hex');
  const [database, owner, appRole] = [`rw_test_${id}`, `rw_owner_${id}`, `rw_app_${id}`];
  let admin = await open(setting.server);
  await admin.query(`create role ${appRole} login`);
  if (setting.role !== 'superuser') await admin.query(`create role ${owner} login`);
  if (setting.role === 'granted') await admin.query(`grant set on parameter session_replication_role to ${owner}`);
  await admin.query(`create database ${database} ${setting.role !== 'superuser' ? `owner ${owner}` : ''}`);
  const at = (role?: string): string => {
    const url = new URL(setting.server);
    url.pathname = `/${database}`;
    if (role ?? (setting.role !== 'superuser' ? owner : undefined)) url.username = role ?? owner;
    return url.href;
  };
  const superUrl = new URL(setting.server);
  superUrl.pathname = `/${database}`;
  let observer = await open(superUrl.href);
  if (setting.role !== 'superuser') {
    await observer.query(`grant all on schema public to ${owner}`);
    // From 15 on it is the database owner's anyway.
    if ((await versionOf(setting.server)) < 150000) await observer.query(`alter schema public owner to ${owner}`);
  }
  const clients: Client[] = [];
  const snapshots: Snapshot[] = [];
  const notes: string[] = [];
  const connect: Ground['connect'] = async ({ role, application } = {}) => {
    const client = await open(at(role), application);
    clients.push(client);
    return client;
  };
  const setup = await open(at());
  await setup.query(sql.replaceAll('APP_ROLE', appRole));
  await setup.end();
  return {
    database,
    url: at(),
    appRole,
    connect,
    get observer() {
      return observer;
    },
    notes,
    async reconnect() {
      admin = await open(setting.server);
      observer = await open(superUrl.href);
    },
    async snapshot(options = {}) {
      const snapshot = await openSnapshot({
        connect: () => own(at()),
        note: (sentence) => void notes.push(sentence),
        ...options,
      });
      snapshots.push(snapshot);
      return snapshot;
    },
    async drop() {
      for (const snapshot of snapshots) await Promise.race([snapshot.close(), new Promise((r) => setTimeout(r, 500))]);
      for (const client of [...clients, observer]) await client.end().catch(() => {});
      await admin.query(`drop database ${database} with (force)`);
      await admin.query(`drop role ${appRole}`);
      if (setting.role === 'granted')
        await admin.query(`revoke set on parameter session_replication_role from ${owner}`);
      if (setting.role !== 'superuser') await admin.query(`drop role ${owner}`);
      await admin.end();
    },
  };
}

/** A connection for a snapshot; `cut` does to it what the death of our process would. */
export async function own(url: string): Promise<OwnConnection & { cut(): void }> {
  const client = await open(url, 'mocha-rewind');
  return {
    query: ((text: string, values?: unknown[]) => client.query(text, values)) as unknown as Query,
    pid: (client as unknown as { processID: number }).processID,
    isPooled: false,
    end: async () => client.end().catch(() => {}),
    cut: () => (client as unknown as { connection: { stream: Socket } }).connection.stream.destroy(),
  };
}

async function open(url: string, application = 'app'): Promise<Client> {
  const client = new Client({ connectionString: url, application_name: application });
  client.on('error', () => {});
  await client.connect();
  return client;
}

/** Contents of every relation, sequence and large object, by name: what a snapshot has to bring back. */
export async function contents(observer: Client): Promise<Record<string, string>> {
  const out: Record<string, string> = {};
  const { rows } = await observer.query<{ name: string; kind: string }>(
    `select c.oid::regclass::text as name, c.relkind as kind from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'm', 'S') and n.nspname not in ('rewind', 'information_schema') and n.nspname !~ '^pg_'`,
  );
  const parts = rows.map(({ name, kind }) => {
    const what =
      kind === 'S'
        ? `select concat(last_value, ' ', is_called) from ${name}`
        : `select coalesce(string_agg((t.*)::text, E'\\n' order by (t.*)::text collate "C"), '') || count(*) from only ${name} t`;
    return `select ${literal(name)} as name, (${what}) as contents`;
  });
  parts.push(
    `select 'large objects', (select coalesce(string_agg(concat(oid, ' ', encode(lo_get(oid), 'hex')), ',' order by oid), '') from pg_largeobject_metadata)`,
  );
  const found = await observer.query<{ name: string; contents: string }>(parts.join(' union all '));
  for (const row of found.rows) out[row.name] = row.contents;
  return out;
}

/** Names whose contents differ. */
export function differences(a: Record<string, string>, b: Record<string, string>): string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((name) => a[name] !== b[name]);
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
