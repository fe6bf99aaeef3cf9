// For bench/suite.ts: the suites, their database, and the ways to isolate their tests. A way more is an entry in VARIANTS, a
// suite more a call of `suite()`.
//
// Why this mix of statements is fair to each way. Every other test inserts a row, reads it and deletes it; the others update
// a row, read it and read another one. So a run without isolation ends on as many rows as it began with, and no way gets
// slower by rows that only it has: all read by primary key, in tables of 20 rows. What differs is what a test leaves: a
// restore finds a table without a changed row after the first kind, and one changed row after the second; a rollback has
// something to undo after both.
//
// Dead rows: each test makes one, in every way alike (an aborted insert is as dead as a deleted row). The update is of a column
// without an index, and its dead rows go when their page is next read; those of deleted rows stay, 100 in a table at 4 000
// tests, where a read by key doesn't meet them. TRUNCATE leaves none in the tables, but some in the catalog, which are part
// of its price. Autovacuum is off for the tables, so that it doesn't fall into one run and miss the next; and each cold and
// warm pair of runs has a database of its own, so that nobody pays for what an earlier run has left.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const TABLES = 20;
const ROWS = 20;
const TESTS_A_FILE = 50;
/** Statements that differ in their text, of all suites that are long enough. */
export const TEXTS = TABLES * 4;

const tables = Array.from({ length: TABLES }, (_, i) => `t${i}`);
const rows = Array.from({ length: ROWS }, (_, i) => ({ name: `row ${i + 1}`, n: 0, parent_id: i + 1 }));

export const SCHEMA = tables
  .map(
    (t, i) => `
create table ${t} (id serial primary key, name text not null, n int not null, parent_id int references t${Math.max(0, i - 1)})
  with (autovacuum_enabled = off);
create index on ${t} (parent_id);
insert into ${t} (name, n, parent_id) select 'row ' || i, 0, i from generate_series(1, ${ROWS}) i;`,
  )
  .join('');

/** Not 0 where an update was committed. */
export const COMMITTED = `select ${tables.map((t) => `(select sum(n) from ${t})`).join(' + ')} as committed`;

export interface Variant {
  readonly name: string;
  /** What `setup.js` does: root hooks in `exports.mochaHooks`. `db` is the app's Knex, `context.conn` what tests use. */
  readonly setup?: string;
  /** A config makes it a run with mocha-rewind. */
  readonly config?: string;
  /** What a run leaves in the database: what its last test wrote, all of it, or nothing. */
  readonly leaves: 'nothing' | 'last' | 'all';
  /** Takes part in the suites of one test, too. */
  readonly small?: true;
  /** So slow that one round is enough, and suites of more than `--most` tests would take too long. */
  readonly slow?: true;
  /** A package that has to be found. */
  readonly needs?: string;
}

const rewind = (mode: string): string => `module.exports = { knex: require('./db'), default: '${mode}' };`;

export const VARIANTS: readonly Variant[] = [
  { name: 'no isolation', leaves: 'all', small: true },
  { name: 'mocha-rewind', leaves: 'nothing', small: true, config: rewind('rollback') },
  { name: 'mocha-rewind, all `@truncate`', leaves: 'nothing', small: true, config: rewind('truncate') },
  {
    name: '`knex.transaction()` by hand',
    leaves: 'nothing',
    setup: `
      let trx;
      exports.mochaHooks.beforeEach = async () => {
        trx = await db.transaction();
        context.conn = trx;
      };
      exports.mochaHooks.afterEach = () => trx.rollback();`,
  },
  {
    name: 'pg-transactional-tests 1.2.2',
    leaves: 'nothing',
    needs: 'pg-transactional-tests',
    setup: `
      const { testTransaction } = require('pg-transactional-tests');
      exports.mochaHooks = {
        beforeAll: testTransaction.start,
        beforeEach: testTransaction.start,
        afterEach: testTransaction.rollback,
        afterAll: [testTransaction.close, () => db.destroy()],
      };`,
  },
  {
    name: 'TRUNCATE of all tables, seed',
    leaves: 'last',
    slow: true,
    setup: `
      const rows = ${JSON.stringify(rows)};
      exports.mochaHooks.beforeEach = async () => {
        await db.raw('truncate ${tables.join(', ')} restart identity');
        for (const table of ${JSON.stringify(tables)}) await db(table).insert(rows);
      };`,
  },
];

export interface Suite {
  readonly name: string;
  readonly tests: number;
  /** A suite of one test: starting is all that it measures. */
  readonly small: boolean;
  readonly files: Readonly<Record<string, string>>;
}

