import type { Query } from '../sql';

/** Whether the app has any table, or something to be read as one. */
export async function hasTables(query: Query): Promise<boolean> {
  const { rows } = await query<{ found: boolean }>(
    `select exists (
       select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
       where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname not in ('rewind', 'information_schema') and n.nspname !~ '^pg_'
     ) as found`,
  );
  return rows[0]?.found ?? true;
}
