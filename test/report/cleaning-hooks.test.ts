// Hooks that clean around tests whose writes are undone anyway: found while they run, and told of in every report.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import type { CleaningHook, JsonReport } from '../../lib/report';
import { type TestDatabase, createDatabase } from '../support/database';
import { type Finished, project } from '../support/project';
import { SPEC } from '../support/run';

const SCHEMA = `
  create table users (id serial primary key, name text);
  create table notes (id serial primary key, body text);
  create table settings (key text primary key);
  insert into settings values ('currency');`;

interface Run extends Finished {
  readonly report: JsonReport;
  /** Those of the JSON report. */
  readonly hooks: readonly CleaningHook[];
}

describe('hooks that clean', () => {
  let database: TestDatabase;
  beforeEach(async () => (database = await createDatabase(SCHEMA)));
  afterEach(() => database.drop());

  async function run(specs: Readonly<Record<string, string>>, ...args: string[]): Promise<Run> {
    const files = Object.fromEntries(Object.entries(specs).map(([name, text]) => [name, SPEC + text]));
    const p = project({
      files: {
        'db.js': `module.exports = require('knex').knex({ client: 'pg', connection: process.env.DATABASE_URL });`,
        ...files,
      },
    });
    try {
      const reporter = ['--reporter', 'mocha-rewind/reporter'];
      const names = Object.keys(specs).filter((name) => name.endsWith('.spec.js'));
      const finished = await p.mocha(['--require', 'mocha-rewind/register', ...reporter, ...args, ...names], {
        DATABASE_URL: database.url,
      });
      assert.equal(finished.code, 0, finished.output);
      const report = JSON.parse(fs.readFileSync(path.join(p.dir, 'reports/rewind.json'), 'utf8')) as JsonReport;
      return { ...finished, report, hooks: report.run.cleaningHooks };
    } finally {
      p.remove();
    }
  }
  /** Without what differs from run to run. */
  const shown = (hooks: readonly CleaningHook[]): unknown[] =>
    hooks
      .map(({ ms, title: _, ...rest }) => {
        assert.ok(ms > 0);
        return rest;
      })
      .sort((a, b) => (`${a.place}` < `${b.place}` ? -1 : 1));
  const ADD = `await db('users').insert({ name: 'ann' });`;

  it('are named with their place, runs, tables and time, whichever way they empty tables', async () => {
    const { hooks, stderr } = await run({
      'a.spec.js': `describe('users', () => {
        beforeEach(() => db.raw('truncate table public.users, notes restart identity cascade'));
        afterEach(async function clean() {
          await db.transaction(async (trx) => { await trx('notes').del(); await trx('users').del(); });
        });
        it('are added', async () => { ${ADD} });
        it('are added for real @truncate', async () => { ${ADD} });
      });`,
    });
    const rest = { runs: 2, alsoWrites: false, verdict: 'needless' };
    assert.deepEqual(shown(hooks), [
      { hook: 'beforeEach', place: 'a.spec.js:5', tables: ['public.users', 'notes'], ...rest },
      { hook: 'afterEach', place: 'a.spec.js:6', tables: ['notes', 'users'], ...rest },
    ]);
    assert.match(
      stderr,
      /^ {2}rewind: 2 hooks clean what is undone anyway, [\d.]+ ms of this run: a\.spec\.js:\d \((?:beforeEach|afterEach), 2 ×, [\d.]+ ms\), a\.spec\.js:\d \(/m,
    );
  });

  it('that seed as well have a part that has to stay', async () => {
    const { hooks, stderr } = await run({
      'clean.js': `exports.clean = async () => {
          const start = performance.now();
          await db('settings').del();
          await db('users').delete();
          await new Promise((resolve) => setTimeout(resolve, 40));
          await db('settings').insert({ key: 'currency' });
          await new Promise((resolve) => setTimeout(resolve, 200));
          console.error('all of it: ' + (performance.now() - start));
        };`,
      'a.spec.js': `const { clean } = require('./clean');
        beforeEach(clean);
        it('starts clean', async () => { assert.equal(await names(), ''); });`,
    });
    assert.deepEqual(shown(hooks), [
      {
        hook: 'beforeEach',
        place: 'a.spec.js:5',
        runs: 1,
        tables: ['settings', 'users'],
        alsoWrites: true,
        verdict: 'needless',
      },
    ]);
    const [{ ms } = { ms: 0 }] = hooks;
    const all = Number(/all of it: ([\d.]+)/.exec(stderr)?.[1]);
    assert.ok(ms >= 40 && ms < all - 150, `${ms} ms are those of the cleaning, of ${all}`);
    assert.match(stderr, /a\.spec\.js:5 \(beforeEach, 1 ×, \d+ ms; its cleaning, not what it writes\)/);
  });

  it('that take rows of the baseline away are left in peace', async () => {
    const { hooks, stderr } = await run({
      'a.spec.js': `describe('without settings', () => {
        before(() => db('settings').del());
        it('has none', async () => { assert.equal((await db('settings')).length, 0); });
      });`,
    });
    assert.deepEqual(shown(hooks), [
      { hook: 'before', place: 'a.spec.js:5', runs: 1, tables: ['settings'], alsoWrites: false, verdict: 'arranges' },
    ]);
    assert.doesNotMatch(stderr, /undone anyway/);
  });

  it('are not those of tests that are left alone, of root-level before hooks, and of some rows', async () => {
    const { hooks, stderr } = await run({
      'a.spec.js': `before(() => db('users').del());
        describe('legacy @unmanaged', () => {
          beforeEach(() => db('users').del());
          afterEach(() => db.raw('truncate users'));
          it('cleans up itself', async () => { ${ADD} });
        });
        describe('some', () => {
          afterEach(() => db('users').where({ name: 'ann' }).del());
          it('are removed', async () => { ${ADD} });
        });
        it('deletes in its body', async () => { await db('users').del(); });`,
    });
    assert.deepEqual(hooks, []);
    assert.doesNotMatch(stderr, /undone anyway/);
  });

  it('are known of after the last test', async () => {
    const { hooks } = await run({
      'a.spec.js': `describe('users', () => {
        after(() => db('users').del());
        it('are added', async () => { ${ADD} });
      });`,
    });
    assert.deepEqual(shown(hooks), [
      { hook: 'after', place: 'a.spec.js:5', runs: 1, tables: ['users'], alsoWrites: false, verdict: 'needless' },
    ]);
  });

  it('are found in parallel workers', async () => {
    const spec = `describe('users', () => {
      beforeEach(() => db('users').del());
      afterEach(() => db('users').del());
      it('are added', async () => { ${ADD} });
    });`;
    const { hooks } = await run({ 'a.spec.js': spec, 'b.spec.js': spec }, '--parallel', '--jobs', '2');
    const rest = { runs: 1, tables: ['users'], alsoWrites: false, verdict: 'needless' };
    assert.deepEqual(shown(hooks), [
      { hook: 'beforeEach', place: 'a.spec.js:5', ...rest },
      { hook: 'afterEach', place: 'a.spec.js:6', ...rest },
      { hook: 'beforeEach', place: 'b.spec.js:5', ...rest },
      { hook: 'afterEach', place: 'b.spec.js:6', ...rest },
    ]);
  });

  it('have a title where nobody knows their place: root-level hooks of a required module', async () => {
    const { stderr, hooks } = await run(
      {
        'setup.js': `exports.mochaHooks = { afterEach: async function cleanUp() { await require('./db').raw("do $$ begin execute 'truncate users'; end $$"); } };`,
        'a.spec.js': `it('adds', async () => { ${ADD} });`,
      },
      '--require',
      './setup.js',
    );
    assert.deepEqual(shown(hooks), [
      { hook: 'afterEach', place: null, runs: 1, tables: [], alsoWrites: false, verdict: 'needless' },
    ]);
    assert.match(stderr, /undone anyway, .*: "after each" hook: cleanUp \(afterEach, 1 ×/);
  });
});
