import { RewindError, messageOf } from '../errors';
import { assertOwnSession } from '../pooler';
import { type OwnConnection, quoteIdent } from '../sql';
import { realTimers, sleep } from '../timers';

/** PostgreSQL cuts longer names off (manual, 4.1.1). */
const NAME_LIMIT = 63;

/** PostgreSQL itself waits for others to leave, 5 s each time (`CountOtherDBBackends` in src/backend/storage/ipc/procarray.c). */
const PATIENCE_MS = 5_000;

/** A name that begins as that of `base` does, and ends in `_rewind_<suffix>`. */
export function relatedName(base: string, suffix: string): string {
  const ending = `_rewind_${suffix}`;
  return base.slice(0, NAME_LIMIT - ending.length) + ending;
}

/** What a message says of a clone that can't be made. */
export interface CloneWords {
  /** `The database of a --parallel worker`. */
  readonly what: string;
  /** Who has to leave the original, as a sentence. */
  readonly ifBusy: string;
  /** What can be done instead, as a sentence. */
  readonly otherwise: string;
}

/**
 * Nobody may be connected to the original meanwhile (manual, CREATE DATABASE, Notes).
 *
 * @throws RewindError `REWIND_CONNECTION`
 */
export async function cloneDatabase(
  maintenance: OwnConnection,
  original: string,
  name: string,
  words: CloneWords,
): Promise<void> {
  const started = realTimers.now();
  for (;;) {
    try {
      await maintenance.query(`create database ${quoteIdent(name)} template ${quoteIdent(original)}`);
      return;
    } catch (cause) {
      const busy = (cause as { code?: unknown }).code === '55006';
      if (busy && realTimers.now() - started < PATIENCE_MS) {
        await sleep(100);
        continue;
      }
      throw new RewindError('REWIND_CONNECTION', {
        problem: `${words.what} could not be cloned from "${original}": ${messageOf(cause)}.${busy ? await sessions(maintenance, original) : ''}`,
        remedy: `${busy ? `${words.ifBusy} End those sessions.` : 'The role needs the right to create databases (ALTER ROLE … CREATEDB).'} ${words.otherwise}`,
        cause,
      });
    }
  }
}

async function sessions(maintenance: OwnConnection, database: string): Promise<string> {
  const { rows } = await maintenance.query<{ who: string }>(
    `select format('pid %s (%s, %s)', pid, usename, coalesce(nullif(application_name, ''), 'no application name')) as who
       from pg_stat_activity where datname = $1
     union all
     select format('prepared transaction %L (%s, since %s; end it with ROLLBACK PREPARED)', gid, owner, to_char(prepared, 'YYYY-MM-DD HH24:MI:SS'))
       from pg_prepared_xacts where database = $1`,
    [database],
  );
  return rows.length === 0 ? '' : ` Connected: ${rows.map((row) => row.who).join(', ')}.`;
}

/** A connection to a database that is not going to be cloned or dropped. */
export async function connectForMaintenance<C extends OwnConnection>(
  connect: (database: string) => Promise<C>,
  base: string,
  words: CloneWords,
): Promise<C> {
  const names = ['postgres', 'template1'];
  let cause: unknown;
  for (const name of names.filter((n) => n !== base)) {
    try {
      return await withOwnSession(() => connect(name), name);
    } catch (error) {
      if (error instanceof RewindError) throw error;
      cause = error;
    }
  }
  throw new RewindError('REWIND_CONNECTION', {
    problem: `${words.what} can only be made over a connection to one of ${names.join(', ')}: ${messageOf(cause)}`,
    remedy: `Let the role connect to one of them. ${words.otherwise}`,
    cause,
  });
}

async function withOwnSession<C extends OwnConnection>(connect: () => Promise<C>, name: string): Promise<C> {
  const connection = await connect();
  try {
    await assertOwnSession(connection, connect, `database "${name}"`);
    return connection;
  } catch (error) {
    await connection.end();
    throw error;
  }
}
