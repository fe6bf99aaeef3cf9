// The JSON reporter in real mocha processes: alone and beside others, serial and parallel, on every supported Mocha.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import type { JsonReport, JsonTest } from '../../lib/report';
import { type Finished, MOCHAS, type Project, project } from '../support/project';
import { full } from '../support/tiers';

/** Attaches facts as the mocha room does, without a database: to the test when it is over, and to what a worker sends. */
const PLUGIN = `
exports.mochaHooks = {
  afterEach() {
    const test = this.currentTest;
    const truncate = test.title.includes('@truncate');
    const endedAt = Date.now();
    test.rewind = {
      mode: truncate ? 'truncate' : 'rollback', phase: truncate ? 2 : 1, isolationMs: 1.23456,
      startedAt: endedAt - 5, endedAt, worker: process.env.MOCHA_WORKER_ID,
      ...(truncate && { restore: { ms: 2.5, tables: ['public.users', 'audit.log'], rowsRemoved: 1, rowsAdded: 2, sequences: 1 } }),
    };
    const serialize = test.serialize;
    test.serialize = () => ({ ...serialize.call(test), rewind: test.rewind });
    if (test.title.includes('blamed')) this.test.error(new Error('left a transaction open'));
  },
};`;

const SPECS = {
  'test/a.spec.js': `
describe('users', () => {
  it('are renamed', () => {});
  it('are mailed @truncate', () => {});
  it.skip('are forgotten', () => {});
  it('fail', () => { throw new Error('no'); });
  let tries = 0;
  it('pass the second time', function () { this.retries(1); if (tries++ === 0) throw new Error('not yet'); });
});`,
  'test/b.spec.js': `
it('are renamed', () => {});
describe('hooks', () => {
  before(() => { throw new Error('broken'); });
  it('is never run', () => {});
});`,
};
const SPEC_ARGS = ['--require', './plugin.cjs', 'test/a.spec.js', 'test/b.spec.js'];
const DIRECT = ['--reporter', 'mocha-rewind/reporter'];
const MULTI = ['--reporter', 'mocha-multi-reporters', '--reporter-option', 'configFile=reporters.json'];
const REPORTERS = {
  reporterEnabled: 'spec, mocha-rewind/reporter',
  mochaRewindReporterReporterOptions: { output: 'out/deep/rewind.json' },
};

type Line = Omit<JsonTest, 'durationMs' | 'startMs' | 'endMs' | 'worker'>;

const expected: readonly Line[] = [
  line('test/a.spec.js', ['users', 'are renamed'], 'passed'),
  {
    ...line('test/a.spec.js', ['users', 'are mailed @truncate'], 'passed'),
    mode: 'truncate',
    phase: 2,
    restoreMs: 2.5,
    tablesRestored: ['public.users', 'audit.log'],
    rowsRemoved: 1,
    rowsAdded: 2,
  },
  { ...line('test/a.spec.js', ['users', 'are forgotten'], 'pending'), mode: null, phase: null, isolationMs: null },
  { ...line('test/a.spec.js', ['users', 'fail'], 'failed'), error: 'no' },
  { ...line('test/a.spec.js', ['users', 'pass the second time'], 'failed'), retried: true, error: 'not yet' },
  line('test/a.spec.js', ['users', 'pass the second time'], 'passed'),
  line('test/b.spec.js', ['are renamed'], 'passed'),
];

function line(file: string, path: readonly string[], state: JsonTest['state']): Line {
  return {
    file,
    title: path.join(' '),
    path,
    state,
    retried: false,
    error: null,
    mode: 'rollback',
    phase: 1,
    isolationMs: 1.235,
    restoreMs: null,
    tablesRestored: [],
    rowsRemoved: null,
    rowsAdded: null,
  };
}

function assertReported(p: Project, output: string): void {
  const { version, run, totals, tests } = JSON.parse(fs.readFileSync(path.join(p.dir, output), 'utf8')) as JsonReport;
  assert.equal(version, 1);
  assert.equal(new Date(run.startedAt).toISOString(), run.startedAt);
  assert.ok(run.isolationShare > 0 && run.isolationShare <= 1, String(run.isolationShare));
  assert.deepEqual(run.failedHooks, [{ title: 'hooks "before all" hook for "is never run"', error: 'broken' }]);
  assert.equal(run.workers, new Set(tests.flatMap((t) => t.worker ?? [])).size || 1);
  for (const { durationMs, state, startMs, endMs } of tests) {
    assert.equal(typeof durationMs, 'number');
    if (state === 'pending') assert.deepEqual([startMs, endMs], [null, null]);
    else assert.equal(Math.round((endMs ?? 0) - (startMs ?? 0)), 5);
  }
  const byFile = (a: { file: string | null }, b: { file: string | null }): number =>
    String(a.file).localeCompare(String(b.file));
  assert.deepEqual(
    tests.map(({ durationMs: _, startMs: __, endMs: ___, worker: ____, ...test }) => test).sort(byFile), // workers end in any order
    expected,
  );
  const { isolationShare, ...rest } = totals;
  assert.ok(isolationShare > 0 && isolationShare <= 1, String(isolationShare));
  assert.deepEqual(rest, {
    tests: 6,
    passed: 4,
    failed: 1,
    pending: 1,
    modes: { rollback: 5, truncate: 1, nodb: 0, schema: 0, dirty: 0, unmanaged: 0 },
    isolationMs: 7.407,
    restores: 1,
    restoreMs: 2.5,
  });
}

