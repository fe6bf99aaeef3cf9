// The audit, on real suites: what it says is what further runs of mocha have shown, and what it writes is green.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { type TestDatabase, createDatabase } from '../support/database';
import { type Finished, type Project, type ProjectOptions, project } from '../support/project';
import { SPEC } from '../support/run';
import { full } from '../support/tiers';
import { USERS } from '../support/users';

const ADD = `await db('users').insert({ name: 'cy' });`;
/** Passes only where other connections see what it has written. */
const COMMITTED = `${ADD} const other = require('knex').knex({ client: 'pg', connection: process.env.DATABASE_URL });
  const [{ n }] = (await other.raw('select count(*)::int as n from public.users /* not managed */')).rows; await other.destroy();
  assert.equal(n, 3);`;

interface Trial {
  readonly file: string;
  readonly title: string;
  readonly savedMs: number;
  readonly reason?: string;
}
interface Json {
  readonly tests: number;
  readonly passed: number;
  readonly couldRollBack: readonly Trial[];
  readonly haveToCommit: readonly Trial[];
  readonly wantTruncate: readonly Trial[];
  readonly failing: readonly Trial[];
  readonly dependent: readonly { title: string; when: string; needs?: string }[];
  readonly advice: readonly string[];
  readonly byHand: readonly { what: string; why: string }[];
  readonly changes: readonly { path: string; lines: readonly string[] }[];
}

const titles = (trials: readonly { title: string }[]): string[] => trials.map(({ title }) => title);

