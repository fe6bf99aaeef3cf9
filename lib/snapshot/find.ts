import { RewindError } from '../errors';

type Run = <Row>(sql: string, values?: readonly unknown[]) => Promise<Row[]>;

/** Our role, and the database, as messages name them. */
export const WHO = `quote_ident(current_user) as role, quote_ident(current_database()) as database`;

const SCHEMA = `
  select ${WHO}, nspowner::regrole::text as owner, pg_has_role(nspowner, 'USAGE') as "isOurs",
    exists (select from pg_catalog.pg_class c where c.relnamespace = n.oid and c.relname = 'state') as "hasState"
  from pg_catalog.pg_namespace n where nspname = 'rewind' and obj_description(oid, 'pg_namespace') like 'mocha-rewind%'`;

interface Schema {
  readonly role: string;
  readonly database: string;
  readonly owner: string;
  readonly isOurs: boolean;
  readonly hasState: boolean;
}

/**
 * Whether there is a snapshot.
 *
 * @throws RewindError `REWIND_PRIVILEGE` where it belongs to somebody else: nobody knows how the last run ended.
 */
export async function findSnapshot(run: Run): Promise<boolean> {
  const [found] = await run<Schema>(SCHEMA);
  if (!found || found.isOurs) return found?.hasState ?? false;
  const { role, database, owner } = found;
  throw new RewindError('REWIND_PRIVILEGE', {
    problem: `Schema "rewind" in database ${database}, which an earlier run has left, belongs to ${owner}, and ${role} may not read it.`,
    remedy: `Run the tests as one role; as ${owner}, \`npx mocha-rewind remove\` takes that schema away. Or: GRANT ${owner} TO ${role};`,
  });
}
