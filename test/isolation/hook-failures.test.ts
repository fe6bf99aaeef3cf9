// What is left of a run whose hooks and tests fail in every way Mocha knows: serial and parallel, on every Mocha.
import assert from 'node:assert/strict';
import { MOCHAS } from '../support/project';
import { type Outcome, run } from '../support/run';
import { MANAGED, eachWithUsers } from '../support/users';
import { full } from '../support/tiers';

interface Row {
  /** Inside a describe of its own. `write` inserts a row nobody may see later; `boom` does, and throws. */
  readonly spec: string;
  /** Titles, below the describe's, and what the message has in it. */
  readonly fails: Readonly<Record<string, RegExp>>;
  /** Tests that pass. */
  readonly passes?: readonly string[];
}

const TOOLS = `
  const later = (ms) => new Promise((r) => setTimeout(r, ms));
  let n = 0;
  const write = async () => { await db('users').insert({ name: 'dirt' + process.pid + n++ }); };
  const boom = async () => { await write(); throw new Error('boom'); };
  const clean = async () => assert.equal(await names(), 'ann,bob');
`;

const ROWS: Readonly<Record<string, Row>> = {
  'before throws': {
    spec: `before(boom); it('a', clean); describe('in', () => { it('b', clean); }); after(write);`,
    fails: { '"before all" hook: boom for "a"': /^boom$/ },
  },
  'the second before throws': {
    spec: `before(write); before(boom); after(write); it('a', clean);`,
    fails: { '"before all" hook: boom for "a"': /^boom$/ },
  },
  'before of an inner suite throws': {
    spec: `it('a', write); describe('in', () => { before(boom); it('b', clean); }); describe('sibling', () => { it('c', clean); });`,
    fails: { 'in "before all" hook: boom for "b"': /^boom$/ },
    passes: ['a', 'sibling c'],
  },
  'beforeEach throws': {
    spec: `beforeEach(boom); afterEach(write); it('a', clean); it('b', clean);`,
    fails: { '"before each" hook: boom for "a"': /^boom$/ },
  },
  'afterEach throws': {
    spec: `afterEach(boom); it('a', write); it('b', clean);`,
    fails: { '"after each" hook: boom for "a"': /^boom$/ },
    passes: ['a'],
  },
  'afterEach of an inner suite throws': {
    spec: `let each = 0; afterEach(async () => { each++; await write(); }); describe('in', () => { afterEach(boom); it('a', write); it('b', clean); }); it('c', () => {}); after(() => assert.equal(each, 2));`,
    fails: { 'in "after each" hook: boom for "a"': /^boom$/ },
    passes: ['in a', 'c'],
  },
  'after throws': {
    spec: `before(write); after(boom); after(() => {}); it('a', write);`,
    fails: { '"after all" hook: boom for "a"': /^boom$/ },
    passes: ['a'],
  },
  'after of an inner suite throws': {
    spec: `describe('in', () => { before(write); after(boom); it('a', write); }); describe('sibling', () => { it('b', clean); });`,
    fails: { 'in "after all" hook: boom for "a"': /^boom$/ },
    passes: ['in a', 'sibling b'],
  },
  'a test throws': {
    spec: `it('a', boom); it('b', clean);`,
    fails: { a: /^boom$/ },
    passes: ['b'],
  },
  'a test and its afterEach throw': {
    spec: `afterEach(boom); it('a', boom); it('b', clean);`,
    fails: { a: /^boom$/, '"after each" hook: boom for "a"': /^boom$/ },
  },
  'a test times out': {
    spec: `it('a', async () => { await write(); await later(300); await write(); }).timeout(150); it('b', async () => { await clean(); await later(300); await clean(); });`,
    fails: { a: /^Timeout of 150ms exceeded/ },
    passes: ['b'],
  },
  'a hook times out': {
    spec: `beforeEach(async function () { this.timeout(150); await write(); await new Promise(() => {}); }); it('a', clean);`,
    fails: { '"before each" hook for "a"': /^Timeout of 150ms exceeded/ },
  },
  'an attempt fails': {
    spec: `let attempts = 0; beforeEach(write); it('a', async function () { this.retries(2); assert.match(await names(), /^ann,bob,dirt\\d+$/); if (++attempts < 3) await boom(); }); it('b', async () => assert.match(await names(), /^ann,bob,dirt\\d+$/));`,
    fails: {},
    passes: ['a', 'b'],
  },
  'everything is skipped': {
    spec: `it('a', async function () { await write(); this.skip(); });
      describe('in', () => { before(async function () { await write(); this.skip(); }); it('b', boom); });
      describe('each', () => { beforeEach(async function () { await write(); this.skip(); }); it('c', boom); });
      it('d', clean);`,
    fails: {},
    passes: ['d'],
  },
  'something throws while a test runs': {
    spec: `it('a', async () => { await write(); setTimeout(() => { throw new Error('uncaught'); }, 1); await later(30); }); it('b', clean);`,
    fails: { a: /^uncaught$/ },
    passes: ['b'],
  },
  'something throws while its test departs': {
    spec: `it('a', async () => { await write(); process.nextTick(() => setImmediate(() => { throw new Error('uncaught'); })); }); it('b', clean);`,
    fails: { a: /^uncaught$/ },
    passes: ['b'],
  },
  'done is called twice': {
    spec: `it('a', (done) => { write().then(() => { done(); done(); }); }); it('b', clean);`,
    fails: { a: /done\(\) called multiple times/ },
    passes: ['a', 'b'],
  },
  'a promise is rejected unseen': {
    spec: `it('a', async () => { await write(); Promise.reject(new Error('unseen')); }); it('b', clean);`,
    fails: { a: /^Unhandled rejection: unseen$/ },
    passes: ['b'],
  },
  'a hook function is none': {
    spec: `beforeEach(async () => { await write(); throw 'no error'; }); it('a', clean);`,
    fails: { '"before each" hook for "a"': /no error/ },
  },
};

