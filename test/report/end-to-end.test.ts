// What a run with the plugin tells: the summary for people, JSON for programs.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import type { JsonReport } from '../../lib/report';
import { type TestDatabase, createDatabase } from '../support/database';
import { type Finished, type Project, project } from '../support/project';
import { SPEC } from '../support/run';

const FILES = {
  'db.js': `const { knex } = require('knex');
module.exports = knex({ client: 'pg', connection: process.env.DATABASE_URL });`,
  'rewind.config.js': `module.exports = { knex: require('./db'), rules: [{ files: 'legacy', mode: 'unmanaged' }] };`,
  'a.spec.js': `${SPEC}
it('is rolled back', async () => { await db('users').insert({ name: 'bob' }); });
it('commits @truncate', async () => { await db('users').insert({ name: 'bob' }); });
it('only reads @truncate', async () => { assert.equal(await names(), 'ann'); });
it('calculates @nodb', () => {});`,
  'legacy/b.spec.js': `const db = require('../db');
it('cleans up itself', async () => { await db('users').insert({ name: 'cy' }); await db('users').where({ name: 'cy' }).del(); });`,
};
const SPECS = ['--require', 'mocha-rewind/register', 'a.spec.js', 'legacy/b.spec.js'];
const SUMMARY =
  /^ {2}rewind: 1 rolled back · 1 without database · 2 committed, undone \((?:< )?[\d.]+ ms(?: each)?\) · 1 left alone · isolation [\d.]+ % of the run$/m;

describe('a run with the plugin', () => {
  let database: TestDatabase;
  let p: Project;
  beforeEach(async () => {
    database = await createDatabase(
      "create table users (id serial primary key, name text); insert into users (name) values ('ann');",
    );
    p = project({ files: FILES });
  });
  afterEach(async () => {
    p.remove();
    await database.drop();
  });
  const mocha = (...args: string[]): Promise<Finished> => p.mocha([...args, ...SPECS], { DATABASE_URL: database.url });

  it('ends with a summary, and leaves stdout to the reporter', async () => {
    const { code, stdout, stderr, output } = await mocha('--reporter', 'json');
    assert.equal(code, 0, output);
    assert.equal((JSON.parse(stdout) as { tests: unknown[] }).tests.length, 5, output);
    assert.match(stderr, SUMMARY);
  });

  for (const [how, args] of [
    ['serial', []],
    ['parallel', ['--parallel', '--jobs', '2']],
  ] as const) {
    it(`is written as JSON (${how})`, async () => {
      const { code, output } = await mocha('--reporter', 'mocha-rewind/reporter', ...args);
      assert.equal(code, 0, output);
      const { totals, tests } = JSON.parse(
        fs.readFileSync(path.join(p.dir, 'reports/rewind.json'), 'utf8'),
      ) as JsonReport;
      assert.deepEqual(totals.modes, { rollback: 1, truncate: 2, nodb: 1, schema: 0, dirty: 0, unmanaged: 1 });
      assert.equal(totals.restores, 1);
      assert.deepEqual(
        Object.fromEntries(tests.map((t) => [t.title, [t.file, t.mode, t.phase, t.tablesRestored]])),
        {
          'is rolled back': ['a.spec.js', 'rollback', 1, []],
          'calculates @nodb': ['a.spec.js', 'nodb', 1, []],
          'commits @truncate': ['a.spec.js', 'truncate', 2, ['public.users']],
          'only reads @truncate': ['a.spec.js', 'truncate', 2, []],
          'cleans up itself': ['legacy/b.spec.js', 'unmanaged', 5, []],
        },
        output,
      );
    });
  }
});
