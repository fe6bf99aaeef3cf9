import assert from 'node:assert/strict';
import { Client } from 'pg';
import { createDatabase, type TestDatabase } from '../support/database';
import { World, type Way } from '../support/wire-world';
import type { ClientClass } from '../support/wire-session';
import { ordinary, ordinaryFrames, sessionFrames, sessions, TABLES } from './programs';

/** What a failed program has left would block the next. */
const ANEW = `
  select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid();
  truncate t, k restart identity`;

describe('a program sees on client connections what it sees on direct ones', () => {
  let database: TestDatabase;
  let witness: Client;
  before(async () => {
    database = await createDatabase(TABLES);
    witness = new Client({ connectionString: database.url });
    await witness.connect();
  });
  after(async () => {
    await witness.end();
    await database.drop();
  });

  const PACKAGES = { 'pg 8.11': 'pg-8.11', 'pg 8.16': 'pg-8.16', 'the newest pg': 'pg' };
  for (const [title, name] of Object.entries(PACKAGES)) {
    describe(`with ${title}`, () => {
      // eslint-disable-next-line @typescript-eslint/no-require-imports
      const driver = require(name) as { Client: ClientClass };
      compare(ordinary, ['own', 'shared'], driver);
      compare(sessions, ['own'], driver);
    });
  }
  describe('with bare frames', () => {
    compare(ordinaryFrames, ['own', 'shared']);
    compare(sessionFrames, ['own']);
  });

  function compare(programs: typeof ordinary, ways: readonly Way[], driver?: { Client: ClientClass }): void {
    for (const [title, program] of Object.entries(programs)) {
      it(title, async () => {
        const run = async (way: Way): Promise<unknown> => {
          await witness.query(ANEW);
          const world = new World(way, database, witness, driver);
          try {
            return await program(world);
          } finally {
            await world.close();
          }
        };
        const direct = await run('direct');
        for (const way of ways) assert.deepEqual(await run(way), direct, way);
      });
    }
  }
});
