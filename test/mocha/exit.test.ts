// A run that has begun and not ended is never green.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import type { Finished, ProjectOptions } from '../support/project';
import { VERSIONS, type RecordedOptions, argsOf, recorded, recordedProject } from './support/recorded';
import { full } from '../support/tiers';

const PARALLEL = ['--parallel', '--jobs', '2'];

/** Somebody else's plugin whose listener throws. */
const thrower = (event: string): ProjectOptions['files'] => ({
  'thrower.js': `
const [mocha] = Object.entries(require.cache).filter(([file]) => /lib.mocha\\.c?js$/.test(file)).map(([, m]) => m.exports);
const { run } = mocha.prototype;
mocha.prototype.run = function (done) {
  const runner = run.call(this, done);
  if (!runner.isParallelMode()) runner.prependListener('${event}', () => { throw new Error('thrown in a listener'); });
  return runner;
};`,
});

/** Sends a signal as soon as a test of the spec has made the file `up`. */
async function signalled(specs: ProjectOptions['files'], options: RecordedOptions): Promise<Finished> {
  const p = recordedProject(specs, options);
  try {
    const { child, finished } = p.start(argsOf(specs, options));
    while (!fs.existsSync(path.join(p.dir, 'up'))) await new Promise((r) => setTimeout(r, 10));
    child.kill('SIGINT');
    return await finished;
  } finally {
    p.remove();
  }
}

const SLOW = `it('slow', () => { require('node:fs').writeFileSync('up', ''); return new Promise((r) => setTimeout(r, 8000)); }).timeout(9000);`;