describe('mocha-rewind audit', () => {
  let database: TestDatabase;
  const apps: Project[] = [];
  beforeEach(async () => (database = await createDatabase(USERS)));
  afterEach(async () => {
    for (const app of apps.splice(0)) app.remove();
    await database.drop();
  });

  function suite(specs: Readonly<Record<string, string>>, config = '', files: ProjectOptions['files'] = {}): Project {
    const withHead = Object.entries(specs).map(([name, text]) => [name, SPEC + text] as const);
    const app = project({
      files: {
        '.mocharc.json': { require: ['mocha-rewind/register'], spec: ['*.spec.js'], bail: true, parallel: true },
        'db.js': `module.exports = require('knex').knex({ client: 'pg', connection: process.env.DATABASE_URL, pool: { min: 0, max: 4 } });`,
        'rewind.config.js': `module.exports = { knex: require('./db'), ${config} };`,
        ...Object.fromEntries(withHead),
        ...files,
      },
    });
    apps.push(app);
    return app;
  }
  const audit = (p: Project, ...args: string[]): Promise<Finished> =>
    p.cli(['audit', ...args], { DATABASE_URL: database.url });
  async function found(p: Project, ...args: string[]): Promise<Json> {
    const run = await audit(p, '--json', ...args);
    assert.equal(run.code, 0, run.output);
    return JSON.parse(run.stdout) as Json;
  }
  const read = (p: Project, name: string): string => fs.readFileSync(path.join(p.dir, name), 'utf8').replace(SPEC, '');

  it('tells tests that have to commit from those that could be rolled back, and the other way round', async () => {
    const p = suite({
      'a.spec.js': `describe('users', () => {
        it('are added @truncate', async () => { ${ADD} assert.equal(await names(), 'ann,bob,cy'); });
        it('are seen by others @truncate', async () => { ${COMMITTED} });
        it('are seen too', async () => { ${COMMITTED} });
        it('are broken', async () => { assert.equal(await names(), 'nobody'); });
        it('are broken', () => {});
        it('are fine', async () => { assert.equal(await names(), 'ann,bob'); });
      });`,
    });
    const refused = await audit(p, '--html', 'a.spec.js/audit.html');
    assert.match(refused.output, /REWIND_CONFIG: --html "a\.spec\.js\/audit\.html": .*(?:EEXIST|ENOTDIR)/);
    assert.deepEqual([refused.code, refused.stdout], [1, '']);
    const run = await audit(p, '--html', 'reports/audit.html');
    assert.equal(run.code, 0, run.output);
    const page = fs.readFileSync(path.join(p.dir, 'reports', 'audit.html'), 'utf8');
    const text = page
      .replace(/<(script|style)[^]*?<\/\1>/g, '')
      .replace(/<[^>]+>/g, ' ')
      .replace(/\s+/g, ' ');
    assert.match(text, /Could be rolled back: passed once .* less a\.spec\.js: users are added @truncate · [−+]/);
    assert.match(text, /Have to commit: .* a\.spec\.js: users are seen by others @truncate · \S/);
    assert.match(text, /Want @truncate: .* a\.spec\.js: users are seen too Fail: .*: users are broken · Expected/);
    assert.doesNotMatch(text, /Depend on other tests|By hand/);
    assert.match(run.stdout, /^5 tests as they are: 3 passed, 2 failed\.$/m);
    assert.match(run.stdout, /^Could be rolled back: 1 .*\n {2}a\.spec\.js\n {4}users are added @truncate {2}[−+]/m);
    assert.match(run.stdout, /^Have to commit: 1 .*\n {2}a\.spec\.js\n {4}users are seen by others @truncate\n {6}\S/m);
    assert.match(run.stdout, /^Want @truncate: 1 .*\n {2}a\.spec\.js\n {4}users are seen too$/m);
    assert.match(run.stdout, /^Fail: 1 .*\n {2}a\.spec\.js\n {4}users are broken\n {6}Expected/m);
    assert.match(run.stdout, /npx mocha-rewind audit --write/);
    assert.match(read(p, 'a.spec.js'), /are added @truncate/, 'nothing is written unasked');
  });

  it('changes the tags in the files, after which the suite is green', async () => {
    const p = suite(
      {
        'a.spec.js': `
describe('all of it @truncate', () => {
  it('adds', async () => { ${ADD} });
  it('adds, too', async () => { ${ADD} });
});
describe('some of it @truncate', () => {
  it('could', async () => { ${ADD} });
  it('could not', async () => { ${COMMITTED} });
});
describe('mixed', () => {
  it("has one @commit", async () => { ${ADD} });
  it('is @truncate in words', async () => { ${ADD} });
  it('was refused', async () => { ${COMMITTED} });
  for (const n of [1, 2]) it('comes ' + n + ' times @truncate', async () => { ${ADD} });
  require('mocha-rewind').truncate.it('in code', async () => { ${ADD} });
});`,
      },
      `tags: { truncate: 'commit' }`,
    );
    const run = await audit(p, '--write', '--yes');
    assert.equal(run.code, 0, run.output);
    assert.match(run.stdout, /^- {3}it\("has one @commit", .*\n\+ {3}it\("has one", /m);
    assert.match(run.stdout, /^Written: a\.spec\.js\.$/m);
    assert.deepEqual(
      [...read(p, 'a.spec.js').matchAll(/(?:it|describe)\(('[^']*'|"[^"]*"),/g)].map(([, title]) => title),
      [
        `'all of it'`,
        `'adds'`,
        `'adds, too'`,
        `'some of it @truncate'`,
        `'could'`,
        `'could not'`,
        `'mixed'`,
        `"has one"`,
        `'is in words'`,
        `'was refused @truncate'`,
        `'in code'`,
      ],
    );
    assert.match(run.stdout, /By hand: 4/);
    assert.match(
      run.stdout,
      /some of it @truncate could\n {4}its describe is @truncate, and other tests in it need that/,
    );
    assert.match(run.stdout, /comes 1 times @truncate\n {4}take @truncate out: its title is not in the file/);
    assert.match(run.stdout, /mixed in code\n {4}its mode is in code: make it rollback/);
    const after = await p.mocha(['--no-parallel'], { DATABASE_URL: database.url });
    assert.equal(after.code, 0, after.output);
    assert.match(after.stderr, /rewind: 4 rolled back · 6 committed/);
  });

  it('knows what the mode would be without the tag @full', async () => {
    const p = suite({ 'a.spec.js': `it('adds @truncate', async () => { ${ADD} });` }, `default: 'truncate'`);
    const { changes } = await found(p);
    assert.deepEqual(
      changes[0]?.lines.map((line) => line.slice(0, 24)),
      ["- it('adds @truncate', as", "+ it('adds @rollback', as"].map((line) => line.slice(0, 24)),
    );
  });

  it('lets the config go where tags can say it @full', async () => {
    const p = suite(
      {
        'a.spec.js': `it('could', async () => { ${ADD} });\nit('could not', async () => { ${COMMITTED} });`,
        'b.spec.js': `it('could as well', async () => { ${ADD} });`,
      },
      `default: 'truncate'`,
    );
    const { advice, couldRollBack, haveToCommit } = await found(p, '--write', '--yes');
    assert.deepEqual([titles(couldRollBack), titles(haveToCommit)], [['could', 'could as well'], ['could not']]);
    assert.match(
      advice.join(),
      /^`default: 'truncate'`: 2 of the 3 tests that it commits could be rolled back\. With @truncate/,
    );
    assert.match(read(p, 'a.spec.js'), /it\('could', .*\nit\('could not @truncate', /);
    p.write({ 'rewind.config.js': `module.exports = { knex: require('./db') };` });
    const after = await p.mocha([], { DATABASE_URL: database.url });
    assert.equal(after.code, 0, after.output);
  });

  it('tries unmanaged tests on request, and takes no file apart @full', async () => {
    const p = suite({
      'a.spec.js': `describe('chain', () => {
        it('begins @unmanaged', async () => { ${ADD} });
        it('goes on @unmanaged', async () => { assert.equal(await names(), 'ann,bob,cy'); await db('users').where({ name: 'cy' }).del(); });
      });`,
      'b.spec.js': `it('is alone @unmanaged', async () => { ${ADD} await db('users').where({ name: 'cy' }).del(); });`,
    });
    assert.deepEqual(titles((await found(p)).couldRollBack), []);
    const { couldRollBack, haveToCommit, changes } = await found(p, '--unmanaged');
    assert.deepEqual(titles(couldRollBack).sort(), ['chain begins @unmanaged', 'is alone @unmanaged']);
    assert.deepEqual(titles(haveToCommit), ['chain goes on @unmanaged']);
    assert.deepEqual(
      changes.map((change) => change.path),
      ['b.spec.js'],
    );
  });

  it('finds tests that need another one before them, and which', async () => {
    const p = suite({
      'a.spec.js': `describe('chain @unmanaged', () => {
        it('has nothing to do with it', () => {});
        it('begins', async () => { ${ADD} });
        it('goes on', async () => { assert.equal(await names(), 'ann,bob,cy'); await db('users').where({ name: 'cy' }).del(); });
      });`,
    });
    const { dependent } = await found(p, '--alone-all');
    assert.deepEqual(
      dependent.map(({ title, when, needs }) => ({ title, when, needs })),
      [{ title: 'chain @unmanaged goes on', when: 'alone', needs: 'chain @unmanaged begins' }],
    );
  });

  it('finds tests that fail in another order, and looks at them alone @full', async () => {
    const p = suite({
      'a.spec.js': `let begun = 0; before(() => { begun = 0; });
        describe('a', () => { it('begins', () => { begun++; }); });
        describe('b', () => { it('goes on', () => { assert.equal(begun, 1); }); });`,
    });
    const { dependent } = await found(p, '--shuffle', '4', '--alone');
    assert.ok(dependent.some(({ title, when }) => title === 'b goes on' && when.startsWith('REWIND_SHUFFLE=')));
    assert.deepEqual(dependent.at(-1), { ...dependent.at(-1), title: 'b goes on', when: 'alone', needs: 'a begins' });
    assert.deepEqual((await found(p, '--alone')).dependent, []);
  });

  it('finds rollback tests that need empty tables, and leaves no trace of them in the next run', async () => {
    const p = suite({
      'a.spec.js': `it('counts', async () => { assert.equal((await db('users')).length, 2); });
        it('commits @truncate', async () => { await db('users').insert({ name: 'cy' + process.pid }); });`,
    });
    const { dependent } = await found(p, '--dirty');
    assert.deepEqual(
      dependent.map(({ title, when }) => [title, when]),
      [['counts', 'on dirty data']],
    );
    const after = await p.mocha(['--no-parallel'], { DATABASE_URL: database.url });
    assert.equal(after.code, 0, after.output);
    assert.equal((await database.query('select from users')).length, 2);
  });

  it('shares an embedded server among its runs @full', async () => {
    const p = suite(
      {
        'a.spec.js': `it('counts', async () => { assert.equal((await db('users')).length, 0); });
          it('commits @truncate', async () => { await db('users').insert({ name: 'cy' }); });`,
      },
      `migrate: (db) => db.raw('create table if not exists users (name text)')`,
      { '.mocharc.json': { require: ['mocha-rewind/embedded', 'mocha-rewind/register'], spec: ['*.spec.js'] } },
    );
    const run = await p.cli(['audit', '--json', '--dirty'], { DATABASE_URL: '' });
    const { dependent } = JSON.parse(run.stdout) as Json;
    assert.deepEqual(titles(dependent), ['counts'], run.output);
  });

  it('passes on what stands behind --, and writes only what somebody has said yes to', async () => {
    const text = `it('one @truncate', () => {}); it('two @truncate', () => {});`;
    const p = suite({ 'a.spec.js': text });
    const { code, stdout, output } = await audit(p, '--write', '--', '--grep', 'two');
    assert.equal(code, 0, output);
    assert.match(stdout, /^Could be rolled back: 1 .*\n {2}a\.spec\.js\n {4}two @truncate /m);
    assert.match(stdout, /Nothing was written: nobody is here to say yes/);
    assert.equal(read(p, 'a.spec.js'), text);
  });

  for (const [how, options] of [
    ['', []],
    [', also with options for Node.js, for which Mocha starts another process', ['--stack-trace-limit=20']],
  ] as const) {
    it(`follows a normal run with REWIND_AUDIT=1, and leaves that its exit code${how}${full(options.length > 0)}`, async () => {
      const p = suite({ 'a.spec.js': `it('one @truncate', () => {}); it('two', () => { throw new Error('two'); });` });
      const env = { DATABASE_URL: database.url, REWIND_AUDIT: '1' };
      const run = await p.mocha([...options, '--no-parallel', '--no-bail', '--grep', 'one|two'], env);
      assert.equal(run.code, 1, run.output);
      assert.match(
        run.output,
        /1 passing[^]*rewind: 1 rolled back · 1 committed[^]*2 tests as they are: 1 passed, 1 failed/,
      );
      assert.match(run.output, /Could be rolled back: 1 /);
    });
  }

  it('says so, with exit code 1, where the suite can’t be run as it is', async () => {
    const broken = await audit(suite({ 'a.spec.js': `throw new Error('broken at load');` }));
    assert.equal(broken.code, 1);
    assert.match(broken.stderr, /broken at load[^]*No test ran, so there is nothing to compare with/);
    const foreign = await audit(
      suite({ 'a.spec.js': `it('runs', () => {});` }, '', { '.mocharc.json': { spec: ['*.spec.js'] } }),
    );
    assert.equal(foreign.code, 1);
    assert.match(foreign.stderr, /No test of this run was isolated by mocha-rewind/);
    const typed = await audit(suite({}), '--shuffle', 'often');
    assert.deepEqual([typed.code, /--shuffle "often": how many orders\?/.test(typed.stderr)], [1, true], typed.output);
  });

  it('has nothing to say of a suite that needs nothing @full', async () => {
    const { stdout, code } = await audit(suite({ 'a.spec.js': `it('adds', async () => { ${ADD} });` }));
    assert.equal(code, 0);
    assert.match(stdout, /^No test to try in another mode/m);
  });
});
