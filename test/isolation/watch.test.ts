// `mocha --watch` loads the app's modules anew for each run, and with them other Knex instances come.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { type TestDatabase, createDatabase } from '../support/database';
import { type Finished, MOCHAS, project } from '../support/project';
import { full } from '../support/tiers';

const FILES = {
  'src/db.js': `const { knex } = require('knex');
    module.exports = knex({ client: 'pg', connection: process.env.DATABASE_URL });`,
  'rewind.config.js': `module.exports = { knex: require('./src/db') };`,
  'test/setup.js': `const { rewind } = require('mocha-rewind');
    module.exports = rewind(() => ({ knex: require('../src/db') }));`,
  'test/users.spec.js': `
    const assert = require('node:assert/strict');
    const db = require('../src/db');
    for (const title of ['a', 'b', 'c @truncate', 'd @truncate'])
      it(title, async () => {
        await db('users').insert({ name: title });
        assert.deepEqual(await db('users').pluck('name'), [title]);
      });`,
};

const WAYS = [
  ['all files watched', ['--require', 'mocha-rewind/register']],
  ['the config not watched', ['--require', 'mocha-rewind/register', '--watch-files', 'src/**,test/**']],
  ['a set-up file', ['--require', './test/setup.js']],
  ['workers', ['--require', 'mocha-rewind/register', '--parallel', '--jobs', '2']],
] as const;

describe('--watch', function () {
  this.timeout(120_000);
  let database: TestDatabase;
  beforeEach(async () => {
    database = await createDatabase('create table users (name text)');
  });
  afterEach(() => database.drop());

  const [first, ...others] = WAYS;
  const cases = [
    ...(Object.keys(MOCHAS) as (keyof typeof MOCHAS)[]).map((mocha) => [mocha, ...first] as const),
    ...others.map((way) => ['12', ...way] as const),
  ];
  for (const [mocha, way, args] of cases)
    it(`isolates what each run loads: mocha ${mocha}, ${way}${full(mocha !== '12' || way === 'a set-up file' || way === 'workers')}`, async () => {
      const { code, output } = await watched(mocha, [...args, '--watch', 'test/users.spec.js']);
      assert.equal(output.match(/4 passing/g)?.length, 2, output);
      assert.doesNotMatch(output, /failing|REWIND_/);
      assert.equal(code, 130, output);
      assert.deepEqual(await database.query('select * from users'), []);
    });

  /** Two whole runs, ended by Ctrl-C. */
  async function watched(mocha: keyof typeof MOCHAS, args: readonly string[]): Promise<Finished> {
    const p = project({ mocha, files: FILES });
    const { child, finished } = p.start(args, { DATABASE_URL: database.url });
    let seen = '';
    child.stderr?.on('data', (data: Buffer) => (seen += data.toString()));
    const ended = async (runs: number, ms: number): Promise<boolean> => {
      for (let waited = 0; waited < ms && child.exitCode === null; waited += 100) {
        if ((seen.match(/rewind: \d/g)?.length ?? 0) >= runs) return true;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      return child.exitCode !== null;
    };
    try {
      await ended(1, 60_000);
      do {
        // The watcher may have to be told twice; but what changes in the middle of a run aborts it.
        fs.utimesSync(path.join(p.dir, 'src/db.js'), new Date(), new Date());
      } while (!(await ended(2, 10_000)));
      child.kill('SIGINT');
      return await finished;
    } finally {
      child.kill('SIGKILL');
      p.remove();
    }
  }
});
