// Databases of ours whose run is over, or was killed.
import { type OwnConnection, quoteIdent } from '../sql';
import { leaseHolders } from './lease';

/** What our comment says of the first clone of a run, for people: the others have names that end as its own does. */
export const CLONE_MARK = 'mocha-rewind clones of ';

/** `shop_test_rewind_1a2b3c4d_0`: the run, or its process, that holds it, and a number. */
const OURS = /_rewind_([0-9a-f]{8})_(\d+)$/;

type Connect = (database: string) => Promise<OwnConnection>;

/** Whether it is a name that {@link relatedName} makes for this holder, however much it had to cut off in front. */
export function isNamedFor(holder: string, database: string): boolean {
  return OURS.exec(database)?.[1] === holder;
}

/**
 * Drops clones that nobody holds, whatever they were made from: also clones of a killed worker's database, whose name no
 * other run will have. A run that was killed while it made one left it without a comment: that one is told by its name,
 * by who owns it, and by there being no lease, since every run takes its lease before it makes a database. What anybody
 * has put a comment of his own on is left alone.
 */
export async function sweepClones(maintenance: OwnConnection, connect: Connect): Promise<void> {
  // First the databases: whoever made one of them has had a lease since before.
  const { rows } = await maintenance.query<{ name: string }>(
    `select datname as name from pg_database
      where datname ~ $1 and pg_has_role(datdba, 'USAGE')
        and coalesce(starts_with(shobj_description(oid, 'pg_database'), $2), true)`,
    [OURS.source.replaceAll('\\d', '[0-9]'), CLONE_MARK],
  );
  if (rows.length === 0) return;
  const alive = await leaseHolders(maintenance);
  for (const { name } of rows) {
    const [, holder = '', number = ''] = OURS.exec(name) ?? [];
    if (alive.has(holder) || alive.has(`${holder}_${number}`)) continue;
    // What can't be dropped is left to the next run.
    await dropDatabase(maintenance, connect, name).catch(() => {});
  }
}

/** Ends whoever uses it, prepared transactions included: those can be ended from inside only. */
export async function dropDatabase(maintenance: OwnConnection, connect: Connect, name: string): Promise<void> {
  const drop = `drop database if exists ${quoteIdent(name)} with (force)`;
  try {
    await maintenance.query(drop);
  } catch (error) {
    if (!(await rollBackPrepared(maintenance, connect, name))) throw error;
    await maintenance.query(drop);
  }
}

async function rollBackPrepared(maintenance: OwnConnection, connect: Connect, database: string): Promise<boolean> {
  const { rows } = await maintenance.query<{ statement: string }>(
    `select format('rollback prepared %L', gid) as statement from pg_prepared_xacts where database = $1`,
    [database],
  );
  if (rows.length === 0) return false;
  const connection = await connect(database);
  try {
    for (const { statement } of rows) await connection.query(statement);
  } finally {
    await connection.end();
  }
  return true;
}
