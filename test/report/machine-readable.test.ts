// What a program reads on stdout is what Mocha's reporter wrote, and nothing of ours.
import assert from 'node:assert/strict';
import { project } from '../support/project';
import { full } from '../support/tiers';

const READERS: Readonly<Record<string, (stdout: string) => readonly number[]>> = {
  json: (stdout) => {
    const { stats } = JSON.parse(stdout) as { stats: Record<'passes' | 'failures', number> };
    return [stats.passes, stats.failures];
  },
  'json-stream': (stdout) => {
    const events = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as [string, unknown]);
    return ['pass', 'fail'].map((event) => events.filter(([name]) => name === event).length);
  },
  tap: (stdout) => {
    const lines = stdout.trimEnd().split('\n');
    for (const line of lines) assert.match(line, /^(?:\d+\.\.\d+|ok \d|not ok \d| {2}|# (?:tests|pass|fail) \d)/);
    return ['ok', 'not ok'].map((word) => lines.filter((line) => line.startsWith(`${word} `)).length);
  },
  xunit: (stdout) => {
    // Mocha calls its failures errors.
    const [, tests = '', errors = ''] =
      /^<testsuite [^>]*tests="(\d+)"[^>]* errors="(\d+)"[^>]*>[^]*<\/testsuite>\s*$/.exec(stdout) ?? [];
    return [Number(tests) - Number(errors), Number(errors)];
  },
};

describe('stdout', function () {
  this.timeout(60_000);
  const p = project({
    files: {
      'a.spec.js': `
        it('passes', () => {}); it('passes as well @trunkate', () => {});
        it('fails', () => { throw new Error('own'); });`,
    },
  });
  after(() => p.remove());

  for (const [reporter, read] of Object.entries(READERS)) {
    it(`is ${reporter} and nothing else${full(reporter === 'tap')}`, async () => {
      const finished = await p.mocha(['--require', 'mocha-rewind/register', '--reporter', reporter, 'a.spec.js']);
      assert.deepEqual(read(finished.stdout), [2, 1], finished.output);
      assert.match(finished.stderr, /rewind: 3 rolled back/);
      assert.match(finished.stderr, /@trunkate is no tag/);
      assert.equal(finished.code, 1);
    });
  }
});
