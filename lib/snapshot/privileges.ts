// What our role may do is asked before anything is written, so that a privilege that is missing is named.
import { RewindError } from '../errors';
import { WHO } from './find';
import { WATCHABLE } from './server';

type Run = <Row>(sql: string, values?: readonly unknown[]) => Promise<Row[]>;

const TO_TAKE = `
  select ${WHO}, has_database_privilege(current_database(), 'CREATE') as "mayCreate",
    exists (select from (${WATCHABLE}) w where ours) as "ownsAny",
    array(select name from (${WATCHABLE}) w where not ours order by name) as "othersTables",
    array(select distinct c.relowner::regrole::text from (${WATCHABLE}) w join pg_catalog.pg_class c on c.oid = w.relid where not ours) as owners`;

interface ToTake {
  readonly role: string;
  readonly database: string;
  readonly mayCreate: boolean;
  readonly ownsAny: boolean;
  readonly othersTables: readonly string[];
  readonly owners: readonly string[];
}

/** How many tables a message names. */
const NAMED = 5;

/** @throws RewindError `REWIND_PRIVILEGE` where our role can't have a snapshot, or it would restore nothing. */
export async function assertMayTake(run: Run): Promise<void> {
  const [found] = await run<ToTake>(TO_TAKE);
  if (!found) throw new Error('a query without FROM has one row');
  const { role, database, mayCreate, ownsAny, othersTables, owners } = found;
  const ownsNone = !ownsAny && othersTables.length > 0;
  if (mayCreate && !ownsNone) return;
  const tables = othersTables.slice(0, NAMED).join(', ') + (othersTables.length > NAMED ? ', …' : '');
  const missing = [
    ...(mayCreate ? [] : [`may not make a schema in database ${database}, where copies of the tables are kept`]),
    ...(ownsNone ? [`owns none of the tables (${tables}), and only their owner can watch and restore them`] : []),
  ];
  const grants = [
    ...(mayCreate ? [] : [`GRANT CREATE ON DATABASE ${database} TO ${role};`]),
    ...(ownsNone ? owners.map((owner) => `GRANT ${owner} TO ${role};`) : []),
  ];
  throw new RewindError('REWIND_PRIVILEGE', {
    problem: `What is committed can't be restored: role ${role} ${missing.join(', and ')}.`,
    remedy: `${grants.join(' ')} Or name an instance whose role may do that in \`knex\` of the config, beside the app's. Tests that roll back need none of it.`,
  });
}