const TAGS = ['', ' @truncate'];

/** The row in a describe, and after it what the next one finds. */
function textOf(name: string, { spec }: Row, tag: string): string {
  return `describe('${name}${tag}:', () => { ${spec} }); describe('after ${name}${tag}:', () => { it('all is clean', clean); });`;
}

/** Rows that end a whole run, or in parallel a whole file: hooks at the root. `sees`: what passes before it ends. */
const ROOT_ROWS: Readonly<Record<string, { spec: string; fails: Record<string, RegExp>; passes: string[] }>> = {
  'root before': {
    spec: `before(boom); it('a', clean);`,
    fails: { '"before all" hook: boom for "a"': /^boom$/ },
    passes: [],
  },
  'root beforeEach': {
    spec: `beforeEach(boom); it('a', clean); it('b', clean);`,
    fails: { '"before each" hook: boom for "a"': /^boom$/ },
    passes: [],
  },
  'root afterEach': {
    spec: `afterEach(boom); it('a', write); it('b @truncate', clean);`,
    fails: { '"after each" hook: boom for "a"': /^boom$/ },
    passes: ['a'],
  },
  'root after': {
    spec: `after(boom); it('a', write); it('b @truncate', write);`,
    fails: { '"after all" hook: boom for "next"': /^boom$/ },
    passes: ['a', 'b @truncate'],
  },
};

const PARALLEL = ['--parallel', '--jobs', '2'];
const VERSIONS = Object.keys(MOCHAS) as (keyof typeof MOCHAS)[];

function assertRow(outcome: Outcome, describe: string, { fails, passes = [] }: Row): void {
  const of = (titles: readonly string[]): string[] =>
    titles.filter((title) => title.startsWith(`${describe} `)).map((title) => title.slice(describe.length + 1));
  const failed = of(Object.keys(outcome.failed)).map((title) => [title, outcome.failed[`${describe} ${title}`] ?? '']);
  assertFailures(Object.fromEntries(failed) as Record<string, string>, fails, `${describe} ${outcome.stderr}`);
  assert.deepEqual(of(outcome.passed).sort(), [...passes].sort(), describe);
}

