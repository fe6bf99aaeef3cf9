import { RewindError, messageOf } from '../errors';
import type { ManagedPool } from '../sandbox';
import type { OwnConnection } from '../sql';

/** A connection of our own, with the settings of one of the app's pools; to another database of its server, if named. */
export async function connectThrough(pool: ManagedPool, database?: string): Promise<OwnConnection> {
  try {
    return await pool.connect('mocha-rewind', database);
  } catch (cause) {
    throw new RewindError('REWIND_CONNECTION', {
      problem: `No connection to ${database === undefined ? pool.label : `database "${database}"`}: ${messageOf(cause)}`,
      remedy:
        'Is the server running, and are the settings of the Knex instance right for the test environment?' +
        (process.env['DATABASE_URL']
          ? ''
          : ' DATABASE_URL is not set: set it, or let Mocha require mocha-rewind/embedded, which starts a server, before mocha-rewind/register.'),
      cause,
    });
  }
}
