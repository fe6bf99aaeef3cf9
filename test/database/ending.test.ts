// The embedded server is gone without a trace, however mocha ends.
import assert from 'node:assert/strict';
import { full } from '../support/tiers';
import { type Lab, SELF, SPEC, assertNoTrace, assertNoTraceSoon, lab, otherUser } from './support/runs';

const SPECS = {
  'passes.js': `it('passes', async () => { await (await client()).end(); });`,
  'fails.js': `it('fails', async () => { const c = await client(); after(() => c.end()); await c.query('select 1/0'); });`,
  'open.js': `it('leaves a connection open', async () => { await (await client()).query('begin'); });`,
  'exits.js': `it('exits', () => process.exit(3));`,
  'throws.js': `it('throws later', async () => { setTimeout(() => { throw new Error('late'); }, 10); await forever(); });`,
  'aborts.js': `it('crashes', () => process.kill(process.pid, 'SIGSEGV'));`,
  'bad.js': `throw new Error('while loading');`,
  'waits.js': `it('waits', async function () { this.timeout(0); const c = await client(); await c.query('begin'); console.log('READY'); await forever(); });`,
  'teardown.js': `
    it('waits', (done) => {
      process.on('SIGINT', async () => {
        const c = await client();
        console.log('STILL THERE', (await c.query('select 1')).rowCount);
        process.exit(130);
      });
      console.log('READY');
      setTimeout(done, 60_000);
    });`,
  'other.js': `it('passes', () => {});`,
};

// Its factory runs beside ours, and rejects when the server is up.
const PLUGIN = `${SPEC}
exports.mochaHooks = async () => { throw new Error('another plugin'); };`;

describe('the embedded server is gone', () => {
  let l: Lab;
  before(() => (l = lab(SPECS, { files: { 'plugin.js': PLUGIN } })));
  after(() => l.remove());

  it('when all tests have passed', async () => {
    const ended = await l.run(['passes.js']);
    assert.equal(ended.code, 0, ended.output);
    assertNoTrace(ended);
  });

  it('when a test has failed @full', async () => {
    const ended = await l.run(['fails.js']);
    assert.equal(ended.code, 1, ended.output);
    assertNoTrace(ended);
  });

  it('with --exit, while a transaction is open', async () => {
    const ended = await l.run(['--exit', 'open.js']);
    assert.equal(ended.code, 0, ended.output);
    assertNoTrace(ended);
  });

  it('when a test calls process.exit()', async () => {
    const ended = await l.run(['exits.js']);
    assert.equal(ended.code, 3, ended.output);
    assertNoTrace(ended);
  });

  it('when something throws after its test @full', async () => {
    const ended = await l.run(['--exit', 'throws.js']);
    assert.equal(ended.code, 1, ended.output);
    assertNoTrace(ended);
  });

  it('when a spec file throws while it is loaded @full', async () => {
    const ended = await l.run(['bad.js']);
    assert.notEqual(ended.code, 0, ended.output);
    assertNoTrace(ended);
  });

  it('when another plugin fails to start @full', async () => {
    const ended = await l.run(['--require', './plugin.js', 'passes.js']);
    assert.notEqual(ended.code, 0, ended.output);
    assertNoTrace(ended);
  });

  it('when the process crashes', async () => {
    const ended = await l.run(['aborts.js']);
    assert.equal(ended.signal, 'SIGSEGV', ended.output);
    await assertNoTraceSoon(ended);
  });

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGKILL'] as const) {
    it(`after ${signal}${full(signal === 'SIGHUP')}`, async () => {
      const { child, says, finished } = l.start(['waits.js']);
      await says('READY');
      child.kill(signal);
      if (signal === 'SIGINT') child.kill(signal); // the first lets mocha end the running test, which takes a minute
      await assertNoTraceSoon(await finished);
    });
  }

  it('but not before the process it works for: Ctrl+C in a terminal reaches the whole process group', async () => {
    const { child, says, finished } = l.start(['teardown.js'], { ownGroup: true });
    await says('READY');
    process.kill(-(child.pid ?? NaN), 'SIGINT');
    const ended = await finished;
    assert.match(ended.output, /STILL THERE 1/);
    assertNoTrace(ended);
  });

  it('after --parallel, whose workers all use the one server', async () => {
    const ended = await l.run(['--parallel', '--jobs', '2', 'passes.js', 'other.js']);
    assert.equal(ended.code, 0, ended.output);
    assert.equal(ended.seen.length, 2, ended.output);
    assert.equal(new Set(ended.seen.map((seen) => seen.directory)).size, 1, ended.output);
    assertNoTrace(ended);
  });

  it('after SIGKILL of a --parallel run @full', async () => {
    const { child, says, finished } = l.start(['--parallel', '--jobs', '2', 'waits.js', 'passes.js', 'other.js']);
    await says('SEEN');
    child.kill('SIGKILL');
    await assertNoTraceSoon(await finished);
  });
});

describe('the embedded server of another user', () => {
  const other = otherUser();
  let l: Lab;
  before(function () {
    if (typeof other === 'string') {
      console.log(`      skipped: ${other}`);
      this.skip();
    }
    l = lab(SPECS);
  });
  after(() => l?.remove());

  it(`is gone as ${SELF.name}'s is`, async () => {
    assert.ok(typeof other === 'object');
    const ended = await l.run(['passes.js'], { user: other });
    assert.equal(ended.code, 0, ended.output);
    assertNoTrace(ended);
  });

  it('is gone after SIGKILL', async () => {
    assert.ok(typeof other === 'object');
    const { child, says, finished } = l.start(['waits.js'], { user: other });
    await says('READY');
    child.kill('SIGKILL');
    await assertNoTraceSoon(await finished);
  });
});
