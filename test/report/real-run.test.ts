// What the reporter knows of a run that was really isolated, on a real database.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { Client } from 'pg';
import type { JsonReport } from '../../lib/report';
import { type TestDatabase, createDatabase, urlOf } from '../support/database';
import { project } from '../support/project';

const APP = `module.exports = require('knex')({ client: 'pg', connection: process.env.DATABASE_URL, pool: { min: 0, max: 3 } });`;
const SPEC = `
const db = require('./db');
describe('users', () => {
  it('are added', async () => { await db('users').insert({ name: 'ann' }); });
  it('are added for real @truncate', async () => { await db('users').insert({ name: 'ann' }); });
  it('are not needed @nodb', () => {});
});`;

describe('the report of a real run', () => {
  let database: TestDatabase;
  before(
    async () =>
      (database = await createDatabase(
        'create table users (id serial primary key, name text); create sequence tickets cache 5',
      )),
  );
  after(() => database.drop());

  async function reportOf(...args: string[]): Promise<JsonReport> {
    const p = project({ files: { 'db.js': APP, 'a.spec.js': SPEC, 'b.spec.js': SPEC } });
    try {
      const { code, output } = await p.mocha(
        [
          '--require',
          'mocha-rewind/register',
          '--reporter',
          'mocha-rewind/reporter',
          ...args,
          'a.spec.js',
          'b.spec.js',
        ],
        { DATABASE_URL: database.url },
      );
      assert.equal(code, 0, output);
      return JSON.parse(fs.readFileSync(path.join(p.dir, 'reports/rewind.json'), 'utf8')) as JsonReport;
    } finally {
      p.remove();
    }
  }

  let reported: JsonReport | undefined;
  const serial = async (): Promise<JsonReport> => (reported ??= await reportOf());

  it('knows when each test ran: one after the other, inside the run', async () => {
    const { run, tests } = await serial();
    assert.deepEqual(
      tests.map(({ phase }) => phase),
      [1, 1, 1, 1, 2, 2],
    );
    let lastMs = 0;
    for (const { startMs, endMs, title } of tests) {
      assert.ok(startMs !== null && endMs !== null && startMs >= lastMs && endMs > startMs, title);
      lastMs = endMs;
    }
    assert.ok(lastMs <= run.durationMs);
    assert.ok(run.setupMs > 0);
    assert.equal(run.workers, 1);
  });

  it('knows what a restore took away and put back', async () => {
    const { tests } = await serial();
    for (const { mode, tablesRestored, rowsRemoved, rowsAdded } of tests) {
      const expected = mode === 'truncate' ? [['public.users'], 1, 0] : [[], null, null];
      assert.deepEqual([tablesRestored, rowsRemoved, rowsAdded], expected, String(mode));
    }
  });

  it('knows the worker of each test, and its times, with --parallel', async () => {
    const [{ run, tests }, waitedMs] = await Promise.all([
      reportOf('--parallel', '--jobs', '2'),
      keepWorkersWaiting(database.name),
    ]);
    assert.equal(tests.length, 6);
    assert.equal(run.workers, new Set(tests.map((t) => t.worker)).size);
    assert.ok(run.setupMs >= waitedMs, 'what the workers waited for their databases');
    assert.deepEqual(run.notes, (await serial()).run.notes, 'as in a serial run, and once');
    assert.match(run.notes.join(), /public\.tickets \(sequences with CACHE/);
    for (const { startMs, endMs, worker } of tests) {
      assert.match(worker ?? '', /^\d+$/);
      // Two processes, two clocks: a little apart is all right.
      assert.ok(startMs !== null && startMs > -100 && startMs < run.durationMs + 100, String(startMs));
      assert.ok(endMs !== null && endMs > startMs);
    }
  });
});

/** Nobody clones the database meanwhile. Resolves to what the main process and two workers have waited together, at least. */
async function keepWorkersWaiting(database: string): Promise<number> {
  const holder = new Client({ connectionString: urlOf('postgres') });
  await holder.connect();
  try {
    await holder.query('select pg_advisory_lock(hashtext($1))', [`mocha-rewind ${database}`]);
    const all = `select from pg_locks where locktype = 'advisory' and not granted and objid = hashtext($1)::bit(32)::bigint`;
    while ((await holder.query(all, [`mocha-rewind ${database}`])).rows.length < 3) await setTimeout(20);
    const started = performance.now();
    await setTimeout(300);
    return 2 * (performance.now() - started);
  } finally {
    await holder.end();
  }
}
