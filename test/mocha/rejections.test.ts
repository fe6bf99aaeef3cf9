import assert from 'node:assert/strict';
import { assertScopes } from './support/assert-scopes';
import { VERSIONS, type RecordedOptions, type RecordedRun, recorded } from './support/recorded';
import { full } from '../support/tiers';

const failed = (run: RecordedRun): unknown => run.report?.failures.map((t) => [t.fullTitle, t.err.message]);

for (const mocha of VERSIONS) {
  describe(`unhandled rejections, on mocha ${mocha}${full(mocha !== '12')}`, function () {
    this.timeout(60_000);
    const run = (spec: string, options: RecordedOptions = {}): Promise<RecordedRun> =>
      recorded({ 'a.spec.js': spec }, { mocha, ...options });

    it('fail the test that leaves them behind, at once or later, and no other', async () => {
      const outcome = await run(`
it('at once', async () => { Promise.reject(new Error('one')); });
it('in between', async () => { Promise.reject(new Error('two')); await new Promise((r) => setTimeout(r, 5)); });
it('with a callback', (done) => { Promise.reject(new Error('three')); setTimeout(done, 5); });
it('not an error', async () => { Promise.reject('four'); });
T('next');`);
      assertScopes(outcome);
      assert.deepEqual(failed(outcome), [
        ['at once', 'Unhandled rejection: one'],
        ['in between', 'Unhandled rejection: two'],
        ['with a callback', 'Unhandled rejection: three'],
        ['not an error', 'Unhandled rejection: four'],
      ]);
      assert.match(outcome.report?.failures[0]?.err.stack ?? '', /a\.spec\.js/);
      assert.deepEqual(
        outcome.report?.passes.map((t) => t.fullTitle),
        ['next'],
      );
      assert.equal(outcome.code, 4);
    });

    it('of hooks fail the test they run for', async () => {
      const outcome = await run(`
describe('E', () => { beforeEach(async () => { Promise.reject(new Error('be')); }); T('t'); });
describe('A', () => { afterEach(async () => { Promise.reject(new Error('ae')); }); T('u'); });`);
      assertScopes(outcome);
      assert.deepEqual(failed(outcome), [
        ['E t', 'Unhandled rejection: be'],
        ['A u', 'Unhandled rejection: ae'],
      ]);
    });

    it('of hooks that run for a suite fail that hook, and no test', async () => {
      const outcome = await run(`
describe('B', () => { before(async () => { Promise.reject(new Error('b')); }); T('never'); });
describe('C', () => { after(async () => { Promise.reject(new Error('a')); }); T('v'); });
describe('D', () => { before((done) => { Promise.reject(new Error('d')); done(); }); T('never either'); });
T('next');
describe('E', () => { T('w'); });`);
      assertScopes(outcome);
      assert.deepEqual(failed(outcome), [
        ['B "before all" hook for "never"', 'Unhandled rejection: b'],
        ['C "after all" hook for "v"', 'Unhandled rejection: a'],
        ['D "before all" hook for "never either"', 'Unhandled rejection: d'],
      ]);
      assert.deepEqual(outcome.ran, ['next', 'C v', 'E w']);
    });

    it('between two hooks of a suite fail the second one @full', async () => {
      const outcome = await run(`
describe('B', () => {
  before(() => { setTimeout(() => Promise.reject(new Error('b')), 5); });
  before(() => new Promise((r) => setTimeout(r, 20)));
  T('never');
});
T('next');`);
      assertScopes(outcome);
      assert.deepEqual(failed(outcome), [['B "before all" hook for "never"', 'Unhandled rejection: b']]);
    });

    it('of root-level hooks fail the run @full', async () => {
      const after = await run(`after(async () => { Promise.reject(new Error('x')); }); T('t');`);
      assertScopes(after);
      assert.deepEqual(failed(after), [['"after all" hook for "t"', 'Unhandled rejection: x']]);
    });

    it('fail the test also while it departs', async () => {
      const outcome = await run(`it('t', () => { setTimeout(() => Promise.reject(new Error('x')), 5); }); T('next');`, {
        handler: `{ depart: (scope) => scope.title === 't' ? new Promise((r) => setTimeout(() => r([]), 40)) : undefined }`,
      });
      assert.deepEqual(failed(outcome), [['t', 'Unhandled rejection: x']]);
    });

    it('explain a time-out they have caused', async () => {
      const outcome = await run(
        `it('waits in vain', function (done) { this.timeout(30); Promise.reject(new Error('lost')); });`,
      );
      assert.deepEqual(failed(outcome), [['waits in vain', 'Unhandled rejection: lost']]);
    });

    it('leave a test its own error', async () => {
      const outcome = await run(`it('t', async () => { Promise.reject(new Error('lost')); throw new Error('own'); });`);
      assert.deepEqual(failed(outcome), [['t', 'own']]);
    });

    it('of a test that has ended name that test, and fail the run, not the test that happens to run', async () => {
      const outcome = await run(`
it('first', () => { setTimeout(() => Promise.reject(new Error('late')), 10); });
T('second', () => new Promise((r) => setTimeout(r, 40)));`);
      assertScopes(outcome);
      assert.deepEqual(failed(outcome), [
        ['"after all" hook: mocha-rewind for "second"', 'Unhandled rejection: late (in "first", after it had ended)'],
      ]);
    });

    it('that are handled are nobody’s business', async () => {
      const outcome = await run(
        `it('t', async () => { const p = Promise.reject(new Error('x')); await 1; await p.catch(() => {}); });`,
      );
      assert.deepEqual(failed(outcome), []);
    });

    it('are left to who listens for them @full', async () => {
      const outcome = await run(`
it('t', async () => { const seen = new Promise((r) => process.once('unhandledRejection', r)); Promise.reject(new Error('x')); await seen; });`);
      assert.deepEqual(failed(outcome), []);
      assert.equal(outcome.code, 0, outcome.output);
    });

    it('are no less a failure where the app has a listener for good @full', async () => {
      const outcome = await run(`
before(() => { process.on('unhandledRejection', () => {}); });
it('t', async () => { Promise.reject(new Error('x')); });`);
      assert.deepEqual(failed(outcome), [['t', 'Unhandled rejection: x']]);
    });

    it('are left alone if the options say so @full', async () => {
      const outcome = await run(`it('t', async () => { Promise.reject(new Error('x')); });`, {
        plug: `{ rejections: 'ignore' }`,
      });
      assert.deepEqual(failed(outcome), []);
      assert.equal(outcome.code, 0);
    });

    it('fail their test in a parallel run too, file after file', async () => {
      const spec = `it('t', async () => { Promise.reject(new Error('x')); }); T('u');`;
      const files = { 'a.spec.js': spec, 'b.spec.js': spec, 'c.spec.js': spec };
      const outcome = await recorded(files, { mocha, args: ['--parallel', '--jobs', '2'] });
      assert.equal(outcome.report?.stats.failures, 3, outcome.output);
      assert.equal(outcome.report?.stats.passes, 3);
    });

    it('and exceptions while files are loaded end the run as Mocha ends it: no test runs, then or later', async () => {
      const outcome = await run(
        `setImmediate(() => { throw new Error('while loading'); }); T('never'); setTimeout(() => {}, 50);`,
        { args: ['--no-exit'] },
      );
      assert.deepEqual(outcome.ran, [], outcome.output);
      assert.deepEqual(failed(outcome), [['Uncaught error outside test suite', 'while loading']]);
      assert.equal(outcome.code, 1);
    });
  });
}
