// The README is tested code: what it shows is run, and what it promises by name exists.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createDatabase } from '../support/database';
import { cleanEnvironment, project } from '../support/project';
import { full } from '../support/tiers';
import { filesOf } from './extract.js';
import { brokenLinks, read } from './links';

const README = read('README.md');

/** What Node.js 22.18 does unasked. `.ci/packed` runs that example whatever version this is. */
const stripsTypes = Boolean(Reflect.get(process.features, 'typescript'));

describe('the README', () => {
  for (const [example, tests, type, shared] of [
    ['five-minutes', 4, 'commonjs'],
    ['tsx', 2, 'module', 'typescript'],
    ...(stripsTypes ? ([['type-stripping', 2, 'module', 'typescript']] as const) : []),
    ['ts-node', 2, 'commonjs', 'typescript'],
    ['esm', 2, 'module'],
  ] as const) {
    it(`shows an example that works: ${example}${full(example === 'ts-node' || example === 'esm')}`, async () => {
      const database = await createDatabase();
      const files = { ...(shared && filesOf(README, shared)), ...filesOf(README, example) };
      const p = project({ files: { ...files, 'package.json': { name: 'app', type } } });
      try {
        const { code, output } = await p.mocha([], { DATABASE_URL: database.url });
        assert.equal(code, 0, output);
        assert.match(output, new RegExp(`^ {2}${tests} passing`, 'm'));
        assert.match(output, /^ {2}rewind: \d+ rolled back/m);
      } finally {
        p.remove();
        await database.drop();
      }
    });
  }

  it('shows a set-up file that works', async () => {
    const database = await createDatabase();
    const files = { ...filesOf(README, 'five-minutes'), ...filesOf(README, 'setup-file') };
    delete files['.mocharc.json'];
    delete files['rewind.config.js'];
    delete files['test/users.test.js'];
    const p = project({
      files: { ...files, 'test/a.test.js': `it('asks', () => require('../src/db').raw('select 1'));` },
    });
    try {
      const { code, output } = await p.mocha(['--require', './test/setup.js', 'test/*.test.js'], {
        DATABASE_URL: database.url,
      });
      assert.equal(code, 0, output);
      assert.match(output, /^ {2}rewind: 1 rolled back/m);
    } finally {
      p.remove();
      await database.drop();
    }
  });

  it('shows a program that works', async () => {
    const database = await createDatabase();
    const files = { ...filesOf(README, 'five-minutes'), ...filesOf(README, 'programmatic') };
    delete files['rewind.config.js'];
    const p = project({
      files: { ...files, 'test/a.test.js': `it('asks', () => require('../src/db').raw('select 1'));` },
    });
    try {
      const { status, stderr } = spawnSync(process.execPath, ['run.js'], {
        cwd: p.dir,
        env: { ...cleanEnvironment(), DATABASE_URL: database.url },
        encoding: 'utf8',
      });
      assert.equal(status, 0, stderr);
      assert.match(stderr, /^ {2}rewind: 1 rolled back/m);
    } finally {
      p.remove();
      await database.drop();
    }
  });

  it('has a heading for each error code, and for no other', () => {
    const source = read('lib/errors.ts');
    const codes = [...source.matchAll(/^ {2}\| '(REWIND_\w+)'/gm)].map(([, code]) => code);
    const headings = [...README.matchAll(/^### (REWIND_\w+)$/gm)].map(([, code]) => code);
    assert.ok(codes.length > 10);
    assert.deepEqual(headings.sort(), codes.sort());
  });

  it('names every key of the config', () => {
    const source = read('lib/config/index.ts');
    const [, body] = /export interface RewindConfig \{([\s\S]*?)\n\}/.exec(source) ?? [];
    const keys = [...(body ?? '').matchAll(/^ {2}(\w+)\?:/gm)].map(([, key]) => key);
    assert.ok(keys.length > 8);
    for (const key of keys) assert.match(README, new RegExp(`^\\|.*\`${key}\`.*\\|`, 'm'), `the table has no ${key}`);
  });

  it('has a row for each environment variable, and for no other', () => {
    const [, table] = /const VARIABLES[^=]*= \{([\s\S]*?)\n\};/.exec(read('lib/environment.ts')) ?? [];
    const known = [...(table ?? '').matchAll(/^ {2}(REWIND_\w+):/gm)].map(([, name]) => name);
    const rows = [...README.matchAll(/^\| `(REWIND_\w+)=/gm)].map(([, name]) => name);
    assert.ok(known.length > 5);
    assert.deepEqual([...new Set(rows)].sort(), known.sort());
  });

  it('links only to headings and files that exist', () => {
    assert.deepEqual(brokenLinks('README.md'), []);
  });
});