function test(i: number): string {
  const table = tables[(i >> 1) % TABLES];
  const row = (i % ROWS) + 1;
  return i % 2 === 0
    ? `it('adds and removes thing ${i}', async () => {
        const id = await things.add(context.conn, '${table}', { name: 'thing ${i}', n: 1, parent_id: ${row} });
        assert.equal((await things.find(context.conn, '${table}', id)).name, 'thing ${i}');
        assert.equal(await things.remove(context.conn, '${table}', id), 1);
      });`
    : `it('changes thing ${i}', async () => {
        assert.equal(await things.change(context.conn, '${table}', ${row}, ${i}), 1);
        assert.equal((await things.find(context.conn, '${table}', ${row})).n, ${i});
        assert.equal((await things.find(context.conn, '${table}', ${ROWS - row + 1})).name, 'row ${ROWS - row + 1}');
      });`;
}

/** Each test is written out, as in a suite that somebody wrote: 50 in a file, in describes of 5 in describes of 10. */
function spec(from: number, to: number): string {
  const nested = (sizes: readonly number[], start: number, end: number): string => {
    const [size, ...smaller] = sizes;
    if (!size) return Array.from({ length: end - start }, (_, i) => test(start + i)).join('\n');
    let text = '';
    for (let i = start; i < end; i += size) {
      text += `describe('things from ${i} on', () => {\n${nested(smaller, i, Math.min(i + size, end))}\n});\n`;
    }
    return text;
  };
  return `${HEAD}${nested([TESTS_A_FILE, 10, 5], from, to)}`;
}

const HEAD = `const assert = require('node:assert/strict');
const things = require('../things');
const context = require('../context');
`;

export function suite(tests: number): Suite {
  const files: Record<string, string> = {};
  for (let i = 0; i < tests; i += TESTS_A_FILE) files[`spec/${i}.js`] = spec(i, Math.min(i + TESTS_A_FILE, tests));
  return { name: `${tests} tests`, tests, small: false, files };
}

const single = (name: string, body: string): Suite => ({
  name,
  tests: 1,
  small: true,
  files: { 'spec/one.js': `${HEAD}it('is alone', async () => {${body}});` },
});
export const ALONE = single('one test, one query', `assert.equal((await things.find(context.conn, 't0', 1)).n, 0);`);
export const EMPTY = single('one empty test', '');

const APP = {
  'package.json': '{}',
  'db.js': `module.exports = require('knex')({ client: 'pg', connection: process.env.DATABASE_URL, pool: { min: 0, max: 5 } });`,
  'context.js': `exports.conn = require('./db');`,
  // The code under test is given what to query with, so that knex.transaction() by hand can take part.
  'things.js': `
    exports.add = async (conn, table, row) => (await conn(table).insert(row).returning('id'))[0].id;
    exports.find = (conn, table, id) => conn(table).where({ id }).first();
    exports.change = (conn, table, id, n) => conn(table).where({ id }).update({ n });
    exports.remove = (conn, table, id) => conn(table).where({ id }).del();`,
  // CPU time of this process, user and system. Its listener is the first, so it leaves out what others do at the exit.
  'meter.js': `process.on('exit', () => {
    const { user, system } = process.cpuUsage();
    require('node:fs').writeFileSync('cpu', String((user + system) / 1000));
  });`,
};

/** A project in a folder of its own. Its node_modules are links, but a folder, so that what is cached there is its own. */
export function makeProject(suite: Suite, { setup = '', config }: Variant, peers: readonly string[]): string {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'rewind-suite-'));
  const files: Record<string, string> = {
    ...APP,
    ...suite.files,
    'setup.js': `const db = require('./db');
      const context = require('./context');
      exports.mochaHooks = { afterAll: () => db.destroy() };${setup}`,
    ...(config === undefined ? {} : { 'rewind.config.js': config }),
  };
  for (const [name, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(dir, name)), { recursive: true });
    fs.writeFileSync(path.join(dir, name), text);
  }
  const repo = path.resolve(__dirname, '..');
  const links = [
    ...['mocha', 'knex', 'pg'].map((name) => [name, path.join(repo, 'node_modules', name)] as const),
    ['mocha-rewind', repo] as const,
    ...peers.map((name) => [name, path.dirname(require.resolve(`${name}/package.json`))] as const),
  ];
  fs.mkdirSync(path.join(dir, 'node_modules'));
  for (const [name, target] of links) fs.symlinkSync(target, path.join(dir, 'node_modules', name));
  return dir;
}
