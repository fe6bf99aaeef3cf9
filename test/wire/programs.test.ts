import assert from 'node:assert/strict';
import type pg from 'pg';
import { createDatabase, type TestDatabase } from '../support/database';
import { World, type Way } from '../support/wire-world';
import { ordinary, sessions, TABLES } from './programs';

/** What a failed program has left would block the next. */
const ANEW = `
  select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid();
  truncate t, k restart identity`;

type Driver = typeof pg;
const DRIVERS = { 'pg 8.11': 'pg-8.11', 'pg 8.16': 'pg-8.16', 'the newest pg': 'pg' };

describe('a program sees on client connections what it sees on direct ones', () => {
  let database: TestDatabase;
  before(async () => (database = await createDatabase(TABLES)));
  after(() => database.drop());

  for (const [title, name] of Object.entries(DRIVERS)) {
    describe(`with ${title}`, () => {
      // eslint-disable-next-line @typescript-eslint/no-require-imports
      const driver = require(name) as Driver;
      const all = { ...ordinary, ...sessions };
      for (const program of Object.keys(all)) {
        const ways: Way[] = program in ordinary ? ['own', 'shared'] : ['own'];
        it(program, async () => {
          const run = async (way: Way): Promise<unknown> => {
            await database.query(ANEW);
            const world = new World(way, database, driver);
            try {
              return await all[program]?.(world);
            } finally {
              await world.close();
            }
          };
          const direct = await run('direct');
          for (const way of ways) assert.deepEqual(await run(way), direct, way);
        });
      }
    });
  }
});
