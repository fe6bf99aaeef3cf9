import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { explicitModeOf, setExplicitMode } from '../../lib/explicit-mode';
import { nodb, rollback, truncate, unmanaged } from '../../lib';
import { type Finished, MOCHAS, type ProjectOptions, project } from '../support/project';
import { full } from '../support/tiers';

interface Ran extends Finished {
  /** `title: mode`, in the order they ran. */
  readonly modes: readonly string[];
}

/** Runs specs without a database, and reads what mode each test was given. */
async function run(
  specs: Readonly<Record<string, string>>,
  args: readonly string[] = [],
  options: Partial<ProjectOptions> = {},
): Promise<Ran> {
  const head = "const { rollback, truncate, nodb, dirty, unmanaged } = require('mocha-rewind');\n";
  const p = project({
    ...options,
    files: {
      ...options.files,
      ...Object.fromEntries(Object.entries(specs).map(([name, text]) => [name, head + text])),
    },
  });
  try {
    const reporter = args.includes('--reporter') ? [] : ['--reporter', 'mocha-rewind/reporter'];
    const finished = await p.mocha(['--require', 'mocha-rewind/register', ...reporter, ...args, ...Object.keys(specs)]);
    const file = path.join(p.dir, 'reports', 'rewind.json');
    const report = fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')) : { tests: [] };
    return { ...finished, modes: report.tests.map((t: Record<string, string>) => `${t['title']}: ${t['mode']}`) };
  } finally {
    p.remove();
  }
}

for (const mocha of Object.keys(MOCHAS) as (keyof typeof MOCHAS)[]) {
  describe(`a mode in code, on mocha ${mocha}${full(mocha !== '12')}`, () => {
    it('counts like a tag, and leaves the title alone', async () => {
      const ran = await run(
        {
          'a.spec.js': `
            dirty.it('keeps', () => {});
            truncate.it('commits', () => {});
            nodb.specify('computes', async function () { this.timeout(5); });
            unmanaged.it('is left alone', (done) => done());
            it('rolls back', () => {});
            rollback.it('rolls back too', () => {});`,
        },
        [],
        { mocha },
      );
      assert.equal(ran.code, 0, ran.output);
      assert.deepEqual(ran.modes, [
        'computes: nodb',
        'rolls back: rollback',
        'rolls back too: rollback',
        'commits: truncate',
        'keeps: dirty',
        'is left alone: unmanaged',
      ]);
    });

    it('is handed down by a describe, and the innermost mode wins, in code or in the title', async () => {
      const ran = await run(
        {
          'a.spec.js': `
            truncate.describe('outer', () => {
              it('inherits', () => {});
              it('has a tag @rollback', () => {});
              nodb.it('has a mode', () => {});
              describe('inner @dirty', () => {
                it('inherits the tag', () => {});
                truncate.context('innermost', () => it('inherits the mode', () => {}));
              });
            });
            describe('tagged @nodb', () => { rollback.it('has a mode', () => {}); });`,
        },
        [],
        { mocha },
      );
      assert.equal(ran.code, 0, ran.output);
      assert.deepEqual([...ran.modes].sort(), [
        'outer has a mode: nodb',
        'outer has a tag @rollback: rollback',
        'outer inherits: truncate',
        'outer inner @dirty inherits the tag: dirty',
        'outer inner @dirty innermost inherits the mode: truncate',
        'tagged @nodb has a mode: rollback',
      ]);
    });

    it('beats rules and the default', async () => {
      const ran = await run({ 'a.spec.js': `nodb.it('one', () => {}); it('two', () => {});` }, [], {
        mocha,
        files: { 'rewind.config.json': { default: 'dirty', rules: [{ files: '*.spec.js', mode: 'unmanaged' }] } },
      });
      assert.equal(ran.code, 0, ran.output);
      assert.deepEqual(ran.modes, ['one: nodb', 'two: unmanaged']);
    });

    it('survives a retry, also where the describe that has it was divided', async () => {
      const ran = await run(
        {
          'a.spec.js': `
            truncate.describe('divided', function () {
              this.retries(1);
              const failed = new Set();
              const failOnce = (name) => { if (!failed.has(name)) { failed.add(name); throw new Error('once'); } };
              rollback.it('first', () => {});
              it('second', () => failOnce('second'));
              nodb.it('third', () => failOnce('third'));
            });`,
        },
        [],
        { mocha },
      );
      assert.equal(ran.code, 0, ran.output);
      assert.deepEqual(ran.modes, [
        'divided first: rollback',
        'divided third: nodb',
        'divided third: nodb',
        'divided second: truncate',
        'divided second: truncate',
      ]);
    });

    it('has only and skip', async () => {
      const ran = await run(
        {
          'a.spec.js': `
            describe('tests', () => {
              it('not asked for', () => {});
              truncate.it('not asked for either', () => {});
              truncate.it.only('asked for', () => {});
            });
            nodb.describe.only('a suite', () => { it('inside', () => {}); truncate.it.skip('pending', () => {}); });
            truncate.describe.skip('skipped', () => { it('never', () => { throw new Error('ran'); }); });`,
        },
        [],
        { mocha },
      );
      assert.equal(ran.code, 0, ran.output);
      assert.deepEqual(ran.modes, ['a suite inside: nodb', 'a suite pending: null', 'tests asked for: truncate']);
    });

    it('has the names of the tdd interface', async () => {
      const ran = await run(
        {
          'a.spec.js': `
            truncate.suite('tdd', () => {
              test('inherits', () => {});
              nodb.test('has its own', () => {});
              dirty.test.skip('skipped', () => {});
            });
            unmanaged.suite.skip('skipped', () => { test('never', () => { throw new Error('ran'); }); });`,
        },
        ['--ui', 'tdd'],
        { mocha },
      );
      assert.equal(ran.code, 0, ran.output);
      assert.deepEqual(
        ran.modes.filter((line) => !line.endsWith('null')),
        ['tdd has its own: nodb', 'tdd inherits: truncate'],
      );
    });
  });
}

