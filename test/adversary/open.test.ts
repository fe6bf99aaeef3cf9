// Found, and not mended yet: each of these fails, and says what should hold.
import assert from 'node:assert/strict';
import { type TestDatabase, createDatabase } from '../support/database';
import { type Outcome, type RunOptions, assertGreen, run } from '../support/run';

const SCHEMA = `
  create table users (id serial primary key, name text unique not null);
  insert into users (name) values ('ann'), ('bob');
`;
const MANAGED = `{ knex: require('./db') }`;

describe('people (not yet kept) who', () => {
  let database: TestDatabase;
  beforeEach(async () => {
    database = await createDatabase(SCHEMA);
  });
  afterEach(() => database.drop());
  const go = (specs: Record<string, string>, options: Partial<RunOptions> = {}): Promise<Outcome> =>
    run(specs, { database, config: MANAGED, ...options });

  it('destroy the shared instance in the after hook of a describe can still run their committing tests', async () => {
    assertGreen(
      await go({
        'a.spec.js': `it('commits @truncate', async () => { assert.equal(await names(), 'ann,bob'); await db('users').del(); });`,
        'z.spec.js': `describe('last', () => { after(() => db.destroy()); it('rolls back', () => db('users').del()); });`,
      }),
    );
  });

  it('make an instance in a describe and destroy it in its after hook can have both kinds of test in it', async () => {
    const outcome = await run(
      {
        'a.spec.js': `
          describe('own instance', () => {
            const own = require('knex').knex({ client: 'pg', connection: process.env.DATABASE_URL });
            after(() => own.destroy());
            it('rolls back', () => own('users').del());
            it('commits @truncate', async () => { assert.equal(await names(own), 'ann,bob'); await own('users').del(); });
          });`,
      },
      { database },
    );
    assertGreen(outcome);
  });

  it('do not await a query of a committing test get that test failed, and the next one on clean data', async () => {
    const outcome = await go({
      'a.spec.js': `
        it('floats @truncate', async () => { db.raw("with s as (select pg_sleep(0.3)) insert into users (name) select 'late' from s").then(() => {}); });
        it('is not disturbed @truncate', async () => { await new Promise((r) => setTimeout(r, 500)); assert.equal(await names(), 'ann,bob'); });`,
    });
    assert.deepEqual(Object.keys(outcome.failed), ['floats @truncate'], outcome.output);
    assert.deepEqual(outcome.passed.includes('is not disturbed @truncate'), true, outcome.output);
  });

  it('have a before hook that times out have its late queries turned away, in a committing suite too', async () => {
    const outcome = await go({
      'a.spec.js': `
        const later = () => new Promise((r) => setTimeout(r, 400));
        describe('slow @truncate', () => {
          before(async function () { this.timeout(100); await db('users').insert({ name: 'early' }); await later(); await db('users').insert({ name: 'late' }); });
          it('never', () => {});
        });
        describe('next @truncate', () => { it('is not disturbed', async () => { await later(); await later(); assert.equal(await names(), 'ann,bob'); }); });`,
    });
    assert.deepEqual(outcome.passed, ['next @truncate is not disturbed'], outcome.output);
    assert.match(outcome.output, /REWIND_LATE_QUERY/);
  });
});
