// A seeded baseline that is used again: only where it is what seeding anew would make.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { type TestDatabase, createDatabase } from '../support/database';
import { type Finished, type Project, type ProjectOptions, project } from '../support/project';

const FILES = {
  'db.js': `const { knex } = require('knex');
    module.exports = knex({ client: 'pg', connection: process.env.DATABASE_URL,
      migrations: { directory: './db/migrations' }, seeds: { directory: './db/seeds' } });`,
  'rewind.config.js': `module.exports = {
    knex: require('./db'), migrate: (k) => k.migrate.latest(), seed: (k) => k.seed.run(), reuse: 'fixtures/*.json',
  };`,
  'db/migrations/1_users.js': `
    exports.up = (k) => k.schema.createTable('users', (t) => { t.increments(); t.string('name').unique(); });
    exports.down = () => {};`,
  'db/seeds/users.js': `exports.seed = async (k) => {
    require('node:fs').appendFileSync('seedings', 'x');
    await k('users').del();
    await k('users').insert(require('../../fixtures/users.json'));
  };`,
  'fixtures/users.json': [{ name: 'ann' }, { name: 'bob' }],
  'a.spec.js': `
    const assert = require('node:assert/strict');
    const db = require('./db');
    const expected = require('./fixtures/users.json').map((user) => user.name).join();
    const names = async () => (await db('users').orderBy('name').pluck('name')).join();
    it('rolls back', async () => { assert.equal(await names(), expected); await db('users').insert({ name: 'x' }); });
    it('commits @truncate', async () => {
      assert.equal(await names(), expected);
      await db('users').del();
      if (process.env.KILL) process.kill(process.pid, 'SIGKILL');
    });
    if (process.env.DIRTY) it('stays @dirty', () => db('users').insert({ name: 'dirt' }));`,
} satisfies ProjectOptions['files'];