async function withProject(
  files: object,
  mocha: keyof typeof MOCHAS,
  use: (p: Project) => Promise<void>,
): Promise<void> {
  const p = project({ files: { 'plugin.cjs': PLUGIN, ...SPECS, 'reporters.json': REPORTERS, ...files }, mocha });
  try {
    await use(p);
  } finally {
    p.remove();
  }
}

describe('the JSON reporter', () => {
  for (const mocha of Object.keys(MOCHAS) as (keyof typeof MOCHAS)[]) {
    for (const mode of ['serial', 'parallel'] as const) {
      const parallel = mode === 'parallel' ? ['--parallel', '--jobs', '2'] : [];

      it(`writes each attempt of each test, in reports/rewind.json (mocha ${mocha}, ${mode})${full(mocha !== '12')}`, () =>
        withProject({}, mocha, async (p) => {
          const { code, output } = await p.mocha([...DIRECT, ...parallel, ...SPEC_ARGS]);
          assert.equal(code, 2, output);
          assertReported(p, 'reports/rewind.json');
          assert.equal(output, '', 'it prints nothing itself');
        }));

      it(`does so beside others, through mocha-multi-reporters (mocha ${mocha}, ${mode})${full(mocha !== '12')}`, () =>
        withProject({}, mocha, async (p) => {
          const { code, output } = await p.mocha([...MULTI, ...parallel, ...SPEC_ARGS]);
          assert.equal(code, 2, output);
          assert.match(output, /4 passing/);
          assertReported(p, 'out/deep/rewind.json');
        }));

      it(`believes the last word on a test that an afterEach hook fails (mocha ${mocha}, ${mode})${full(mocha !== '12')}`, () =>
        withProject({ 'test/c.spec.js': "it('is blamed', () => {});" }, mocha, async (p) => {
          await p.mocha([...DIRECT, ...parallel, '--require', './plugin.cjs', 'test/c.spec.js']);
          const { tests } = JSON.parse(fs.readFileSync(path.join(p.dir, 'reports/rewind.json'), 'utf8')) as JsonReport;
          assert.deepEqual(
            tests.map((t) => [t.title, t.state]),
            [['is blamed', 'failed']],
          );
        }));

      for (const [how, args] of [
        ['alone', [...DIRECT, '--reporter-option', 'output=taken/rewind.json']],
        ['beside others', MULTI],
      ] as const) {
        it(`turns a green run red where it can't write, and says so once (mocha ${mocha}, ${mode}, ${how})${full(mocha !== '12')}`, () =>
          withProject(
            {
              taken: 'a file where a folder has to be',
              'reporters.json': { ...REPORTERS, mochaRewindReporterReporterOptions: { output: 'taken/rewind.json' } },
              'test/green.spec.js': "it('passes', () => {});",
            },
            mocha,
            async (p) => {
              const finished = await p.mocha([...args, ...parallel, 'test/green.spec.js']);
              assertClear(finished);
            },
          ));
      }
    }
  }

  it('is of the same shape for a run without tests', () =>
    withProject({ 'test/none.spec.js': '' }, '12', async (p) => {
      const { code, output } = await p.mocha([...DIRECT, '--pass-on-failing-test-suite', 'test/none.spec.js']);
      assert.equal(code, 0, output);
      const { totals, tests } = JSON.parse(
        fs.readFileSync(path.join(p.dir, 'reports/rewind.json'), 'utf8'),
      ) as JsonReport;
      assert.deepEqual(tests, []);
      assert.equal(totals.isolationShare, 0);
    }));
});

function assertClear({ code, stderr, output }: Finished): void {
  assert.notEqual(code, 0, output);
  assert.equal(
    stderr
      .trim()
      .split('\n')[0]
      ?.replace(/: E[A-Z]+:.*/, ''),
    'REWIND_CONFIG: mocha-rewind/reporter could not write taken/rewind.json',
    output,
  );
  assert.equal(output.match(/could not write/g)?.length, 1);
  assert.doesNotMatch(output, /^\s+at /m);
}