function assertFailures(failed: Outcome['failed'], expected: Row['fails'], about: string): void {
  assert.deepEqual(Object.keys(failed).sort(), Object.keys(expected).sort(), about);
  for (const [title, message] of Object.entries(expected)) assert.match(failed[title] ?? '', message, about);
}

for (const mocha of VERSIONS) {
  describe(`what fails around a test, on mocha ${mocha}${full(mocha !== '12')}`, function () {
    this.timeout(120_000);
    const given = eachWithUsers();

    for (const args of [[], PARALLEL]) {
      const how = args.length > 0 ? 'in parallel' : 'serially';

      it(`fails there, and nowhere else, and leaves no row, ${how}${full(args.length > 0)}`, async () => {
        const all = Object.entries(ROWS).flatMap(([name, row]) => TAGS.map((tag) => ({ name, row, tag })));
        const specs = Object.fromEntries(
          all.map(({ name, row, tag }, i) => [`row${String(i)}.spec.js`, TOOLS + textOf(name, row, tag)]),
        );
        const outcome = await run(specs, { database: given.database, config: MANAGED, mocha, args });
        for (const { name, row, tag } of all) {
          assertRow(outcome, `${name}${tag}:`, row);
          assertRow(outcome, `after ${name}${tag}:`, { spec: '', fails: {}, passes: ['all is clean'] });
        }
        assert.match(outcome.output, /came too late: .*"a test times out.*: a"/);
        const failures = all.reduce((sum, { row }) => sum + Object.keys(row.fails).length, 0);
        assert.equal(outcome.code, failures, outcome.stderr);
        assert.equal(await given.usersNow(), 'ann,bob');
      });
    }

    for (const [name, { spec, fails, passes }] of Object.entries(ROOT_ROWS)) {
      it(`at the root, in a ${name.replace('root ', '')} hook, ends the run, and leaves no row${full(name !== 'root before')}`, async () => {
        const specs = { 'row.spec.js': TOOLS + spec, 'next.spec.js': `it('next', () => {});` };
        const outcome = await run(specs, { database: given.database, config: MANAGED, mocha });
        assertFailures(outcome.failed, fails, outcome.stderr);
        assert.deepEqual(outcome.passed.filter((title) => title !== 'next').sort(), [...passes].sort());
        assert.equal(outcome.code, 1, outcome.stderr);
        assert.equal(await given.usersNow(), 'ann,bob');
      });
    }

    it('at the root ends one file of a parallel run, and leaves no row to the next one of that worker', async () => {
      const specs = Object.fromEntries(
        Object.values(ROOT_ROWS).flatMap(({ spec }, i) => [
          [`row${String(i)}.spec.js`, TOOLS + spec],
          [`row${String(i)}-next.spec.js`, `${TOOLS} it('next', clean); it('next @truncate', clean);`],
        ]),
      );
      const outcome = await run(specs, { database: given.database, config: MANAGED, mocha, args: PARALLEL });
      assert.deepEqual(
        outcome.passed.filter((title) => title.startsWith('next')).length,
        2 * Object.keys(ROOT_ROWS).length,
        outcome.stderr,
      );
      assert.equal(outcome.code, Object.keys(ROOT_ROWS).length, outcome.stderr);
    });

    it('with --bail ends the run, and leaves no row', async () => {
      const specs = Object.fromEntries(
        TAGS.map((tag, i) => [
          `row${String(i)}.spec.js`,
          `${TOOLS} describe('S${tag}', () => { before(write); it('a', boom); it('b', write); }); it('c', write);`,
        ]),
      );
      for (const grep of ['S', '@truncate']) {
        const outcome = await run(specs, {
          database: given.database,
          config: MANAGED,
          mocha,
          args: ['--bail', '--grep', grep],
        });
        assert.equal(outcome.code, 1, outcome.stderr);
        assert.deepEqual(Object.values(outcome.failed), ['boom']);
        assert.deepEqual(outcome.passed, []);
        assert.equal(await given.usersNow(), 'ann,bob');
      }
    });
  });
}
