import assert from 'node:assert/strict';
import path from 'node:path';
import { project, repo } from './project';

describe('a test of ours that is pending', () => {
  const p = project({ files: { 'a.spec.js': `it('waits'); it('passes', () => {});` } });
  after(() => p.remove());

  for (const [ci, args, code] of [
    ['1', [], 1],
    ['1', ['--parallel', '--jobs', '2'], 1],
    ['', [], 0],
  ] as const) {
    it(`${code === 1 ? 'fails' : 'does not fail'} a run: CI=${ci} mocha ${args.join(' ')}`, async () => {
      const finished = await p.mocha(
        [
          '--require',
          'ts-node/register/transpile-only',
          '--reporter',
          path.join(__dirname, 'reporter.ts'),
          ...args,
          'a.spec.js',
        ],
        { CI: ci, TS_NODE_PROJECT: path.join(repo, 'tsconfig.json') },
      );
      assert.equal(finished.code, code, finished.output);
      assert.equal(/should have run.*\n {2}waits/.test(finished.output), code === 1, finished.output);
    });
  }
});
