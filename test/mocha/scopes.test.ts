import assert from 'node:assert/strict';
import { assertScopes } from './support/assert-scopes';
import { VERSIONS, type RecordedRun, recorded } from './support/recorded';
import { ONLY, ROOT_ONLY, TORTURE } from './support/torture';
import { full } from '../support/tiers';

/** The handler's calls for one test (or suite), in order. */
function callsOf(run: RecordedRun, name: string): string[] {
  return run.events.filter((event) => event.by === 'handler' && event.of === name).map((event) => event.what);
}

const leaving = (run: RecordedRun, name: string): unknown =>
  run.events.find((event) => event.what === 'leave' && event.of === name)?.detail;

const WHOLE_TEST = ['enter', 'arrive', 'bodyEnded', 'depart', 'leave'];

for (const mocha of VERSIONS) {
  describe(`scopes, on mocha ${mocha}${full(mocha !== '12')}`, function () {
    this.timeout(60_000);

    it('are entered and left in step with all code of a large tree', async () => {
      for (const specs of [TORTURE, ONLY, ROOT_ONLY]) assertScopes(await recorded(specs, { mocha }));
    });

    it('tell a suite by its phase, a test by its tag, and the root by the first phase there is', async () => {
      const run = await recorded(
        {
          'a.spec.js': `
describe('mixed', () => { T('r'); T('n @nodb'); T('t @truncate'); T('d @dirty'); T('u @unmanaged'); });
describe('n @nodb', () => { T('x'); T('y @rollback'); describe('in', () => { T('z'); }); });
describe('only t @truncate', () => { T('x'); });`,
        },
        { mocha },
      );
      const modes = run.events.filter((e) => e.what === 'enter').map((e) => `${e.of}: ${e.mode}`);
      assert.deepEqual(modes, [
        'root: rollback',
        'suite mixed: rollback',
        'test mixed r: rollback',
        'test mixed n @nodb: nodb',
        'suite n @nodb: nodb',
        'test n @nodb x: nodb',
        'test n @nodb y @rollback: rollback',
        'suite n @nodb in: nodb',
        'test n @nodb in z: nodb',
        'suite mixed: truncate',
        'test mixed t @truncate: truncate',
        'suite only t @truncate: truncate',
        'test only t @truncate x: truncate',
        'suite mixed: dirty',
        'test mixed d @dirty: dirty',
        'suite mixed: unmanaged',
        'test mixed u @unmanaged: unmanaged',
      ]);
      const late = await recorded(
        { 'a.spec.js': `T('a @dirty'); T('b @truncate'); T('c @nodb')` },
        { mocha, args: ['--grep', '^[ab] '] },
      );
      assert.equal(late.events.find((e) => e.what === 'enter')?.mode, 'truncate');
      assert.deepEqual((late.events[0]?.detail as { counts: object }).counts, {
        rollback: 0,
        truncate: 1,
        nodb: 0,
        schema: 0,
        dirty: 1,
        unmanaged: 0,
      });
    });

    it('of a suite with hooks and nothing to run follow its tag, if anything runs in that phase @full', async () => {
      const idle = `describe('idle @truncate', () => { hooks('idle'); it('pending'); }); T('r');`;
      const modeOfIdle = (run: RecordedRun): unknown =>
        run.events.find((e) => e.what === 'enter' && e.of === 'suite idle @truncate')?.mode;
      assert.equal(modeOfIdle(await recorded({ 'a.spec.js': `${idle} T('t @truncate');` }, { mocha })), 'truncate');
      assert.equal(modeOfIdle(await recorded({ 'a.spec.js': `${idle} T('d @dirty');` }, { mocha })), 'rollback');
    });

    it('arrive first, prepare last and close last around the hooks of suites that commit, and of no others', async () => {
      const run = await recorded(
        {
          'a.spec.js': `
describe('S @truncate', () => { hooks('S'); T('t'); describe('no before', () => { T('u'); }); describe('after only', () => { after(() => R('after', 'AO')); T('v'); }); });
describe('R', () => { hooks('R'); T('t'); });`,
        },
        { mocha },
      );
      assertScopes(run);
      const about = (name: string): string[] =>
        run.events
          .filter((e) => e.of === `suite ${name}` || ['before', 'after'].includes(e.what))
          .map((e) => `${e.what} ${e.of}`);
      assert.deepEqual(about('S @truncate').slice(2), [
        'enter suite S @truncate',
        'arrive suite S @truncate',
        'before S',
        'prepared suite S @truncate',
        'after AO',
        'after S',
        'closing suite S @truncate',
        'leave suite S @truncate',
      ]);
      assert.deepEqual(callsOf(run, 'suite R'), ['enter', 'leave']);
      assert.deepEqual(callsOf(run, 'suite S @truncate no before'), ['enter', 'leave']);
      assert.deepEqual(callsOf(run, 'suite S @truncate after only'), ['enter', 'closing', 'leave']);
    });

    it('come before everybody else’s root hooks, and go after them, whoever registered first', async () => {
      const run = await recorded(
        {
          'other.js': `exports.mochaHooks = { beforeAll: () => R('before', 'other'), beforeEach() { R('beforeEach', 'other', this.currentTest.fullTitle()) },
            afterEach() { R('afterEach', 'other', this.currentTest.fullTitle()) }, afterAll: () => R('after', 'other') };`,
          'a.spec.js': `hooks('top'); T('t');`,
        },
        { mocha, args: ['--require', './other.js'] },
      );
      assertScopes(run);
      assert.deepEqual(
        run.events.map((e) => `${e.what} ${e.of}`.trim()),
        [
          'begin',
          'enter root',
          'start',
          'before other',
          'before top',
          'enter test t',
          'arrive test t',
          'beforeEach other',
          'beforeEach top',
          'test t',
          'bodyEnded test t',
          'afterEach other',
          'afterEach top',
          'depart test t',
          'leave test t',
          'after other',
          'after top',
          'finish',
          'leave root',
          'ended',
        ],
      );
    });

    it('last from the first beforeEach hook to the last afterEach hook, for each attempt of a test', async () => {
      const run = await recorded(
        {
          'a.spec.js': `let n = 0; describe('S', () => { hooks('S'); T('flaky', () => { if (n++ < 2) throw new Error('again'); }); T('next'); });`,
        },
        { mocha, args: ['--retries', '2'] },
      );
      assertScopes(run);
      assert.equal(run.code, 0, run.output);
      assert.deepEqual(callsOf(run, 'test S flaky'), [...WHOLE_TEST, ...WHOLE_TEST, ...WHOLE_TEST]);
    });

    it('end with a test that is skipped, wherever that is said', async () => {
      const run = await recorded(
        {
          'a.spec.js': `
describe('in before', () => { before(function () { this.skip(); }); T('a'); });
describe('in beforeEach', () => { beforeEach(function () { this.skip(); }); T('b'); });
describe('in the body', () => { T('c', async function () { await 1; this.skip(); }); });
describe('with done', () => { it('d', function (done) { setTimeout(() => this.skip(), 1); }); });
describe('in afterEach', () => { afterEach(function () { this.skip(); }); T('e'); });
describe('after all that', () => { T('f'); });`,
        },
        { mocha },
      );
      assertScopes(run);
      assert.deepEqual(callsOf(run, 'test in before a'), []);
      assert.deepEqual(callsOf(run, 'test in beforeEach b'), ['enter', 'arrive', 'depart', 'leave']);
      for (const name of ['in the body c', 'with done d', 'in afterEach e', 'after all that f']) {
        const calls = callsOf(run, `test ${name}`);
        assert.deepEqual(
          calls.filter((call) => call !== 'bodyEnded'),
          ['enter', 'arrive', 'depart', 'leave'],
          name,
        );
      }
      assert.equal(run.code, 0, run.output);
      assert.equal(run.report?.stats.failures, 0);
    });

    it('are believed by asynchronous context even where a hook ended in somebody else’s', async () => {
      const run = await recorded(
        {
          'a.spec.js': `
const waiting = []; const timer = setInterval(() => waiting.shift()?.(), 1);
after(() => clearInterval(timer));
describe('S', () => { before((done) => { waiting.push(() => done()); }); beforeEach((done) => { waiting.push(() => done()); });
  T('body'); it('done', (done) => { waiting.push(() => done()); }); T('next'); });`,
        },
        { mocha },
      );
      assertScopes(run);
      assert.equal(run.code, 0, run.output);
    });

    it('of tests that are added while the run goes on are right too @full', async () => {
      const run = await recorded(
        {
          'a.spec.js': `describe('S', () => {
  before(function () { const Test = this.test.parent.tests[0].constructor;
    for (const title of ['more', 'more @truncate']) this.test.parent.addTest(new Test(title, function () { R('test', this.test.fullTitle()); })); });
  T('t'); });`,
        },
        { mocha },
      );
      assertScopes(run);
      assert.equal(run.events.find((e) => e.what === 'enter' && e.of === 'test S more @truncate')?.mode, 'truncate');
      assert.deepEqual(run.ran, ['S t', 'S more', 'S more @truncate']);
    });

    describe('when hooks fail', () => {
      it('a before hook: its tests are not run, its after hooks are, and the next suite is as if nothing had happened', async () => {
        const run = await recorded(
          {
            'a.spec.js': `describe('S', () => { before(() => { throw new Error('boom'); }); after(() => R('after', 'S')); T('t'); describe('in', () => { T('u'); }); }); T('v @truncate');`,
          },
          { mocha },
        );
        assertScopes(run);
        assert.deepEqual(run.ran, ['v @truncate']);
        assert.deepEqual(callsOf(run, 'suite S'), ['enter', 'leave']);
        assert.equal(run.code, 1);
      });

      it('a beforeEach hook: the test departs and is left', async () => {
        const run = await recorded(
          {
            'a.spec.js': `describe('S', () => { beforeEach(() => { throw new Error('boom'); }); T('t'); T('u'); }); describe('next', () => { T('v'); });`,
          },
          { mocha },
        );
        assertScopes(run);
        assert.deepEqual(callsOf(run, 'test S t'), ['enter', 'arrive', 'depart', 'leave']);
        assert.deepEqual(run.ran, ['next v']);
      });

      it('an afterEach hook: the test departs all the same @full', async () => {
        const run = await recorded(
          {
            'a.spec.js': `describe('S', () => { afterEach(() => { throw new Error('boom'); }); T('t'); T('u'); }); describe('next', () => { T('v'); });`,
          },
          { mocha },
        );
        assertScopes(run);
        assert.deepEqual(callsOf(run, 'test S t'), WHOLE_TEST);
        assert.deepEqual(run.ran, ['S t', 'next v']);
      });

      it('a root afterEach hook of somebody else: the run stops as Mocha has it, and every scope is left', async () => {
        const run = await recorded(
          {
            'a.spec.js': `afterEach(() => { throw new Error('boom'); }); describe('S', () => { after(() => R('after', 'S')); T('t'); T('u'); }); T('v @truncate');`,
          },
          { mocha },
        );
        assertScopes(run);
        assert.deepEqual(callsOf(run, 'test S t'), ['enter', 'arrive', 'bodyEnded', 'leave']);
        assert.equal(run.code, 1);
      });

      it('an after hook: the suite is left without closing, and the run goes on @full', async () => {
        const run = await recorded(
          {
            'a.spec.js': `describe('S @truncate', () => { before(() => {}); after(() => { throw new Error('boom'); }); T('t'); }); describe('next @truncate', () => { T('u'); });`,
          },
          { mocha },
        );
        assertScopes(run);
        assert.deepEqual(callsOf(run, 'suite S @truncate'), ['enter', 'arrive', 'prepared', 'leave']);
        assert.deepEqual(run.ran, ['S @truncate t', 'next @truncate u']);
      });

      it('a root after hook: the run is finished all the same @full', async () => {
        const run = await recorded({ 'a.spec.js': `after(() => { throw new Error('boom'); }); T('t');` }, { mocha });
        assertScopes(run);
        assert.equal(run.code, 1);
      });

      it('a root before hook: no test runs, and the run is finished @full', async () => {
        const run = await recorded({ 'a.spec.js': `before(() => { throw new Error('boom'); }); T('t');` }, { mocha });
        assertScopes(run);
        assert.deepEqual(run.ran, []);
        assert.equal(run.code, 1);
      });

      it('with --bail: the rest is skipped, and every scope is left @full', async () => {
        const run = await recorded(
          {
            'a.spec.js': `describe('S @truncate', () => { hooks('S'); T('t', () => { throw new Error('boom'); }); T('u'); }); T('v @dirty');`,
          },
          { mocha, args: ['--bail'] },
        );
        assertScopes(run);
        assert.deepEqual(run.ran, ['S @truncate t']);
        assert.deepEqual(callsOf(run, 'suite S @truncate'), ['enter', 'arrive', 'prepared', 'closing', 'leave']);
      });

      if (mocha !== '10') {
        it('with --fail-hook-affected-tests: tests that are only reported have no scope @full', async () => {
          const run = await recorded(
            {
              'a.spec.js': `
describe('S', () => { before(() => { throw new Error('boom'); }); T('t'); describe('in', () => { T('u'); }); });
describe('E', () => { beforeEach(() => { throw new Error('boom'); }); T('v'); T('w'); describe('in', () => { T('x'); }); });
describe('next', () => { T('y'); });`,
            },
            { mocha, args: ['--fail-hook-affected-tests'] },
          );
          assertScopes(run);
          assert.deepEqual(callsOf(run, 'test E v'), ['enter', 'arrive', 'depart', 'leave']);
          for (const name of ['S t', 'S in u', 'E w', 'E in x'])
            assert.deepEqual(callsOf(run, `test ${name}`), [], name);
          assert.deepEqual(run.ran, ['next y']);
          const { tests } = run.events.at(-1)?.detail as { tests: { title: string }[] };
          assert.deepEqual(
            tests.map((test) => test.title),
            ['E v', 'next y'],
          );
        });
      }
    });

    describe('when code outlives its scope', () => {
      it('a test that timed out is marked, and what is left of its body knows where it comes from', async () => {
        const run = await recorded(
          {
            'a.spec.js': `
it('slow', async function () { this.timeout(20); await new Promise((r) => setTimeout(r, 60)); write({ by: 'spec', what: 'late', of: '', detail: scopeContext.getStore() }); });
T('next', () => new Promise((r) => setTimeout(r, 100)));`,
          },
          { mocha },
        );
        assertScopes(run);
        assert.deepEqual(leaving(run, 'test slow'), { innermost: true, ended: true, timedOut: true });
        assert.deepEqual(leaving(run, 'test next'), { innermost: true, ended: true, timedOut: false });
        const { title, ended, timedOut } = run.events.find((e) => e.what === 'late')?.detail as Record<string, unknown>;
        assert.deepEqual({ title, ended, timedOut }, { title: 'slow', ended: true, timedOut: true });
      });

      it('so is a test whose hook timed out @full', async () => {
        const run = await recorded(
          { 'a.spec.js': `describe('S', () => { beforeEach(function (done) { this.timeout(20); }); T('t'); });` },
          { mocha },
        );
        assert.deepEqual(leaving(run, 'test S t'), { innermost: true, ended: true, timedOut: true });
      });

      it('an uncaught exception right after a test has passed fails that test, and the run goes on', async () => {
        const run = await recorded(
          { 'a.spec.js': `it('t', async () => { process.nextTick(() => { throw new Error('boom'); }); }); T('next');` },
          { mocha },
        );
        assertScopes(run);
        assert.deepEqual(
          run.report?.failures.map((t) => [t.fullTitle, t.err.message]),
          [['t', 'boom']],
        );
        assert.deepEqual(
          run.report?.passes.map((t) => t.fullTitle),
          ['next'],
        );
      });

      it('an uncaught exception in a running test fails it @full', async () => {
        const run = await recorded(
          { 'a.spec.js': `it('t', (done) => { setTimeout(() => { throw new Error('boom'); }, 1); }); T('next');` },
          { mocha },
        );
        assertScopes(run);
        assert.deepEqual(
          run.report?.failures.map((t) => [t.fullTitle, t.err.message]),
          [['t', 'boom']],
        );
        assert.deepEqual(run.ran, ['next']);
      });

      it('an exception of a test that is over fails the run, by that test’s name, and no other test', async () => {
        const run = await recorded(
          {
            'a.spec.js': `
it('t', () => { setTimeout(() => { throw new Error('boom'); }, 20); });
T('next', () => new Promise((r) => setTimeout(r, 60))); T('last');`,
          },
          { mocha },
        );
        assertScopes(run);
        assert.deepEqual(
          run.report?.failures.map((t) => [t.fullTitle, t.err.message]),
          [['"after all" hook: mocha-rewind for "last"', 'boom (in "t", after it had ended)']],
        );
        assert.deepEqual(run.ran, ['next', 'last']);
      });

      it('an exception while a hook of ours runs fails the test it runs for', async () => {
        const run = await recorded(
          {
            'a.spec.js': `it('t', () => { setTimeout(() => { throw new Error('boom'); }, 20); }); T('next');`,
          },
          {
            mocha,
            handler: `{ depart: (scope) => scope.title === 't' ? new Promise((r) => setTimeout(() => r([]), 60)) : undefined }`,
          },
        );
        assertScopes(run);
        assert.deepEqual(
          run.report?.failures.map((t) => [t.fullTitle, t.err.message]),
          [['t', 'boom']],
        );
        assert.deepEqual(run.ran, ['next']);
      });

      it('a body that goes on after an exception has ended its test comes to no second end', async () => {
        const run = await recorded(
          {
            'a.spec.js': `it('t', async () => { setTimeout(() => { throw new Error('boom'); }, 1); await new Promise((r) => setTimeout(r, 40)); }); T('next', () => new Promise((r) => setTimeout(r, 80)));`,
          },
          { mocha },
        );
        assertScopes(run);
        assert.deepEqual(
          run.report?.failures.map((t) => t.err.message),
          ['boom'],
        );
        assert.deepEqual(run.ran, ['next']);
      });

      it('a second done() is told as without the plugin @full', async () => {
        const specs = {
          'a.spec.js': `it('twice', (done) => { done(); done(); }); it('later', (done) => { done(); setTimeout(done, 1); }); T('next', () => new Promise((r) => setTimeout(r, 20)));`,
        };
        const [run, plain] = [await recorded(specs, { mocha }), await recorded(specs, { mocha, plugged: false })];
        const told = (r: RecordedRun): unknown =>
          r.report &&
          [r.report.passes, r.report.failures].map((list) =>
            list.map((t) => `${t.fullTitle}: ${t.err.message?.replace(/of file.*/, '')}`),
          );
        assert.deepEqual(told(run), told(plain));
        assert.equal(run.code, plain.code);
      });
    });
  });
}
