import assert from 'node:assert/strict';
import path from 'node:path';
import { project, repo } from './project';

it('a run of our own tests that does not end names what keeps it, and fails', async () => {
  const p = project({
    files: { 'a.spec.js': `it('forgets', (done) => void require('node:net').createServer().listen(0, done));` },
  });
  try {
    const ends = path.join(__dirname, 'ends.ts');
    const env = { REWIND_TEST_PATIENCE_MS: '100', TS_NODE_PROJECT: path.join(repo, 'tsconfig.json') };
    const args = ['--require', 'ts-node/register/transpile-only', '--require', ends, 'a.spec.js'];
    const { code, output } = await p.mocha(args, env);
    assert.equal(code, 1, output);
    assert.match(output, /1 passing[^]*kept alive by:\n(.*\n)* {2}Server\n/);
  } finally {
    p.remove();
  }
});
