// The way of docs/adopt.md, gone with a suite that knew nothing of us: each step green, each test untouched until its step.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { type TestDatabase, createDatabase } from '../support/database';
import { type Finished, type Project, project, repo } from '../support/project';

// eslint-disable-next-line @typescript-eslint/no-require-imports -- a script of CI's, in plain JavaScript
const { filesOf } = require('../readme/extract.js') as {
  readonly filesOf: (markdown: string, example: string) => Record<string, string>;
};

const FIXTURE = path.join(repo, 'test', 'fixtures', 'legacy');
const GUIDE = fs.readFileSync(path.join(repo, 'docs', 'adopt.md'), 'utf8');

type Files = Readonly<Record<string, string>>;

/** What each step changes in the files that are there before it. */
const STEPS: readonly ((files: Files) => Files)[] = [
  () => filesOf(GUIDE, 'legacy-1'),
  () => filesOf(GUIDE, 'legacy-2'),
  (files) => ({ ...filesOf(GUIDE, 'legacy-3'), ...tagged(files) }),
  (files) => ({ ...filesOf(GUIDE, 'legacy-4'), ...withoutCleaning(files), ...rewritten() }),
];

/** The titles the guide tags. */
function tagged(files: Files): Files {
  const tests = [...GUIDE.matchAll(/^it\('(.+) @truncate', async/gm)].map((match) => match[1] ?? '');
  assert.equal(tests.length, 2);
  const name = 'test/worker.test.js';
  return {
    [name]: tests.reduce((text, title) => text.replace(`it('${title}'`, `it('${title} @truncate'`), files[name] ?? ''),
  };
}

/** Lines that do nothing but clean, and those that import what they cleaned with. */
function withoutCleaning(files: Files): Files {
  const hook = /^ *(?:before|after|beforeEach|afterEach)\((?:cleanDatabase|\(\) => db\('products'\)\.del\(\))\);\n/gm;
  const tests = Object.entries(files).filter(([name]) => name.endsWith('.test.js'));
  return Object.fromEntries(
    tests.map(([name, text]) => [name, text.replaceAll(hook, '').replace(/^const \{ cleanDatabase \}.*\n/m, '')]),
  );
}

/** The tests that built on each other, and the one that counted on TRUNCATE … RESTART IDENTITY. */
function rewritten(): Files {
  return {
    'test/checkout-flow.test.js': read('after/checkout-flow.test.js'),
    'test/customers.test.js': read('after/customers.test.js'),
  };
}

function read(name: string): string {
  return fs.readFileSync(path.join(FIXTURE, name), 'utf8');
}

function legacyApp(): Files {
  const names = fs.readdirSync(FIXTURE, { recursive: true, encoding: 'utf8' });
  return Object.fromEntries(
    names
      .filter((name) => !name.startsWith('after') && fs.statSync(path.join(FIXTURE, name)).isFile())
      .map((name) => [name.split(path.sep).join('/'), read(name)]),
  );
}

/** The app as it is after so many steps. */
function after(steps: number): Files {
  return STEPS.slice(0, steps).reduce((files, step) => ({ ...files, ...step(files) }), legacyApp());
}

const SUMMARIES = [
  /(?!)/, // there is none before the first step
  /rewind: 40 left alone · /,
  /rewind: 34 committed, undone \(.*\) · 6 left alone · /,
  /rewind: 32 rolled back · 2 committed, undone \(.*\) · 6 left alone · /,
  /rewind: 38 rolled back · 2 committed, undone \(.*\) · isolation /,
];

const IDLE_HOOKS = / hooks clean what is undone anyway, [\d.]+ ms of this run: test\/.*\.test\.js:\d+ \(\w+, \d+ ×/;

describe('a suite with cleaning of its own', () => {
  let database: TestDatabase;
  let app: Project;
  beforeEach(async () => {
    database = await createDatabase();
    app = project({ files: legacyApp() });
  });
  afterEach(async () => {
    app.remove();
    await database.drop();
  });

  const mocha = (...args: string[]): Promise<Finished> => app.mocha(args, { DATABASE_URL: database.url });
  const cli = (...args: string[]): Promise<Finished> => app.cli(args, { DATABASE_URL: database.url });
  async function assertGreen(step: number): Promise<Finished> {
    const run = await mocha();
    assert.equal(run.code, 0, run.output);
    assert.match(run.stdout, /^ {2}40 passing/m);
    if (step > 0) assert.match(run.stderr, SUMMARIES[step] ?? /(?!)/);
    return run;
  }
  async function assertSeeded(): Promise<void> {
    const [row] = await database.query(`
      select (select string_agg(key, ',' order by key) from settings) as settings,
        (select count(*)::int from customers) + (select count(*)::int from products) + (select count(*)::int from orders)
          + (select count(*)::int from jobs) as others`);
    assert.deepEqual(row, { settings: 'currency,shipping', others: 0 });
  }

  it('goes all the way on one database, green after each step, and hears before the last which hooks have nothing left to clean', async () => {
    await assertGreen(0);

    const init = await cli('init', '--yes');
    assert.match(init.stdout, /^ {2}Cleaning hooks +8 hooks$/m);
    for (const [name, text] of Object.entries(filesOf(GUIDE, 'legacy-1'))) {
      assert.equal(fs.readFileSync(path.join(app.dir, name), 'utf8'), text, `${name} as the guide shows it`);
    }
    await assertGreen(1);

    for (const step of [2, 3, 4]) {
      app.write(after(step));
      const { stderr } = await assertGreen(step);
      if (step < 4) assert.match(stderr, IDLE_HOOKS);
      else assert.doesNotMatch(stderr, /undone anyway/);
      await assertSeeded();
    }

    assert.equal((await cli('verify')).code, 0);
    assert.match((await cli('init')).stdout, /^ {2}Cleaning hooks +none$/m);
  }).timeout(120_000);

  for (const step of [1, 2, 3, 4]) {
    it(`is green on a new database after step ${step} @full`, async () => {
      app.write(after(step));
      await assertGreen(step);
      if (step > 1) await assertSeeded();
    });
  }

  it('is not touched before its step', () => {
    const changed = (step: number): string[] => {
      const [before, now] = [after(step - 1), after(step)];
      return Object.keys(now)
        .filter((name) => now[name] !== before[name])
        .sort();
    };
    assert.deepEqual(changed(1), ['.mocharc.json', 'rewind.config.js']);
    assert.deepEqual(changed(2), ['rewind.config.js']);
    assert.deepEqual(changed(3), ['rewind.config.js', 'test/worker.test.js']);
    assert.deepEqual(linesChanged('test/worker.test.js', 2, 3), [
      "  it('does it in a process of its own @truncate', async () => {",
      "  it('shares the work with another process @truncate', async () => {",
    ]);
    for (const name of changed(4).filter((n) => !(n in rewritten()) && n.startsWith('test/'))) {
      assert.deepEqual(linesChanged(name, 3, 4), [], `${name} only loses lines`);
    }
  });

  it('shows in step 2 which tests depend on each other: no others fail without the rule @full', async () => {
    app.write(after(2));
    app.write({ 'rewind.config.js': (after(2)['rewind.config.js'] ?? '').replace(/^ {2}rules: .*\n/m, '') });
    const run = await mocha('--reporter', 'json');
    const { failures } = JSON.parse(run.stdout) as { failures: { file: string }[] };
    assert.equal(failures.length, 4, run.output);
    assert.deepEqual([...new Set(failures.map((test) => path.basename(test.file)))], ['checkout-flow.test.js']);
  });

  it('shows in step 3 which tests have to commit: no others fail without the tags @full', async () => {
    app.write(after(3));
    app.write({ 'test/worker.test.js': legacyApp()['test/worker.test.js'] ?? '' });
    const run = await mocha('--reporter', 'json');
    const { failures } = JSON.parse(run.stdout) as { failures: { fullTitle: string }[] };
    assert.deepEqual(
      failures.map((test) => test.fullTitle),
      ['worker does it in a process of its own', 'worker shares the work with another process'],
      run.output,
    );
  });

  it('is told by the audit in step 2 which tests have to commit, and has them tagged @full', async () => {
    app.write(after(2));
    const run = await cli('audit', '--write', '--yes');
    assert.equal(run.code, 0, run.output);
    assert.match(run.stdout, /^Could be rolled back: 32 /m);
    assert.match(run.stdout, /^Have to commit: 2 /m);
    assert.match(
      run.stdout,
      /`default: 'truncate'`: 32 of the 34 tests that it commits could be rolled back\. With @truncate/,
    );
    for (const [name, text] of Object.entries(after(3))) {
      if (name !== 'rewind.config.js') assert.equal(fs.readFileSync(path.join(app.dir, name), 'utf8'), text, name);
    }
  }).timeout(120_000);

  it('depends on its order at first, and on none at the end @full', async () => {
    const alone = ['--grep', 'has tea on the shelf again'];
    assert.equal((await mocha(...alone)).code, 1);
    app.write(after(4));
    const run = await mocha(...alone);
    assert.equal(run.code, 0, run.output);
    const parallel = await mocha('--parallel', '--jobs', '2');
    assert.equal(parallel.code, 0, parallel.output);
    assert.match(parallel.stdout, /^ {2}40 passing/m);
    const files = Object.keys(after(4)).filter((name) => name.endsWith('.test.js'));
    app.write({ '.mocharc.json': { require: ['mocha-rewind/register'] } });
    const reversed = await mocha(...files.sort().reverse());
    assert.equal(reversed.code, 0, reversed.output);
    assert.match(reversed.stdout, /^ {2}40 passing/m);
  });

  it('can go back from any step in which it still cleans @full', async () => {
    app.write(after(3));
    await assertGreen(3);
    const removed = await cli('remove');
    assert.equal(removed.code, 0, removed.output);
    fs.rmSync(path.join(app.dir, 'rewind.config.js'));
    app.write({ '.mocharc.json': legacyApp()['.mocharc.json'] ?? '' });
    await assertGreen(0);
    assert.deepEqual(await database.query("select 1 from pg_namespace where nspname = 'rewind'"), []);
  });
});

/** Lines of a file that a step has put there. */
function linesChanged(name: string, from: number, to: number): string[] {
  const before = new Set(after(from)[name]?.split('\n'));
  return (after(to)[name] ?? '').split('\n').filter((line) => !before.has(line));
}
