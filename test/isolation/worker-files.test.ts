// One worker of --parallel runs one file after another, and no file can tell that another one was there before it.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type Outcome, type RunOptions, assertGreen, run } from '../support/run';
import { eachWithUsers } from '../support/users';

/** More files than workers: whoever takes what, somebody has two. */
const FILES = ['a', 'b', 'c', 'd', 'e'];
const PARALLEL = ['--parallel', '--jobs', '2'];

describe('the files of one worker', function () {
  this.timeout(60_000);
  const given = eachWithUsers();
  let log: string;
  beforeEach(() => {
    log = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'rewind-seeds-')), 'log');
  });
  afterEach(() => fs.rmSync(path.dirname(log), { recursive: true, force: true }));

  /** Runs the same spec under several names. The seed says which process ran it. */
  const inFiles = (spec: (name: string) => string, options: Partial<RunOptions> = {}): Promise<Outcome> =>
    run(Object.fromEntries(FILES.map((name) => [`${name}.spec.js`, spec(name)])), {
      database: given.database,
      args: PARALLEL,
      config: `{
        knex: require('./db'),
        seed: async (k) => {
          require('node:fs').appendFileSync(${JSON.stringify(log)}, process.pid + '\\n');
          await k('users').where({ name: 'seeded' }).del();
          await k('users').insert({ name: 'seeded' });
        },
      }`,
      ...options,
    });
  const seedings = (): string[] => fs.readFileSync(log, 'utf8').trim().split('\n');
  const assertSeededOncePerWorker = (): void => {
    assert.equal(new Set(seedings()).size, seedings().length, 'a process has seeded twice');
    assert.ok(seedings().length <= 2);
  };

  it('are seeded once, and each starts on the numbers after the seed', async () => {
    await given.database.query(`create sequence tickets start 7`);
    const outcome = await inFiles(
      () => `
      it('counts on from the seed', async () => {
        const [user] = await db('users').insert({ name: 'x' }).returning('id');
        const { rows: [ticket] } = await db.raw(\`select nextval('tickets') as number\`);
        assert.deepEqual([user.id, ticket.number], [4, '7']);
      });
      it('moves them on', () => db('users').insert({ name: 'y' }));`,
    );
    assertGreen(outcome);
    assertSeededOncePerWorker();
  });

  it('are seeded once with committing tests, too, and what unmanaged tests and root-level hooks leave goes', async () => {
    const outcome = await inFiles(
      () => `
      before('root', () => db('users').insert({ name: 'root' }));
      it('rolls back', async () => { assert.equal(await names(), 'ann,bob,root,seeded'); await db('users').del(); });
      it('commits @truncate', async () => {
        assert.equal(await names(), 'ann,bob,root,seeded');
        const [user] = await db('users').insert({ name: 'x' }).returning('id');
        assert.equal(user.id, 5);
        await db('users').del();
      });
      it('is left alone @unmanaged', () => db('users').insert({ name: 'left' }));`,
    );
    assertGreen(outcome);
    assertSeededOncePerWorker();
  });

  it('find what @dirty tests have left, as the next run would, and are seeded anew after them @full', async () => {
    const outcome = await inFiles(
      (name) => `
      global.dirtied ??= [];
      it('sees what is dirty', async () => {
        assert.equal(await names(), ['ann', 'bob', ...global.dirtied, 'seeded'].join());
        global.dirtied.push('dirt ${name}');
      });
      it('stays @dirty', () => db('users').insert({ name: 'dirt ${name}' }));`,
    );
    assertGreen(outcome);
    assert.equal(seedings().length, FILES.length);
  });

  it('are seeded anew where one has changed the schema @full', async () => {
    const outcome = await inFiles(
      (name) => `
      it('sees the seed', async () => assert.equal(await names(), 'ann,bob,seeded'));
      it('makes a table @truncate', () => db.schema.createTable('of_${name}', (t) => t.increments()));`,
    );
    assert.equal(outcome.passed.length, FILES.length, outcome.output);
    assert.match(Object.values(outcome.failed).join('\n'), /REWIND_SCHEMA_CHANGED/);
    assert.equal(seedings().length, FILES.length);
  });

  it('keep what a spec file writes while it is loaded @full', async () => {
    const files = Object.fromEntries(
      FILES.map((name) => [
        `${name}.spec.mjs`,
        `import assert from 'node:assert/strict';
         import db from './db.js';
         await db('users').insert({ name: '${name}' });
         it('finds it', async () => assert.equal((await db('users').where({ name: '${name}' })).length, 1));
         it('finds it @truncate', async () => {
           assert.equal((await db('users').where({ name: '${name}' })).length, 1);
           await db('users').del();
         });`,
      ]),
    );
    const outcome = await run({}, { database: given.database, files, args: [...PARALLEL, ...Object.keys(files)] });
    assertGreen(outcome);
    assert.equal(outcome.passed.length, 2 * FILES.length);
  });

  it('start on the baseline although another process has written after the last one, which is told of it @full', async () => {
    await given.database.query('create table notices (text text)');
    const outcome = await inFiles(
      () => `
      if (global.isSecond) {
        require('node:child_process').execFileSync(process.execPath, ['-e', \`
          const { Client } = require('pg');
          const c = new Client(process.env.DATABASE_URL);
          c.connect().then(() => c.query("insert into notices values ('late')")).then(() => c.end());
        \`]);
      }
      global.isSecond = true;
      it('sees nothing of it @truncate', async () => {
        assert.equal((await db('notices')).length, 0);
        await db('users').del();
      });`,
    );
    assert.equal(outcome.passed.length, FILES.length, outcome.output);
    assert.match(
      Object.values(outcome.failed).join('\n'),
      /REWIND_LEAK: While "sees nothing of it @truncate" ran.*notices/,
    );
    assertSeededOncePerWorker();
  });
});
