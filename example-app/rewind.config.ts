import { defineConfig } from 'mocha-rewind';
import { db } from './src/db';

export default defineConfig({
  knex: db,
  migrate: (knex) => knex.migrate.latest(),
  seed: (knex) => knex.seed.run(),
  // An older suite that empties its tables itself, and that nobody wants to edit yet.
  rules: [{ files: 'test/legacy/**', mode: 'unmanaged' }],
});
