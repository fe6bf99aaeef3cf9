import assert from 'node:assert/strict';
import type { RunFacts } from '../../lib/facts';
import { assertScopes } from './support/assert-scopes';
import { VERSIONS, type Recorded, type RecordedRun, recorded } from './support/recorded';
import { full } from '../support/tiers';

const PARALLEL = ['--parallel', '--jobs', '2'];

interface Ended {
  readonly tests: readonly {
    readonly title: string;
    readonly state: string;
    readonly facts?: { readonly mode: string };
  }[];
}

/** What each worker did, run by run (a file is a run). */
function runsOf(run: RecordedRun): RecordedRun[] {
  const workers = [...new Set(run.events.map((event) => event.worker))].filter((worker) => worker !== undefined);
  return workers.flatMap((worker) => {
    const runs: Recorded[][] = [];
    for (const event of run.events.filter((e) => e.worker === worker)) {
      if (event.what === 'begin') runs.push([]);
      runs.at(-1)?.push(event);
    }
    return runs.map((events) => ({ ...run, events }));
  });
}

for (const mocha of VERSIONS) {
  describe(`parallel runs, on mocha ${mocha}${full(mocha !== '12')}`, function () {
    this.timeout(60_000);

    it('are one run for each file in a worker, and one in the main process that hears of all tests', async () => {
      const files = {
        'a.spec.js': `hooks('a'); T('a1'); T('a2 @truncate'); T('a3'); let n = 0; it('flaky', function () { this.retries(1); if (n++ === 0) throw new Error('again'); });`,
        'b.spec.js': `describe('S @truncate', () => { hooks('S'); T('b1'); T('b2', () => { throw new Error('x'); }); it('b3'); });`,
        'c.spec.js': `T('c1 @nodb');`,
      };
      const run = await recorded(files, {
        mocha,
        args: PARALLEL,
        handler: `{ depart: async (scope) => scope.title === 'c1 @nodb' ? [new Error('leaked')] : [] }`,
      });
      const runs = runsOf(run);
      assert.equal(runs.length, 3);
      runs.forEach(assertScopes);
      for (const { events } of runs) {
        const plan = events[0]?.detail as Record<string, unknown>;
        assert.deepEqual([plan['role'], plan['worker']], ['worker', events[0]?.worker]);
      }

      const main = run.events.filter((event) => event.worker === undefined);
      assert.deepEqual(
        main.map((event) => event.what),
        ['begin', 'workersStart', 'heard', 'heard', 'heard', 'ended'],
        'the main process runs no test and has no scope',
      );
      assert.deepEqual(
        main.flatMap(({ what, detail }) => (what === 'heard' ? (detail as RunFacts).notes : [])).sort(),
        runs.map(({ events }) => events[0]?.worker).sort(),
        'it hears of each file',
      );
      assert.deepEqual(main[0]?.detail, {
        role: 'main',
        counts: { rollback: 0, truncate: 0, nodb: 0, schema: 0, dirty: 0, unmanaged: 0 },
        first: {},
      });
      const { tests } = main.at(-1)?.detail as Ended;
      assert.deepEqual(tests.map((t) => `${t.title}: ${t.state}, ${t.facts?.mode}`).sort(), [
        'S @truncate b1: passed, truncate',
        'S @truncate b2: failed, truncate',
        'a1: passed, rollback',
        'a2 @truncate: passed, truncate',
        'a3: passed, rollback',
        'c1 @nodb: failed, nodb',
        'flaky: failed, rollback',
        'flaky: passed, rollback',
      ]);
      assert.equal(run.code, 2, run.output);
    });

    it('queue files that mention committing tests last, by tag and by rule, and the longest first', async () => {
      const files = {
        'x.spec.js': `T('long'); //${'-'.repeat(100)}`,
        'y.spec.js': `T('longest'); //${'-'.repeat(200)}`,
        'a.spec.js': `T('a @dirty');`,
        'b.spec.js': `T('b @truncate');`,
        'c.spec.js': `T('c');`,
        'legacy.spec.js': `T('l');`,
        'mail.spec.js': `T('write to x@truncate.com');`,
        'd.spec.js': `T('d @truncate');`,
      };
      const run = await recorded(files, {
        mocha,
        args: ['--parallel', '--jobs', '2'],
        tagging: `{ rules: [{ files: (file) => file === 'legacy.spec.js', mode: 'unmanaged' }] }`,
      });
      // Two workers take files from one queue: in each of them the phases can only rise.
      const phase: Readonly<Record<string, number>> = {
        long: 1,
        longest: 1,
        c: 1,
        'write to x@truncate.com': 1,
        'b @truncate': 2,
        'd @truncate': 2,
        'a @dirty': 3,
        l: 4,
      };
      for (const worker of ['0', '1']) {
        const phases = run.events.filter((e) => e.worker === worker && e.what === 'test').map((e) => phase[e.of]!);
        assert.deepEqual(phases, [...phases].sort(), `worker ${worker}`);
      }
      const first = ['0', '1'].map((worker) => run.events.find((e) => e.worker === worker && e.what === 'test')?.of);
      assert.deepEqual(first, ['longest', 'long']);
      assert.equal(run.ran.length, 8);
      assert.equal(run.code, 0, run.output);
    });

    it('ask for the main process’s handler before there is a worker', async () => {
      const run = await recorded(
        {
          'a.spec.js': `it('a', () => { if (process.env.FROM_MAIN !== 'yes') throw new Error('too late'); });`,
          'b.spec.js': `T('b')`,
        },
        {
          mocha,
          args: PARALLEL,
          handler: `(() => { if (plan.role === 'main') process.env.FROM_MAIN = 'yes'; return {}; })()`,
        },
      );
      assert.equal(run.code, 0, run.output);
    });

    it('tell it of their workers when mochaGlobalSetup is over, which may write what those are to find', async () => {
      const run = await recorded(
        {
          'a.spec.js': `T('a')`,
          'b.spec.js': `T('b')`,
          'setup.js': `exports.mochaGlobalSetup = async () => { await new Promise(setImmediate); globalThis.isSetUp = true; };`,
        },
        {
          mocha,
          args: [...PARALLEL, '--require', './setup.js'],
          handler: `{ workersStart: () => { if (!globalThis.isSetUp) throw new Error('too early'); } }`,
        },
      );
      assert.equal(run.code, 0, run.output);
      const told = run.events.filter(({ what }) => what === 'workersStart');
      assert.deepEqual(
        told.map(({ detail }) => detail),
        [2],
      );
    });

    it('with --jobs 1 are serial runs @full', async () => {
      const run = await recorded(
        { 'a.spec.js': `T('a @truncate')`, 'b.spec.js': `T('b')` },
        { mocha, args: ['--parallel', '--jobs', '1'] },
      );
      assertScopes(run);
      assert.deepEqual(run.ran, ['b', 'a @truncate']);
    });

    it('are not begun where the main process’s handler can’t be had', async () => {
      const run = await recorded(
        { 'a.spec.js': `T('a')`, 'b.spec.js': `T('b')` },
        { mocha, args: PARALLEL, handler: `(() => { throw new Error('oops'); })()` },
      );
      assert.deepEqual(run.ran, []);
      assert.match(run.output, /oops/);
      assert.equal(run.code, 1, run.output);
    });

    it('fail, with the message, where a worker can’t start', async () => {
      const run = await recorded(
        { 'a.spec.js': `T('a')`, 'b.spec.js': `T('b')` },
        { mocha, args: PARALLEL, handler: `{ start: async () => { throw new Error('no database'); } }` },
      );
      assert.deepEqual(run.ran, []);
      assert.equal(run.code, 2, run.output);
      assert.match(run.output, /no database/);
    });

    it('fail where a worker’s run fails after its last hook @full', async () => {
      const run = await recorded(
        { 'a.spec.js': `T('a'); after(() => { throw new Error('own'); });`, 'b.spec.js': `T('b')` },
        {
          mocha,
          args: PARALLEL,
          handler: `{ ended: () => { if (process.env.MOCHA_WORKER_ID) throw new Error('oops'); } }`,
        },
      );
      assert.equal(run.code, 3, run.output);
      assert.match(run.stderr, /oops/);
    });

    it('cost one file alone where an exception is thrown while that file is loaded', async () => {
      const run = await recorded(
        {
          'a.spec.js': `setImmediate(() => { throw Object.freeze(new Error('while loading')); }); T('a1'); T('a2');`,
          'b.spec.js': `T('b1', later); T('b2', later);`,
          'c.spec.js': `T('c1', later); T('c2', later);`,
          'd.spec.js': `T('d1', later); T('d2', later);`,
          'later.js': `globalThis.later = () => new Promise((r) => setTimeout(r, 20));`,
        },
        { mocha, args: [...PARALLEL, '--require', './later.js'] },
      );
      assert.deepEqual([...run.ran].sort(), ['b1', 'b2', 'c1', 'c2', 'd1', 'd2'], run.output);
      for (const { events } of runsOf(run)) {
        if (events.some(({ what }) => what === 'enter')) assertScopes({ ...run, events });
      }
      assert.deepEqual(
        run.report?.failures.map((t) => [t.fullTitle, t.err.message]),
        [['Uncaught error outside test suite', 'while loading']],
      );
      assert.equal(run.report?.stats.passes, 6);
      assert.equal(run.code, 1);
      assert.doesNotMatch(run.stderr, /mocha-rewind/);
    });
  });
}
