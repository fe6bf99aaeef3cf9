import type { Query } from '../sql';
import type { DatabaseIdentity, DatabaseInfo } from './index';
import { CLUSTER_NAME } from './settings';

// Everything as text: the app may have replaced pg's parsers for numbers (pg-types setTypeParser is process-wide).
const DESCRIBE = `
  select pg_catalog.current_database()::text as name,
         pg_catalog.host(pg_catalog.inet_server_addr()) as address,
         pg_catalog.inet_server_port()::text as port,
         current_user::text as user,
         case when r.rolsuper then 'yes' else 'no' end as superuser,
         pg_catalog.current_setting('server_version_num') as version,
         pg_catalog.pg_database_size(pg_catalog.current_database())::text as size,
         (select pg_catalog.count(*)::text
            from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
           where c.relkind in ('r', 'p')
             and n.nspname not in ('information_schema', 'rewind')
             and n.nspname not like 'pg\\_%') as tables,
         pg_catalog.current_setting('cluster_name') as cluster
    from pg_catalog.pg_roles r
   where r.rolname = current_user`;

type Row = Record<'name' | 'user' | 'superuser' | 'version' | 'size' | 'tables' | 'cluster', string> &
  Record<'address' | 'port', string | null>;

const IDENTIFY = `
  select oid::text as oid,
         datname::text as name,
         pg_catalog.to_char(
           pg_catalog.timezone('UTC', pg_catalog.pg_postmaster_start_time()), 'YYYY-MM-DD HH24:MI:SS.US') as start,
         pg_catalog.concat_ws(':', pg_catalog.host(pg_catalog.inet_server_addr()), pg_catalog.inet_server_port()) as place
    from pg_catalog.pg_database
   where datname = pg_catalog.current_database()`;

/** Asks the live connection which database it is on, whatever address has led there. One round trip, reads only. */
export async function identifyDatabase(query: Query): Promise<DatabaseIdentity> {
  const [row] = (await query<DatabaseIdentity>(IDENTIFY)).rows;
  if (!row) throw new Error('PostgreSQL does not know its own database'); // pg_database has every one: can't happen
  return row;
}

/** Asks the live connection what its database is like. One round trip, reads only. */
export async function describeDatabase(query: Query): Promise<DatabaseInfo> {
  const [row] = (await query<Row>(DESCRIBE)).rows;
  if (!row) throw new Error('PostgreSQL does not know the current role'); // pg_roles has every role: can't happen
  return {
    name: row.name,
    address: row.address ?? undefined,
    port: row.port === null ? undefined : Number(row.port),
    user: row.user,
    superuser: row.superuser === 'yes',
    version: Number(row.version),
    sizeBytes: Number(row.size),
    tables: Number(row.tables),
    embedded: row.cluster === CLUSTER_NAME,
  };
}
