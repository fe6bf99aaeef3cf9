import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { type TestDatabase, createDatabase } from '../support/database';
import { randomFrom, seed, shuffled } from './random';
import { type ExampleRun, type ExampleTest, runExample, specFiles } from './run-example';

// The nightly run sets it: more random orders, and every single test alone.
const rounds = Number(process.env.REWIND_TEST_ROUNDS ?? 0);

const ALONE = 6;

describe('the example app', function () {
  this.timeout(rounds > 0 ? 3_600_000 : 120_000);
  let database: TestDatabase;
  /** The plain run, on a server that it starts itself, to which the other ones are compared. */
  let plain: ExampleRun;

  before(async () => {
    database = await createDatabase();
    plain = await runExample();
  });
  after(() => database.drop());

  it('has a green suite of at least 60 tests in at least 8 files', () => {
    assertGreen(plain);
    assert.ok(plain.tests.length >= 60, `${plain.tests.length} tests`);
    const files = new Set(plain.tests.map((test) => test.file));
    assert.deepEqual([...files].sort(), specFiles());
    assert.ok(files.size >= 8);
  });

  it('runs one phase after the other, over all files', () => {
    const phases = plain.tests.map((test) => test.phase);
    assert.deepEqual(phases, [...phases].sort());
    assert.deepEqual([...new Set(phases)], [1, 2, 5]);
    const modes = new Set(plain.tests.map((test) => test.mode));
    assert.deepEqual([...modes].sort(), ['nodb', 'rollback', 'truncate', 'unmanaged']);
  });

  it('ends with a summary', () => {
    const count = (mode: string): number => plain.tests.filter((test) => test.mode === mode).length;
    const summary = plain.output.split('\n').find((line) => line.startsWith('  rewind: '));
    assert.match(
      summary ?? plain.output,
      new RegExp(
        `^ {2}rewind: ${count('rollback')} rolled back · ${count('nodb')} without database` +
          ` · ${count('truncate')} committed, undone \\([\\d.]+ ms each\\) · ${count('unmanaged')} left alone · isolation [\\d.]+ % of the run$`,
      ),
    );
  });

  it('says which tables a test had to have restored', () => {
    const tables = (title: string): readonly string[] | undefined =>
      plain.tests.find((test) => test.title.includes(title))?.tablesRestored;
    assert.deepEqual(tables('is something everybody can see'), ['public.jobs']);
    assert.deepEqual(tables('puts one job into the queue'), []);
  });

  it('has the same results on a database that is there, and leaves it as the seeds made it', async () => {
    const run = await runExample({ databaseUrl: database.url, args: ['--ignore', 'test/legacy/**'] });
    assertSame(run, { ...plain, tests: plain.tests.filter((test) => !test.file.startsWith('test/legacy/')) });
    assert.deepEqual(await database.query('select name from users order by id'), [
      { name: 'Ada' },
      { name: 'Ben' },
      { name: 'Cleo' },
      { name: 'Dan' },
    ]);
    const rest = 'select (select count(*) from orders)::int as orders, (select count(*) from jobs)::int as jobs,';
    assert.deepEqual(await database.query(`${rest} (select sum(stock) from products)::int as stock`), [
      { orders: 0, jobs: 0, stock: 126 },
    ]);
  });

  it('has the same results in any order of files @full', async () => {
    const random = randomFrom(seed);
    for (let round = 0; round < Math.max(1, rounds); round++) {
      const files = shuffled(specFiles(), random);
      assertSame(await runExample({ databaseUrl: database.url, files }), plain, `seed ${seed}: ${files.join(' ')}`);
    }
  });

  it('has the same results when another plugin moves what commits to the front @full', async () => {
    const run = await runExample({ databaseUrl: database.url, plugin: COMMITTING_FIRST });
    assertSame(run, plain);
    const managed = run.tests.filter((test) => test.mode !== 'unmanaged').map((test) => test.mode === 'truncate');
    assert.ok(managed.lastIndexOf(true) < managed.indexOf(false), 'the other plugin did not do its part');
  });

  it(`has the same result for ${rounds > 0 ? 'every test' : 'a test'} that is run alone @full`, async () => {
    const chosen = rounds > 0 ? plain.tests : shuffled(plain.tests, randomFrom(seed)).slice(0, ALONE);
    for (const { title } of chosen) {
      const grep = `^${title.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`;
      const run = await runExample({ databaseUrl: database.url, args: ['--grep', grep] });
      assertGreen(run, `seed ${seed}`);
      assert.deepEqual(titles(run.tests), [title]);
    }
  });

  it('needs no server, and leaves no process and no directory of the one it starts', () => {
    const socket = new URL(plain.databaseUrl).searchParams.get('host');
    assert.ok(socket, `no socket in ${plain.databaseUrl}`);
    assert.equal(fs.existsSync(socket), false, `${socket} is still there`);
    assert.deepEqual(processesThatName(socket), []);
  });
});

/** Sorts at the last moment, after mocha-rewind has put everything in its own order. */
const COMMITTING_FIRST = `
  const loaded = require(require.resolve('mocha', { paths: [process.cwd()] }));
  const Mocha = loaded.default ?? loaded;
  const commits = (suite) => suite.tests.concat(suite.suites).some((x) => x.title.includes('@truncate') || (x.suites && commits(x)));
  const rank = (x) => (x.fullTitle().includes('@truncate') || (x.suites && commits(x)) ? 0 : 1);
  const sort = (suite) => {
    suite.tests.sort((a, b) => rank(a) - rank(b));
    suite.suites.sort((a, b) => rank(a) - rank(b)).forEach(sort);
  };
  const { run } = Mocha.prototype;
  Mocha.prototype.run = function (...args) {
    const runner = run.apply(this, args);
    runner.on('start', () => sort(runner.suite));
    return runner;
  };`;

function processesThatName(text: string): string[] {
  return execFileSync('ps', ['-eo', 'pid,args'], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.includes(text));
}

function titles(tests: readonly ExampleTest[]): string[] {
  return tests.map((test) => test.title).sort();
}

function assertGreen(run: ExampleRun, hint = ''): void {
  const failed = run.tests.filter((test) => test.state !== 'passed').map((test) => test.title);
  if (run.code === 0 && run.tests.length > 0 && failed.length === 0) return;
  const end = run.output.slice(Math.max(0, run.output.search(/^ {2}\d+ passing/m)));
  assert.fail([hint, `exit code ${run.code}; failed:`, ...failed, '', end].join('\n'));
}

/** Every test passes in both, in the same mode; the order may differ. */
function assertSame(run: ExampleRun, plain: ExampleRun, hint = ''): void {
  assertGreen(run, hint);
  const results = (tests: readonly ExampleTest[]): string[] => tests.map((t) => `${t.title}: ${t.mode}`).sort();
  assert.deepEqual(results(run.tests), results(plain.tests), hint);
}