for (const mocha of VERSIONS) {
  describe(`the exit code, on mocha ${mocha}${full(mocha !== '12')}`, function () {
    this.timeout(60_000);

    it('is left alone where all is well', async () => {
      for (const args of [[], PARALLEL]) {
        const run = await recorded({ 'a.spec.js': `T('a')`, 'b.spec.js': `T('b @truncate')` }, { mocha, args });
        assert.equal(run.code, 0, run.output);
        assert.equal(run.stderr, '');
      }
    });

    it('is left alone by --exit and --dry-run where all is well @full', async () => {
      for (const args of [['--exit'], ['--dry-run']]) {
        const run = await recorded({ 'a.spec.js': `T('a')`, 'b.spec.js': `T('b @truncate')` }, { mocha, args });
        assert.equal(run.code, 0, run.output);
        assert.equal(run.stderr, '');
      }
    });

    const events =
      mocha === '12' ? ['start', 'suite', 'test', 'pass', 'test end', 'suite end', 'end'] : ['test', 'end'];
    for (const event of events) {
      it(`is 1 where a listener of "${event}" has thrown, and the message says so${full(!['test', 'end'].includes(event))}`, async () => {
        const run = await recorded(
          { ...thrower(event), 'a.spec.js': `T('a')` },
          { mocha, args: ['--require', './thrower.js'] },
        );
        assert.equal(run.code, 1, run.output);
        // A test is said to have passed after its hooks, where Mocha goes on, and tells of the exception itself.
        const told = ['pass', 'test end'].includes(event)
          ? /hook: mocha-rewind.*/
          : /stopped before its end.*because a listener threw ".*/;
        assert.match(run.output, new RegExp(`${told.source}Error: thrown in a listener`, 's'));
      });
    }

    it('is 1 where a test has called process.exit(0), and the message names the test', async () => {
      const run = await recorded({ 'a.spec.js': `T('a'); it('b', () => process.exit(0)); T('c');` }, { mocha });
      assert.equal(run.code, 1, run.output);
      assert.match(run.stderr, /the run stopped before its end, in "b"/);
    });

    // One process each: the exit code is all there is to see.
    const ENDINGS: Readonly<Record<string, { spec: string; args?: string[]; says?: RegExp }>> = {
      'a spec file has called process.exit(0) while it was loaded': {
        spec: `T('a'); process.exit(0);`,
        says: /stopped before its end, before it had begun: while its files were loaded/,
      },
      'a hook has called process.exit(0)': {
        spec: `T('a'); after(() => process.exit(0));`,
        says: /stopped before its end, between tests/,
      },
      'a test has failed, and an exit listener of the app’s ends the process': {
        spec: `process.on('exit', () => process.exit()); T('a', () => { throw new Error('x'); });`,
      },
      'a test has failed, and an exit listener of the app’s ends the process with 0': {
        spec: `process.on('exit', () => process.exit(0)); T('a', () => { throw new Error('x'); });`,
      },
      'the same with --exit': {
        spec: `process.on('exit', () => process.exit(0)); T('a', () => { throw new Error('x'); });`,
        args: ['--exit'],
      },
      'a test has failed, and has set the exit code itself': {
        spec: `process.on('exit', () => { process.exitCode = 0; }); T('a', () => { process.exitCode = 0; throw new Error('x'); });`,
      },
      'a test has removed all exit listeners, and another one calls process.exit(0)': {
        spec: `T('a', () => { process.removeAllListeners('exit'); }); T('b', () => process.exit(0));`,
        says: /stopped before its end, in "b"/,
      },
      'the process was ended with 0 when the last test had failed, before all was said': {
        spec: `T('a', () => { throw new Error('x'); }); after(() => { setImmediate(() => setImmediate(() => process.exit(0))); });`,
      },
      'something throws after the last test': {
        spec: `process.on('uncaughtException', () => {}); it('a', () => { setTimeout(() => { throw new Error('late'); }, 150); });`,
      },
      'a promise is rejected unseen after the last test': {
        spec: `it('a', () => { setTimeout(() => Promise.reject(new Error('late')), 150); });`,
        says: /mocha-rewind: Error: Unhandled rejection: late \(in "a", after it had ended\)/,
      },
      'a test has put a handler that does nothing in the place of Mocha’s': {
        spec: `it('a', async () => { process.removeAllListeners('uncaughtException'); process.on('uncaughtException', () => {}); await 1; setImmediate(() => { throw new Error('x'); }); return new Promise(() => {}); }).timeout(200);`,
      },
    };
    for (const [when, { spec, args = [], says }] of Object.entries(ENDINGS)) {
      it(`is not 0 where ${when}${full(says === undefined && !when.endsWith('ends the process with 0'))}`, async () => {
        const run = await recorded({ 'a.spec.js': spec }, { mocha, args });
        assert.notEqual(run.code, 0, run.output);
        if (says) assert.match(run.output, says);
      });
    }

    it('is 0 where a test has failed and Mocha is told to pass @full', async () => {
      const run = await recorded(
        { 'a.spec.js': `T('a', () => { throw new Error('x'); });` },
        { mocha, args: ['--pass-on-failing-test-suite'] },
      );
      assert.equal(run.code, 0, run.output);
    });

    it('is 1 where nobody has called run() under --delay @full', async () => {
      const run = await recorded({ 'a.spec.js': `T('a')` }, { mocha, args: ['--delay'] });
      assert.equal(run.code, 1, run.output);
      assert.match(run.stderr, /before it had begun/);
    });

    for (const fixture of ['mochaGlobalSetup', 'mochaGlobalTeardown']) {
      it(`is not 0 where ${fixture} has thrown${full(fixture === 'mochaGlobalTeardown')}`, async () => {
        const run = await recorded(
          { 'global.js': `exports.${fixture} = async () => { throw new Error('no server'); };`, 'a.spec.js': `T('a')` },
          { mocha, args: ['--require', './global.js'] },
        );
        assert.notEqual(run.code, 0, run.output);
      });
    }

    it('says SIGINT, in a serial run', async () => {
      const run = await signalled({ 'a.spec.js': SLOW }, { mocha });
      assert.equal(run.signal, 'SIGINT');
    });

    it('is 1 after SIGINT where a handler of the app’s ends the process politely @full', async () => {
      const run = await signalled({ 'a.spec.js': `process.on('SIGINT', () => process.exit(0)); ${SLOW}` }, { mocha });
      assert.equal(run.code, 1, run.output);
    });

    it('is not 0 after SIGINT in a parallel run', async () => {
      const run = await signalled({ 'a.spec.js': SLOW, 'b.spec.js': `T('b')` }, { mocha, args: PARALLEL });
      assert.ok(run.code === 1 || run.signal === 'SIGINT', run.output);
    });

    for (const [what, body] of Object.entries({
      'left by process.exit(0)': 'process.exit(0)',
      'cut off': `process.disconnect(); await new Promise(() => {})`,
      killed: `process.kill(process.pid, 'SIGKILL'); await new Promise(() => {})`,
    })) {
      it(`is not 0 where a worker was ${what} in the middle of a test${full(what !== 'killed')}`, async () => {
        const run = await recorded(
          { 'a.spec.js': `it('a', async () => { ${body}; });`, 'b.spec.js': `T('b')` },
          { mocha, args: PARALLEL },
        );
        assert.notEqual(run.code, 0, run.output);
      });
    }

    for (const [what, spec] of Object.entries({
      'after its last test': `T('a'); after(() => process.exit(0));`,
      'between its last hook and its report': `T('a'); after(() => { setImmediate(() => process.exit(0)); });`,
      'while it loaded a file': `process.exit(0);`,
    })) {
      it(`is not 0 where a worker has gone ${what}${full(what !== 'while it loaded a file')}`, async () => {
        const run = await recorded({ 'a.spec.js': spec, 'b.spec.js': `T('b')` }, { mocha, args: PARALLEL });
        assert.notEqual(run.code, 0, run.output);
      });
    }

    it('is not 0, and comes at all, where a listener has thrown in a worker', async () => {
      const run = await recorded(
        { ...thrower('test'), 'a.spec.js': `T('a')`, 'b.spec.js': `T('b')` },
        { mocha, args: ['--require', './thrower.js', ...PARALLEL] },
      );
      assert.notEqual(run.code, 0, run.output);
      assert.match(run.stderr, /because a listener threw "Error: thrown in a listener"/);
    });
  });
}
