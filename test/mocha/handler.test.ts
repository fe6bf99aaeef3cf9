// What the run's handler says is what Mocha's user sees: on that test, and on no other.
import assert from 'node:assert/strict';
import { assertScopes } from './support/assert-scopes';
import { VERSIONS, type RecordedRun, recorded } from './support/recorded';
import { full } from '../support/tiers';

const THREE = { 'a.spec.js': `describe('S', () => { hooks('S'); T('a'); T('b'); T('c'); });` };
const on = (title: string): string => `scope.title === ${JSON.stringify(title)}`;

const failed = (run: RecordedRun): unknown => run.report?.failures.map((t) => [t.fullTitle, t.err.message]);
const passed = (run: RecordedRun): unknown => run.report?.passes.map((t) => t.fullTitle);

for (const mocha of VERSIONS) {
  describe(`the handler, on mocha ${mocha}${full(mocha !== '12')}`, function () {
    this.timeout(60_000);

    it('refuses to start: no test runs, the message is shown without a stack of ours, and the exit code says so', async () => {
      const run = await recorded(THREE, {
        mocha,
        args: ['--reporter', 'spec'],
        handler: `{ start: async () => { throw new Error('this is not a test database'); } }`,
      });
      assert.deepEqual(run.ran, []);
      assert.equal(run.code, 1);
      assert.match(run.output, /1\) "before all" hook: mocha-rewind in "\{root\}"/);
      assert.match(run.output, /this is not a test database/);
      assert.doesNotMatch(run.output, /injected-hooks/);
      assertScopes(run);
    });

    it('keeps a test from running: it fails without its hooks and body, and no other does', async () => {
      const run = await recorded(THREE, {
        mocha,
        handler: `{ arrive: async (scope) => { if (${on('S b')}) throw new Error('no connection'); } }`,
      });
      assertScopes(run);
      assert.deepEqual(failed(run), [['S b', 'no connection']]);
      assert.deepEqual(run.ran, ['S a', 'S c']);
      assert.ok(!run.events.some((e) => e.what === 'beforeEach' && e.detail === 'S b'));
      assert.ok(run.events.some((e) => e.what === 'beforeEach' && e.detail === 'S c'));
    });

    it('keeps an attempt from running, and the next one runs', async () => {
      const run = await recorded(THREE, {
        mocha,
        args: ['--retries', '1'],
        handler: `(() => { let n = 0; return { arrive: async (scope) => { if (${on('S b')} && n++ === 0) throw new Error('no'); } }; })()`,
      });
      assertScopes(run);
      assert.equal(run.code, 0, run.output);
      assert.deepEqual(run.ran, ['S a', 'S b', 'S c']);
    });

    it('fails a test whose body has passed', async () => {
      const run = await recorded(THREE, {
        mocha,
        handler: `{ bodyEnded: (scope) => ${on('S b')} ? new Error('left a transaction open') : undefined }`,
      });
      assertScopes(run);
      assert.deepEqual(failed(run), [['S b', 'left a transaction open']]);
      assert.deepEqual(passed(run), ['S a', 'S c']);
    });

    it('leaves a test its own error', async () => {
      const run = await recorded(
        { 'a.spec.js': `T('a', () => { throw new Error('own'); });` },
        { mocha, handler: `{ bodyEnded: () => new Error('ours') }` },
      );
      assert.deepEqual(failed(run), [['a', 'own']]);
    });

    it('fails a test after its afterEach hooks, with all it has found', async () => {
      const run = await recorded(THREE, {
        mocha,
        handler: `{ depart: async (scope) => ${on('S b')} ? [new Error('leaked'), new Error('and locked')] : [] }`,
      });
      assertScopes(run);
      assert.deepEqual(failed(run), [['S b', 'leaked\nand locked']]);
      assert.deepEqual(passed(run), ['S a', 'S c'], 'it has not passed as well');
      assert.deepEqual(run.ran, ['S a', 'S b', 'S c']);
      assert.equal(run.code, 1);
      const { tests } = run.events.at(-1)?.detail as { tests: { title: string; state: string }[] };
      assert.deepEqual(
        tests.map((t) => `${t.title} ${t.state}`),
        ['S a passed', 'S b failed', 'S c passed'],
      );
    });

    it('gives a test that has failed more to say, and fails it once', async () => {
      const run = await recorded(
        {
          'a.spec.js': `T('a', () => { throw new Error('own'); }); afterEach(function () { R('err', this.currentTest.err?.message ?? 'none'); });`,
        },
        { mocha, handler: `{ depart: async () => [new Error('leaked')] }` },
      );
      assertScopes(run);
      assert.deepEqual(failed(run), [['a', 'own\n\nleaked\n']]);
      assert.equal(run.report?.failures[0]?.err.stack?.match(/leaked/g)?.length, 1);
      assert.ok(
        run.events.some((event) => event.what === 'err' && event.of === 'own'),
        'hooks see the failure',
      );
      assert.equal(run.code, 1);
    });

    it('has all of it said by reporters that print a failure at once', async () => {
      for (const reporter of ['tap', 'json-stream']) {
        const run = await recorded(
          { 'a.spec.js': `T('a', () => { throw new Error('own'); }); afterEach(() => {}); T('b');` },
          { mocha, args: ['--reporter', reporter], handler: `{ depart: async () => [new Error('leaked')] }` },
        );
        assert.equal(run.stdout.match(/leaked/g)?.length, 4, run.stdout);
        assert.equal(run.stdout.match(/^not ok|^\["fail"/gm)?.length, 2, 'each has failed once');
      }
    });

    it('lets a test pass whose last hooks fail, and fails the hook, as Mocha does', async () => {
      const run = await recorded(
        { 'a.spec.js': `describe('S', () => { T('a'); afterEach(() => { throw new Error('own'); }); }); T('b');` },
        { mocha },
      );
      assertScopes(run);
      assert.deepEqual(failed(run), [['S "after each" hook for "a"', 'own']]);
      assert.deepEqual(passed(run), ['b', 'S a']);
    });

    it('says nothing of an attempt that is tried again @full', async () => {
      const run = await recorded(
        { 'a.spec.js': `let n = 0; T('flaky', () => { if (n++ === 0) throw new Error('again'); });` },
        {
          mocha,
          args: ['--retries', '1'],
          handler: `(() => { let n = 0; return { depart: async () => n++ === 0 ? [new Error('left open')] : [] }; })()`,
        },
      );
      assert.equal(run.code, 0, run.output);
    });

    it('fails the run at its end', async () => {
      const run = await recorded(THREE, { mocha, handler: `{ finish: async () => [new Error('baseline is gone')] }` });
      assertScopes(run);
      assert.deepEqual(failed(run), [['"after all" hook: mocha-rewind in "{root}"', 'baseline is gone']]);
      assert.equal(run.code, 1);
    });

    it('fails the run at its end also where another root hook has failed before @full', async () => {
      const run = await recorded(
        { 'a.spec.js': `after(() => { throw new Error('own'); }); T('a');` },
        { mocha, handler: `{ finish: async () => [new Error('baseline is gone')] }` },
      );
      assertScopes(run);
      assert.match(run.stderr, /mocha-rewind: Error: baseline is gone/);
      assert.equal(run.code, 2);
    });

    const mistakes: Readonly<Record<string, { readonly handler: string; readonly fails: readonly string[] }>> = {
      'entering a test': {
        handler: `{ enter: (scope) => { if (${on('S b')}) throw new Error('oops'); } }`,
        fails: ['S b'],
      },
      'entering a suite': {
        handler: `{ enter: (scope) => { if (${on('S')}) throw new Error('oops'); } }`,
        fails: ['run'],
      },
      'leaving a test': {
        handler: `{ leave: (scope) => { if (${on('S b')}) throw new Error('oops'); } }`,
        fails: ['run'],
      },
      'arriving at a test': {
        handler: `{ arrive: (scope) => { if (${on('S b')}) throw new Error('oops'); } }`,
        fails: ['S b'],
      },
      'the end of a body': {
        handler: `{ bodyEnded: (scope) => { if (${on('S b')}) throw new Error('oops'); } }`,
        fails: ['S b'],
      },
      'departing from a test': {
        handler: `{ depart: (scope) => { if (${on('S b')}) throw new Error('oops'); } }`,
        fails: ['S b'],
      },
      'the facts of a test': {
        handler: `{ facts: (scope) => { if (${on('S b')}) throw new Error('oops'); } }`,
        fails: ['S b'],
      },
      'the finish': { handler: `{ finish: () => { throw new Error('oops'); } }`, fails: ['run'] },
    };
    /** One that fails a test, one that fails the run. */
    const IN_SHORT = ['departing from a test', 'leaving a test'];
    // All of this is code of ours: one Mocha tells as much as three.
    for (const [when, { handler, fails }] of mocha === '12' ? Object.entries(mistakes) : []) {
      it(`throws at ${when}: ${fails.join()} fails, everything runs, and the exit code says so${full(!IN_SHORT.includes(when))}`, async () => {
        const run = await recorded(THREE, { mocha, handler });
        assert.equal(run.code, 1, run.output);
        assert.deepEqual(
          run.report?.failures.map((t) => (/mocha-rewind/.test(t.fullTitle) ? 'run' : t.fullTitle)),
          fails,
        );
        assert.match(run.output, /oops/);
        assert.ok(run.ran.includes('S a') && run.ran.includes('S c'));
        assertScopes(run);
      });
    }

    it('can’t be had: no test runs, and the exit code says so', async () => {
      const run = await recorded(THREE, { mocha, handler: `(() => { throw new Error('oops'); })()` });
      assert.deepEqual(run.ran, []);
      assert.match(run.stderr, /mocha-rewind: Error: oops/);
      assert.equal(run.code, 1);
    });

    it('throws when the run has ended: the exit code says so @full', async () => {
      const run = await recorded(THREE, { mocha, handler: `{ ended: () => { throw new Error('oops'); } }` });
      assert.match(run.stderr, /mocha-rewind: Error: oops/);
      assert.equal(run.code, 1);
    });

    it('fails before a suite that commits: its tests are not run, the others are', async () => {
      const run = await recorded(
        { 'a.spec.js': `describe('S @truncate', () => { before(() => {}); T('a'); }); T('b @dirty');` },
        { mocha, handler: `{ arrive: async (scope) => { if (scope.kind === 'suite') throw new Error('oops'); } }` },
      );
      assertScopes(run);
      assert.deepEqual(run.ran, ['b @dirty']);
      assert.deepEqual(failed(run), [['S @truncate "before all" hook: mocha-rewind for "a"', 'oops']]);
    });

    it('gives facts to the test, for reporters, and to the end of the run', async () => {
      const run = await recorded(
        {
          'reporter.js': `module.exports = function (runner) { const seen = []; runner.on('test end', (test) => seen.push(test));
            runner.on('end', () => console.log(JSON.stringify(seen.map((t) => [t.title, t.rewind])))); };`,
          'a.spec.js': `T('a'); it('pending'); T('b', () => { throw new Error('x'); });`,
        },
        {
          mocha,
          args: ['--reporter', './reporter.js'],
          handler: `{ facts: (s) => ({ mode: s.mode, phase: 1, isolationMs: 7 }) }`,
        },
      );
      const facts = { mode: 'rollback', phase: 1, isolationMs: 7 };
      assert.deepEqual(
        JSON.parse(run.stdout),
        [
          ['a', facts],
          ['pending', null],
          ['b', facts],
        ].map(([t, f]) => (f ? [t, f] : [t, null])),
      );
      const { tests } = run.events.at(-1)?.detail as { tests: Record<string, unknown>[] };
      assert.deepEqual(
        tests.map((t) => [
          t['title'],
          t['state'],
          typeof t['durationMs'],
          t['facts'],
          String(t['file']).endsWith('a.spec.js'),
        ]),
        [
          ['a', 'passed', 'number', facts, true],
          ['b', 'failed', 'number', facts, true],
        ],
      );
    });
  });
}
