// The pages under docs/ are tested code, like the README.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { createDatabase } from '../support/database';
import { type Finished, project, repo } from '../support/project';
import { filesOf } from './extract.js';
import { brokenLinks, read } from './links';

/** The files that a page shows, in the app of the README's first example. */
async function runExample(name: string, env: NodeJS.ProcessEnv = {}): Promise<Finished> {
  const database = await createDatabase();
  const app = filesOf(read('README.md'), 'five-minutes');
  delete app['test/users.test.js'];
  const shown = filesOf(read(`docs/${name}.md`), name);
  const p = project({ files: { ...app, ...shown, 'package.json': { name: 'app' } } });
  try {
    return await p.mocha([], { DATABASE_URL: database.url, ...env });
  } finally {
    p.remove();
    await database.drop();
  }
}

describe('the pages in docs/', () => {
  for (const { name, summary } of [
    { name: 'tag', summary: /rewind: 1 rolled back · 2 without database · 3 committed/ },
    { name: 'fixtures', summary: /rewind: 3 rolled back · 2 committed, undone/ },
  ]) {
    it(`show examples that work: ${name}.md`, async () => {
      const { code, output } = await runExample(name);
      assert.equal(code, 0, output);
      assert.match(output, summary);
    });
  }

  it('show what a failed test has sent, as it is printed: debug.md', async () => {
    const { code, output } = await runExample('debug', { REWIND_SQL: 'failed' });
    const [, shown] = /<!-- output: debug -->\s*```\n([\s\S]*?)\n```/.exec(read('docs/debug.md')) ?? [];
    assert.ok(shown && output.includes(shown), output);
    assert.equal(code, 1);
  });

  for (const file of fs.readdirSync(path.join(repo, 'docs')).filter((f) => f.endsWith('.md'))) {
    it(`link only to headings and files that exist: ${file}`, () => {
      assert.deepEqual(brokenLinks(`docs/${file}`), []);
    });
  }
});
