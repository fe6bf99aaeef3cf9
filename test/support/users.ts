// The database that most tests of whole runs need: two users, and whoever a test adds.
import { type TestDatabase, createDatabase } from './database';

/** Two users, Ann and Bob; their notes. */
export const USERS = `
  create table users (id serial primary key, name text unique not null);
  create table notes (id int generated always as identity, user_id int references users, body text);
  insert into users (name) values ('ann'), ('bob');
`;

/** A config that names the app's instance. */
export const MANAGED = `{ knex: require('./db') }`;

/** Gives each test of the describe a database of its own. What it returns is filled in by then. */
export function eachWithUsers(): { readonly database: TestDatabase; usersNow(): Promise<string> } {
  const given = {} as { database: TestDatabase; usersNow(): Promise<string> };
  beforeEach(async () => {
    given.database = await createDatabase(USERS);
  });
  afterEach(() => given.database.drop());
  given.usersNow = () => usersOf(given.database);
  return given;
}

export async function usersOf(database: TestDatabase): Promise<string> {
  const rows = await database.query<{ name: string }>('select name from users order by name');
  return rows.map((user) => user.name).join();
}
