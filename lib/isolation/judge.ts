// Which database a real connection is on: what the server says, not what settings or addresses say.
import type { DatabaseIdentity } from '../database';
import { RewindError } from '../errors';
import type { Query } from '../sql';

export class Judge {
  #known: DatabaseIdentity | undefined;
  #identity = '';

  constructor(
    private readonly label: string,
    private readonly options: {
      readonly identify: (query: Query) => Promise<DatabaseIdentity>;
      readonly inspect: (query: Query) => Promise<void>;
    },
  ) {}

  /** One word for the database, through a whole run; empty before the first connection is looked at. */
  get identity(): string {
    return this.#identity;
  }

  knows(known: DatabaseIdentity): void {
    this.#known = known;
    this.#identity = `${known.oid} ${known.start}`;
  }

  forget(): void {
    this.#known = undefined;
  }

  /**
   * A connection of the database's pools, before its first use; to another database of its server if one is named.
   *
   * @throws RewindError `REWIND_UNSAFE_DATABASE` if it has led elsewhere.
   */
  async judge(query: Query, named?: string): Promise<void> {
    const known = this.#known;
    if (!known) return;
    const seen = await this.options.identify(query);
    const isThere = named === undefined ? seen.oid === known.oid : seen.name === named;
    if (isThere && seen.start === known.start) return;
    if (named !== undefined || seen.name !== known.name || seen.place !== known.place) {
      throw elsewhere(this.label, known, seen);
    }
    await this.options.inspect(query); // it has been made again, or its server has been started again
    this.#known = seen;
  }
}

function elsewhere(label: string, known: DatabaseIdentity, seen: DatabaseIdentity): RewindError {
  const where = ({ name, place, start }: DatabaseIdentity): string =>
    `"${name}" ${place === '' ? 'on a unix socket' : `at ${place}`}, server started ${start} UTC`;
  return new RewindError('REWIND_UNSAFE_DATABASE', {
    problem:
      `A new connection of ${label} leads to another database than those before it, and was closed before its first ` +
      `use: to ${where(seen)}; they lead to ${where(known)}.`,
    remedy:
      'One Knex instance or pool can lead to one database in a run. Has its `connection` function, DATABASE_URL, a PG* ' +
      'variable or what its host is resolved to changed? Give each database an instance of its own.',
  });
}