describe('a mode in code', () => {
  it('works in suites without a body, as the qunit interface has them @full', async () => {
    const ran = await run(
      { 'a.spec.js': `truncate.suite('flat'); test('inherits', () => {}); suite('next'); test('does not', () => {});` },
      ['--ui', 'qunit'],
    );
    assert.equal(ran.code, 0, ran.output);
    assert.deepEqual(ran.modes, ['next does not: rollback', 'flat inherits: truncate']);
  });

  it('works in parallel workers', async () => {
    const ran = await run(
      { 'a.spec.js': `truncate.it('a', () => {});`, 'b.spec.js': `nodb.describe('b', () => { it('c', () => {}); });` },
      ['--parallel', '--jobs', '2'],
    );
    assert.equal(ran.code, 0, ran.output);
    assert.deepEqual([...ran.modes].sort(), ['a: truncate', 'b c: nodb']);
  });

  it('that contradicts a tag in the very same title stops the run', async () => {
    const ran = await run({ 'a.spec.js': `truncate.it('one @rollback', () => {}); it('two', () => {});` }, [
      '--reporter',
      'spec',
    ]);
    assert.notEqual(ran.code, 0);
    assert.match(ran.output, /REWIND_TAGS: .*"one @rollback" \(a\.spec\.js\) has @rollback and truncate in code/);
    assert.match(ran.output, /^ {2}0 passing/m);
  });

  it('may repeat the tag', async () => {
    const ran = await run({ 'a.spec.js': `truncate.it('one @truncate', () => {});` });
    assert.deepEqual([ran.code, ran.modes], [0, ['one @truncate: truncate']], ran.output);
  });

  it('is refused in words where Mocha does not know the name', async () => {
    const ran = await run({ 'a.spec.js': `truncate.suite('no such thing in bdd', () => {});` });
    assert.notEqual(ran.code, 0);
    assert.match(ran.output, /REWIND_MOCHA: truncate\.suite\(\) was called where Mocha has no suite\(\)/);
  });

  it('is shared by two copies of the package, and seen by nobody else', () => {
    const test = { title: 'a test' };
    setExplicitMode(test, 'truncate');
    assert.deepEqual(JSON.stringify(test), '{"title":"a test"}');
    assert.deepEqual(Object.assign({}, test), { title: 'a test' });
    const file = require.resolve('../../lib/explicit-mode');
    const saved = require.cache[file];
    delete require.cache[file];
    try {
      // eslint-disable-next-line @typescript-eslint/no-require-imports
      const copy = require(file) as typeof import('../../lib/explicit-mode');
      assert.notEqual(copy.explicitModeOf, explicitModeOf);
      assert.equal(copy.explicitModeOf(test), 'truncate');
    } finally {
      require.cache[file] = saved;
    }
  });
});

/** Never called: `npm run typecheck` is its test. */
export function types(): void {
  truncate.it('has a context', function () {
    this.timeout(10).retries(2);
  });
  truncate.it('has done', (done) => done());
  const test: Mocha.Test = nodb.specify.only('is async', async () => {});
  const suite: Mocha.Suite = rollback.describe('is a suite', function () {
    this.retries(2);
    this.timeout(test.timeout());
  });
  unmanaged.context.skip(suite.title, () => {});
  // @ts-expect-error -- a test needs a title
  truncate.it(5, () => {});
  // @ts-expect-error -- no such mode
  truncate.trunctate('x', () => {});
  // @ts-expect-error -- a describe is not awaited by Mocha, but may well return something
  rollback.describe('y', 7);
}