describe('a baseline that is used again', function () {
  this.timeout(120_000);
  let database: TestDatabase;
  let p: Project;
  beforeEach(async () => {
    database = await createDatabase();
    p = project({ files: FILES });
  });
  afterEach(async () => {
    p.remove();
    await database.drop();
  });
  const mocha = (env: NodeJS.ProcessEnv = {}, args: string[] = ['a.spec.js']): Promise<Finished> =>
    p.mocha(['--require', 'mocha-rewind/register', ...args], {
      DATABASE_URL: database.url,
      REWIND_VERIFY: '1',
      ...env,
    });
  /** How often the seed function ran in a green run. */
  const seedingsIn = async (...run: Parameters<typeof mocha>): Promise<number> => {
    fs.rmSync(path.join(p.dir, 'seedings'), { force: true });
    const { code, output } = await mocha(...run);
    assert.equal(code, 0, output);
    const log = path.join(p.dir, 'seedings');
    const seedings = fs.existsSync(log) ? fs.readFileSync(log, 'utf8').length : 0;
    assert.equal(/used again; REWIND_FRESH=1/.test(output), seedings === 0, output);
    return seedings;
  };

  it('is seeded once as long as nothing changes, and anew on request, in CI, and where a fixture has changed', async () => {
    assert.deepEqual([await seedingsIn(), await seedingsIn(), await seedingsIn()], [1, 0, 0]);
    assert.equal(await seedingsIn({ REWIND_FRESH: '1' }), 1, 'REWIND_FRESH');
    assert.equal(await seedingsIn({ CI: 'true' }), 1, 'CI');
    await seedingsIn(); // what was made while the cache was ignored is not promised to be kept
    p.write({ 'fixtures/users.json': [{ name: 'cy' }] });
    assert.deepEqual([await seedingsIn(), await seedingsIn()], [1, 0]);
  });

  it('is seeded anew where anything else that it was made from has changed @full', async () => {
    await seedingsIn();
    for (const [what, files] of Object.entries({
      seed: { 'db/seeds/users.js': `${FILES['db/seeds/users.js']} // changed` },
      config: { 'rewind.config.js': `${FILES['rewind.config.js']} // changed` },
      migration: {
        'db/migrations/2_notes.js': `exports.up = (k) => k.schema.createTable('notes', (t) => t.increments()); exports.down = () => {};`,
      },
    } satisfies Record<string, ProjectOptions['files']>)) {
      p.write(files);
      assert.equal(await seedingsIn(), 1, what);
    }
  });

  it('is seeded anew where the database has been changed in between', async () => {
    await seedingsIn();
    for (const sql of [
      `update users set name = 'zoe' where name = 'ann'`,
      `select nextval('users_id_seq')`,
      'create table by_hand (id int)',
    ]) {
      await database.query(sql);
      assert.equal(await seedingsIn(), 1, sql);
    }
    assert.equal(await seedingsIn(), 0);
  });

  it('is seeded anew after a run that has left something on purpose @full', async () => {
    await seedingsIn();
    assert.deepEqual([await seedingsIn({ DIRTY: '1' }), await seedingsIn()], [0, 1]);
  });

  it('is recovered, and not seeded, after a run that was killed @full', async () => {
    await seedingsIn();
    await assert.rejects(mocha({ KILL: '1' }), /did not end/);
    assert.deepEqual(await database.query('select from users'), []);
    assert.equal(await seedingsIn(), 0);
    assert.equal((await database.query('select from users')).length, 2);
  });

  it('is seeded anew, in a database that is said to be broken, after a test that has changed the schema @full', async () => {
    const ddl = `const db = require('./db');
      it('adds @truncate', async () => {
        await db.raw('create table if not exists x (id int)');
        if (process.env.KILL) process.kill(process.pid, 'SIGKILL');
      });`;
    p.write({ 'ddl.spec.js': ddl });
    await seedingsIn();
    const changed = await mocha({}, ['ddl.spec.js']);
    assert.match(changed.output, /REWIND_SCHEMA_CHANGED: "adds @truncate"/);
    assert.equal(await seedingsIn(), 1);
    await database.query('drop table x');
    assert.equal(await seedingsIn(), 1);
    await assert.rejects(mocha({ KILL: '1' }, ['ddl.spec.js']), /did not end/);
    const recovering = await mocha();
    assert.match(
      recovering.output,
      /its baseline has been restored, but not the schema: table public\.x was created\. Undo that, or recreate/,
    );
    assert.doesNotMatch(recovering.output, /used again/);
    await database.query('drop table x');
    assert.equal(await seedingsIn(), 1);
    await assert.rejects(mocha({ KILL: '1' }, ['ddl.spec.js']), /did not end/);
    const restored = await p.cli(['restore'], { DATABASE_URL: database.url });
    assert.match(restored.output, /the schema was changed, which a restore can't undo: table public\.x was created/);
    assert.equal(restored.code, 1);
  });

  it('is cloned for the workers of --parallel, who need not seed @full', async () => {
    await seedingsIn();
    p.write({ 'b.spec.js': FILES['a.spec.js'], 'c.spec.js': FILES['a.spec.js'] });
    assert.equal(await seedingsIn({}, ['--parallel', '--jobs', '2', 'a.spec.js', 'b.spec.js', 'c.spec.js']), 0);
  });

  it('has to be told of what it can’t watch', async () => {
    p.write({ 'rewind.config.js': `module.exports = { knex: require('./db'), reuse: ['fixtures/*.yaml'] };` });
    const nothing = await mocha();
    assert.match(
      nothing.output,
      /REWIND_CONFIG: rewind\.config\.js: `reuse` names "fixtures\/\*\.yaml", and there is no such file/,
    );
    assert.notEqual(nothing.code, 0);
    p.write({
      'rewind.config.js': `module.exports = { knex: require('./db'), reuse: true };`,
      'db.js': `module.exports = require('knex').knex({ client: 'pg', connection: process.env.DATABASE_URL, migrations: { migrationSource: {} } });`,
    });
    const own = await mocha();
    assert.match(own.output, /REWIND_CONFIG: rewind\.config\.js: `reuse: true` watches .* source of its own/);
    assert.notEqual(own.code, 0);
  });
});
