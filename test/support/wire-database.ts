import { Client } from 'pg';
import { createDatabase, type TestDatabase } from './database';
import { World, type Way } from './wire-world';

/** A database for the tests of one `describe`, a client that nobody manages, and worlds that are closed after their test. */
export function wireDatabase(sql: string): { readonly witness: Client; world(way: Way): World; readonly name: string } {
  let database: TestDatabase;
  let witness: Client;
  const worlds: World[] = [];
  before(async () => {
    database = await createDatabase(sql);
    witness = new Client({ connectionString: database.url });
    await witness.connect();
  });
  afterEach(async () => {
    for (const world of worlds.splice(0)) await world.close();
  });
  after(async () => {
    await witness.end();
    await database.drop();
  });
  return {
    get witness() {
      return witness;
    },
    get name() {
      return database.name;
    },
    world(way) {
      const world = new World(way, database, witness);
      worlds.push(world);
      return world;
    },
  };
}
