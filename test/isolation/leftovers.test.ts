// REWIND_DIRTY=1: rollback tests on a database full of what earlier runs have left.
import assert from 'node:assert/strict';
import { type Outcome, type RunOptions, assertGreen, run } from '../support/run';
import { eachWithUsers } from '../support/users';

const SPECS = {
  'a.spec.js': `
    it('assumes that there are two', async () => { assert.equal((await db('users')).length, 2); });
    it('asks for what it has written', async () => {
      await db('users').insert({ name: 'dee' });
      assert.equal((await db('users').where({ name: 'dee' })).length, 1);
    });
    it('commits @truncate', async () => { await db('users').insert({ name: 'cy' + process.pid }); });
    it('commits, too @truncate', async () => { await db('notes').insert({ body: 'x' }); });`,
};
const CONFIG = `{
  knex: require('./db'),
  migrate: async (db) => { await db.raw('create table if not exists migrated (at timestamptz default now())'); },
  seed: async (db) => { await db('users').del(); await db('users').insert([{ name: 'ann' }, { name: 'bob' }]); },
}`;

describe('a run on dirty data', () => {
  const given = eachWithUsers();
  const dirty = (specs = SPECS, options: Partial<RunOptions> = {}): Promise<Outcome> =>
    run(specs, { database: given.database, config: CONFIG, ...options, env: { REWIND_DIRTY: '1', ...options.env } });
  const clean = (specs = SPECS): Promise<Outcome> => run(specs, { database: given.database, config: CONFIG });

  it('fails tests that assume an empty table, and no others', async () => {
    const first = await dirty();
    assertGreen(first);
    assert.match(first.stderr, /REWIND_DIRTY: the database is clean; the next run with it meets what this one leaves/);
    assert.match(await given.usersNow(), /^ann,bob,cy\d+$/, 'nothing is restored');
    const second = await dirty();
    assert.deepEqual(Object.keys(second.failed), ['assumes that there are two'], second.output);
    assert.doesNotMatch(second.stderr, /the database is clean|of another version/);
    assert.match(
      await given.usersNow(),
      /^ann,bob,cy\d+,cy\d+$/,
      'rollback tests are rolled back, and no seed was run',
    );
  });

  it('loses no baseline: the next run has it, and leaves it', async () => {
    await given.database.query(`insert into notes (body) values ('by hand')`);
    await dirty();
    await dirty();
    const next = await clean();
    assertGreen(next);
    assert.match(next.stderr, /left its data on purpose; its baseline has been restored/);
    assert.equal(await given.usersNow(), 'ann,bob');
    const notes = await given.database.query('select body from notes');
    assert.deepEqual(notes, [{ body: 'by hand' }]);
    assertGreen(await clean());
  });

  it('does not take a database for clean whose baseline can no longer be used @full', async () => {
    await dirty();
    await given.database.query(
      `update rewind.state set version = 'of long ago'; insert into notes (body) values ('left')`,
    );
    const next = await dirty();
    assertGreen(next);
    assert.doesNotMatch(next.stderr, /the database is clean/);
    assert.match(next.stderr, /REWIND_DIRTY: the baseline of the run that has left its data is of another version/);
    assertGreen(await clean());
    assert.equal(await given.usersNow(), 'ann,bob', 'the seed was run');
    assert.equal((await given.database.query(`select from notes where body = 'left'`)).length, 1);
  });

  it('keeps the baseline of a killed run, and of one that was kept @full', async () => {
    assertGreen(await clean());
    const killed = await run(
      {
        'a.spec.js': `it('dies @truncate', async () => { await db('users').insert({ name: 'cy' }); process.kill(process.pid, 'SIGKILL'); });`,
      },
      { database: given.database, config: CONFIG },
    ).catch((error: Error) => error);
    assert.ok(killed instanceof Error && killed.message.startsWith('mocha did not end'));
    assert.equal(await given.usersNow(), 'ann,bob,cy');
    assert.deepEqual(Object.keys((await dirty()).failed), ['assumes that there are two']);
    assertGreen(await clean());
    assert.equal(await given.usersNow(), 'ann,bob');
  });

  it('makes no snapshot for tests that all roll back', async () => {
    const { 'a.spec.js': text } = SPECS;
    assertGreen(await dirty({ 'a.spec.js': text.replaceAll('@truncate', '') }));
    assert.deepEqual(await given.database.query(`select from pg_namespace where nspname = 'rewind'`), []);
    assert.equal(await given.usersNow(), 'ann,bob');
  });

  it('has to be asked for in a way that is understood', async () => {
    const outcome = await dirty(SPECS, { env: { REWIND_DIRTY: 'maybe' } });
    assert.match(outcome.output, /REWIND_CONFIG: the environment variable REWIND_DIRTY has to be 1/);
  });
});
