// What a run can be asked for in the environment, and what becomes of a mistake there: a variable that does nothing is
// no answer.
import assert from 'node:assert/strict';
import { type Finished, project } from '../support/project';

async function run(env: NodeJS.ProcessEnv): Promise<Finished> {
  const p = project({ files: { 'a.spec.js': "it('passes', () => {});" } });
  try {
    return await p.mocha(['--require', 'mocha-rewind/register', 'a.spec.js'], env);
  } finally {
    p.remove();
  }
}

describe('environment variables', () => {
  for (const [name, value, line] of [
    ['REWIND_SUFFLE', '1', 'there is no environment variable REWIND_SUFFLE; REWIND_SHUFFLE was probably meant.'],
    ['REWIND_SQL', 'all', 'the environment variable REWIND_SQL has to be failed, not "all".'],
    ['REWIND_VERIFY', 'maybe', 'the environment variable REWIND_VERIFY has to be 1, not "maybe".'],
  ] as const) {
    it(`refuses ${name}=${value}`, async () => {
      const { code, output } = await run({ [name]: value });
      assert.notEqual(code, 0);
      assert.ok(output.includes(`REWIND_CONFIG: ${line}`), output);
      assert.doesNotMatch(output, /passing/, 'no test may run');
    });
  }

  it('takes 0, false and nothing for no, and leaves names alone that are nothing like ours', async () => {
    const { code, output } = await run({
      REWIND_REVERSE: 'false',
      REWIND_SHUFFLE: '0',
      REWIND_SQL: '',
      REWIND_VERIFY: 'TRUE',
      REWIND_OF_MY_OWN_APP: 'x',
    });
    assert.equal(code, 0, output);
    assert.match(output, /1 passing/);
    assert.doesNotMatch(output, /shuffled/);
  });
});
