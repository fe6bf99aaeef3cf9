// REWIND_KEEP=failed: what the first failing test has left can be looked at.
import assert from 'node:assert/strict';
import { Client } from 'pg';
import { serverUrl, urlOf } from '../support/database';
import { project } from '../support/project';
import { type Outcome, type RunOptions, run } from '../support/run';
import { full } from '../support/tiers';
import { MANAGED, eachWithUsers } from '../support/users';

describe('REWIND_KEEP=failed', () => {
  const given = eachWithUsers();
  const { usersNow } = given;
  const kept = (): string => `${given.database.name}_rewind_kept`;
  afterEach(() => ask(serverUrl(), `drop database if exists ${kept()} with (force)`));

  const ask = async (url: string, sql: string): Promise<Record<string, unknown>[]> => {
    const client = new Client({ connectionString: url });
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(sql)).rows;
    } finally {
      await client.end();
    }
  };
  const keep = (specs: Record<string, string>, options: Partial<RunOptions> = {}): Promise<Outcome> =>
    run(specs, {
      database: given.database,
      config: MANAGED,
      ...options,
      env: { REWIND_KEEP: 'failed', ...options.env },
    });
  const printedUrl = ({ stderr }: Outcome): string =>
    /had left when it failed is in (postgresql:\S+), until/.exec(stderr)?.[1] ?? assert.fail(stderr);
  const keptUsers = async (outcome: Outcome): Promise<string> =>
    (await ask(printedUrl(outcome), 'select name from users order by name')).map(({ name }) => name).join();

  for (const mode of ['@rollback', '@truncate', '@schema']) {
    it(`keeps the rows of a ${mode} test, before its hooks clean up, ends the run, and leaves the database clean`, async () => {
      const outcome = await keep({
        'a.spec.js': `
          describe('users', () => {
            before(() => db('users').insert({ name: 'cy' }));
            beforeEach(() => db('users').insert({ name: 'dee' }));
            afterEach(() => db('users').del());
            after(() => db('users').insert({ name: 'gil' }));
            it('passes ${mode}', () => db('users').insert({ name: 'eve' }));
            it('fails ${mode}', async () => {
              await db.transaction((trx) => trx('users').insert({ name: 'fay' }));
              await assert.rejects(db('users').insert({ name: 'fay' }));
              assert.equal(await names(), 'nobody');
            });
            it('does not run ${mode}', () => {});
          });
          describe('others', () => { it('do not run', () => {}); it('do not run, too @truncate', () => {}); });`,
      });
      assert.equal(outcome.code, 1, outcome.output);
      assert.deepEqual(
        outcome.ran.filter((title) => !title.startsWith('others')),
        [`users passes ${mode}`, `users fails ${mode}`],
      );
      assert.deepEqual(Object.keys(outcome.failed), [`users fails ${mode}`]);
      assert.equal(await keptUsers(outcome), 'ann,bob,cy,dee,fay');
      assert.equal(await usersNow(), 'ann,bob');
      const ours = await ask(printedUrl(outcome), `select from pg_namespace where nspname = 'rewind'`);
      assert.deepEqual(ours, [], 'nothing of ours is in sight');
    });
  }

  it('goes on where the failing test has not used the database, and while a test is tried again', async () => {
    let outcome = await keep({
      'a.spec.js': `
        it('fails without', () => assert.fail());
        it('fails once', async function () { this.retries(1); await db('users').insert({ name: 'cy' }); assert.ok((count += 1) > 1); });
        let count = 0;
        it('passes', () => db('users').del());`,
    });
    assert.deepEqual(outcome.passed, ['fails once', 'passes']);
    assert.doesNotMatch(outcome.stderr, /had left/);
    outcome = await keep({
      'a.spec.js': `
        let count = 0;
        it('fails always', async function () { this.retries(1); await db('users').insert({ name: 'attempt ' + ++count }); assert.fail(); });
        it('does not run', () => db('users').del());`,
    });
    assert.deepEqual(outcome.passed, []);
    assert.equal(await keptUsers(outcome), 'ann,attempt 2,bob');
  });

  it('says what can’t be kept: a transaction that is open, a database that somebody is connected to @full', async () => {
    for (const mode of ['@rollback', '@truncate']) {
      const outcome = await keep({
        'a.spec.js': `it('fails ${mode}', async () => {
          await db('users').insert({ name: 'cy' });
          const trx = await db.transaction();
          await trx('users').insert({ name: 'lost' });
          throw new Error('now');
        });`,
      });
      assert.equal(outcome.code, 1, outcome.output);
      assert.match(outcome.stderr, /a transaction that it had not committed yet could not be kept/);
      assert.equal(await keptUsers(outcome), 'ann,bob,cy');
      assert.equal(await usersNow(), 'ann,bob');
    }
    const guest = new Client({ connectionString: given.database.url, application_name: 'a guest' });
    await guest.connect();
    try {
      const outcome = await keep({
        'a.spec.js': `it('fails', async () => { await db('users').del().where({ name: 'bob' }); assert.fail(); });`,
      });
      assert.equal(outcome.code, 1, outcome.output);
      assert.match(outcome.stderr, /what "fails" has left .* could not be kept: .*, a guest\)/);
    } finally {
      await guest.end();
    }
    assert.equal(await usersNow(), 'ann,bob');
  });

  for (const [hook, mode] of [
    ['before', '@rollback'],
    ['beforeEach', '@truncate'],
    ['afterEach', '@rollback'],
    ['after', '@truncate'],
  ] as const) {
    it(`keeps what there was when ${hook === 'before' ? 'a' : 'an'} ${hook} hook failed, and ends the run (${mode})${full(hook.endsWith('Each'))}`, async () => {
      const outcome = await keep({
        'a.spec.js': `
          describe('one', () => { it('passes ${mode}', () => db('users').insert({ name: 'x' })); });
          describe('two', () => {
            before(() => db('users').insert({ name: 'suite' }));
            ${hook}('breaks', async () => { await db('users').insert({ name: 'hook' }); throw new Error('now'); });
            after(() => db('users').del());
            it('passes, too ${mode}', () => db('users').first());
          });
          describe('three', () => { it('does not run ${mode}', () => {}); });`,
      });
      assert.equal(outcome.code, 1, outcome.output);
      assert.ok(!outcome.ran.some((title) => title.startsWith('three')), outcome.output);
      assert.equal(await keptUsers(outcome), 'ann,bob,hook,suite');
      assert.equal(await usersNow(), 'ann,bob');
    });
  }

  it('keeps what the first failure left, not what a hook after it did', async () => {
    const outcome = await keep({
      'a.spec.js': `
        afterEach(async () => { await db('users').del(); throw new Error('hook'); });
        it('fails', async () => { await db('users').insert({ name: 'cy' }); assert.fail(); });`,
    });
    assert.equal(await keptUsers(outcome), 'ann,bob,cy');
    assert.equal(await usersNow(), 'ann,bob');
  });

  it('keeps nothing of a rolled-back test that has changed the schema, or lost its connection: it could not be undone @full', async () => {
    for (const [statement, why] of [
      ['alter table users add column age int', /could not be kept: it has changed the schema/],
      ['select pg_terminate_backend(pg_backend_pid())', /^(?![^]*had left when it failed is in)|could not be kept: /],
    ] as const) {
      const outcome = await keep({
        'a.spec.js': `it('fails', async () => { await db('users').insert({ name: 'cy' }); await db.raw('${statement}'); assert.fail(); });`,
      });
      assert.equal(outcome.code, 1, outcome.output);
      assert.match(outcome.stderr, why);
      assert.equal(await usersNow(), 'ann,bob');
      assert.equal((await given.database.query('select * from users where age is null').catch(() => [])).length, 0);
    }
  });

  it('is refused with REWIND_DIRTY, where nothing that it commits would be undone @full', async () => {
    const outcome = await keep({ 'a.spec.js': `it('fails', () => assert.fail());` }, { env: { REWIND_DIRTY: '1' } });
    assert.notEqual(outcome.code, 0);
    assert.match(outcome.output, /REWIND_CONFIG: REWIND_KEEP commits .* with REWIND_DIRTY nothing/);
    assert.deepEqual(outcome.ran, []);
  });

  it('takes no database that is not ours @full', async () => {
    await given.database.query(`create database ${kept()}`);
    const outcome = await keep({
      'a.spec.js': `it('fails', async () => { await db('users').del(); assert.fail(); });`,
    });
    assert.match(outcome.stderr, /could not be kept: .*there is a database "\w+_rewind_kept" that is not ours/);
    assert.equal((await ask(urlOf(kept()), 'select from pg_tables where tablename = $$users$$')).length, 0);
  });

  it('is refused with --parallel', async () => {
    const outcome = await keep({ 'a.spec.js': `it('fails', () => assert.fail());` }, { args: ['--parallel'] });
    assert.notEqual(outcome.code, 0);
    assert.match(outcome.output, /REWIND_CONFIG: REWIND_KEEP keeps what one failed test has left/);
    assert.deepEqual(outcome.ran, []);
  });

  it('lets the embedded server go on, and says how to end it @full', async () => {
    const p = project({
      files: {
        'db.js': `module.exports = require('knex').knex({ client: 'pg', connection: process.env.DATABASE_URL });`,
        'rewind.config.js': `module.exports = { knex: require('./db'), migrate: (db) => db.schema.createTable('users', (t) => t.string('name')) };`,
        'a.spec.js': `const db = require('./db'); it('fails', async () => { await db('users').insert({ name: 'cy' }); throw new Error('now'); });`,
      },
    });
    let pid = 0;
    try {
      const args = ['--require', 'mocha-rewind/embedded', '--require', 'mocha-rewind/register', 'a.spec.js'];
      const finished = await p.mocha(args, { DATABASE_URL: '', REWIND_KEEP: 'failed' });
      assert.equal(finished.code, 1, finished.output);
      pid = Number(/its server goes on for a day, or until: kill -INT (\d+)/.exec(finished.stderr)?.[1]);
      const url = /had left when it failed is in (postgresql:\S+), until/.exec(finished.stderr)?.[1] ?? '';
      assert.deepEqual(await ask(url, 'select name from users'), [{ name: 'cy' }]);
      // Another run's sweep leaves it alone.
      await p.mocha(args, { DATABASE_URL: '', REWIND_KEEP: '' });
      assert.deepEqual(await ask(url, 'select name from users'), [{ name: 'cy' }]);
      process.kill(pid, 'SIGINT');
      while (
        await ask(url, 'select 1').then(
          () => true,
          () => false,
        )
      )
        await new Promise((done) => setTimeout(done, 50));
      pid = 0;
    } finally {
      if (pid > 0) process.kill(pid, 'SIGINT');
      p.remove();
    }
  });
});
