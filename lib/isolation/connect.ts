import { RewindError, messageOf } from '../errors';
import type { ManagedPool } from '../sandbox';
import type { OwnConnection } from '../sql';

/** A connection of our own, with the settings of one of the app's pools; to another database of its server, if named. */
export async function connectThrough(pool: ManagedPool, database?: string): Promise<OwnConnection> {
  try {
    return await pool.connect('mocha-rewind', database);
  } catch (cause) {
    const error = new RewindError('REWIND_CONNECTION', {
      problem: `No connection to ${database === undefined ? pool.label : `database "${database}"`}: ${messageOf(cause)}`,
      remedy: remedyFor(cause, database ?? pool.database),
      cause,
    });
    unreachable.add(error);
    throw error;
  }
}

const unreachable = new WeakSet<RewindError>();

/** Whether no connection could be opened. */
export function isUnreachable(error: unknown): error is RewindError {
  return error instanceof RewindError && unreachable.has(error);
}

/** What there is to say of the app's own errors, by their message: a driver, Knex and the app make errors of errors. */
const hints = new Map<string, string>();

/** As the app's own pool would fail: tests of an outage go by that. What we have to say is told where a test fails with it. */
export function asInProduction(error: RewindError): Error {
  if (!(error.cause instanceof Error)) return error;
  if (hints.size < 100) hints.set(error.cause.message, error.message);
  return error.cause;
}

/** Of an error that a test has failed with. */
export function hintOnConnection(error: unknown): string | undefined {
  const message = messageOf(error);
  for (const [end, hint] of hints) if (message.endsWith(end)) return hint; // Knex puts the SQL in front
  return undefined;
}

/** The likely cause first. */
function remedyFor(cause: unknown, database: string | undefined): string {
  const { DATABASE_URL, NODE_ENV } = process.env;
  const code = String((cause as { code?: unknown }).code);
  if (!database && DATABASE_URL) {
    return 'The settings name no database. A connection URL reads postgres://user:password@localhost:5432/shop_test.';
  }
  if (code === NO_SUCH_DATABASE) {
    return `Create it (createdb ${database}), or mend its name in the settings of the Knex instance.`;
  }
  const environment =
    NODE_ENV === 'test' ? [] : [`NODE_ENV is ${NODE_ENV ? `"${NODE_ENV}"` : 'not set'}, if they depend on it.`];
  if (NOT_LET_IN.includes(code) || /password/.test(messageOf(cause))) {
    return [
      'The server is there, and does not let this user in: mend user and password in the settings of the Knex instance.',
      ...environment,
    ].join(' ');
  }
  return [
    ...(DATABASE_URL
      ? []
      : [
          'DATABASE_URL is not set: set it, or let Mocha require mocha-rewind/embedded, which starts a server, before mocha-rewind/register.',
        ]),
    'Is the server running, and are the settings of the Knex instance right for the test environment?',
    ...environment,
  ].join(' ');
}

/** PostgreSQL's invalid_catalog_name. */
const NO_SUCH_DATABASE = '3D000';
/** PostgreSQL's invalid_authorization_specification and invalid_password. */
const NOT_LET_IN = ['28000', '28P01'];
