import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import fc from 'fast-check';
import { MOCHAS, repo } from '../support/project';
import {
  type Body,
  type HookResult,
  type Mark,
  type SuiteNode,
  type Tag,
  type TestNode,
  type Told,
  type TreeAnswer,
  type TreeRequest,
  type TreeRun,
  eachTest,
} from './support/tree';
import { full, rounds } from '../support/tiers';

const PHASES: Readonly<Record<Tag, number>> = {
  '': 1,
  '@rollback': 1,
  '@nodb': 1,
  '@truncate': 2,
  '@schema': 3,
  '@dirty': 4,
  '@unmanaged': 5,
};

const tag = fc.constantFrom<Tag>(
  '',
  '',
  '',
  '@rollback',
  '@truncate',
  '@truncate',
  '@nodb',
  '@schema',
  '@dirty',
  '@unmanaged',
);
const mark = fc.constantFrom<Mark>('', '', '', '', '', '', '', '', '', '', 'only', 'skip');
const body = fc.constantFrom<Body>('passes', 'passes', 'passes', 'fails', 'skips', 'pending', 'flaky');

/** A tree whose hooks end as said. */
function treeOf(hook: fc.Arbitrary<HookResult>): fc.Arbitrary<SuiteNode> {
  const test: fc.Arbitrary<TestNode> = fc.record({ tag, body, mark });
  const suite = (depth: number): fc.Arbitrary<SuiteNode> =>
    fc.record({
      tag,
      mark,
      before: hook,
      beforeEach: hook,
      afterEach: hook,
      after: hook,
      tests: fc.array(test, { maxLength: 4 }),
      suites: depth === 0 ? fc.constant([]) : fc.array(suite(depth - 1), { maxLength: 3 }),
    });
  return suite(3).map((root) => ({ ...root, tag: '' as const, mark: '' as const }));
}

const grep = fc.constantFrom('', '', '', 't1', 's0', '@truncate', 'no such test');

for (const [count, mark] of rounds(40, 150))
  for (const [version, folder] of Object.entries(MOCHAS)) {
    describe(`any tree of suites, on mocha ${version}${mark || full(version !== '12')}`, function () {
      this.timeout(60_000 + count * 100);
      let child: ChildProcess;

      before(() => {
        child = fork(path.join(__dirname, 'support', 'tree-child.ts'), {
          execArgv: ['--require', 'ts-node/register/transpile-only'],
          env: { PATH: process.env['PATH'], MOCHA_FOLDER: path.join(repo, 'node_modules', folder) },
        });
      });
      after(() => child.kill());

      const ask = async (request: TreeRequest): Promise<TreeAnswer> => {
        child.send(request);
        const [answer] = (await once(child, 'message')) as [TreeAnswer];
        return answer;
      };
      const check = (property: fc.IAsyncProperty<[SuiteNode, string]>): Promise<void> =>
        fc.assert(property, { numRuns: count });

      it('runs the same tests with the same rows in sight, sorted by phase, and reports the same totals', () =>
        check(
          fc.asyncProperty(treeOf(fc.constantFrom<HookResult>('none', 'passes')), grep, async (tree, text) => {
            const { plain, plugged } = await ask({ tree, grep: text });
            const phases = phasesOf(tree);
            const ran = testsIn(plain);
            const sorted = [1, 2, 3, 4, 5].flatMap((phase) => ran.filter((of) => phases.get(of) === phase));
            assert.deepEqual(testsIn(plugged), sorted, 'the same tests, sorted and stable');
            assert.deepEqual(plugged.totals, plain.totals);
            assert.equal(plugged.failures, plain.failures);
            assertNested(plugged);
            assertRows(tree, plugged);
          }),
        ));

      it('leaves every scope and runs no test twice or out of its phase, whatever hooks fail', () =>
        check(
          fc.asyncProperty(
            treeOf(fc.constantFrom<HookResult>('none', 'passes', 'passes', 'passes', 'fails')),
            grep,
            async (tree, text) => {
              const { plain, plugged } = await ask({ tree, grep: text });
              const phases = phasesOf(tree);
              const order = testsIn(plugged).map((of) => phases.get(of)!);
              assert.deepEqual(order, [...order].sort(), 'phase after phase');
              assertScopesNested(plugged);
              if (plain.failures > 0) assert.ok(plugged.failures > 0, 'nothing red turns green');
              const attempts = new Map<string, number>();
              for (const of of testsIn(plugged)) attempts.set(of, (attempts.get(of) ?? 0) + 1);
              for (const [of, times] of attempts) assert.ok(times <= 2, `${of} ran ${times} times, with one retry`);
              assertRows(tree, plugged);
            },
          ),
        ));
    });
  }

function testsIn(run: TreeRun): string[] {
  return run.told.filter((line) => line.what === 'test').map((line) => line.of);
}

function phasesOf(tree: SuiteNode): ReadonlyMap<string, number> {
  const phases = new Map<string, number>();
  eachTest(tree, (of, _test, effective) => phases.set(of, PHASES[effective]));
  return phases;
}

/** Who opens last closes first, and everybody who opens closes. Suites with one of the two hooks can't be told. */
function assertNested(run: TreeRun): void {
  const both = new Set(run.told.filter((line) => line.what === 'before').map((line) => line.of));
  const closes = new Set(run.told.filter((line) => line.what === 'after').map((line) => line.of));
  const open: string[] = [];
  for (const { what, of } of run.told) {
    if (!both.has(of) || !closes.has(of)) continue;
    if (what === 'before') open.push(of);
    if (what === 'after') assert.equal(open.pop(), of);
  }
  assert.deepEqual(open, []);
  assertScopesNested(run);
}

function assertScopesNested(run: TreeRun): void {
  const open: string[] = [];
  for (const { what, of } of run.told) {
    if (what === 'enter') open.push(of);
    if (what === 'leave') assert.equal(open.pop(), of);
  }
  assert.deepEqual(open, [], 'every scope is left');
}

/** A test sees what the hooks around it wrote for it, and nothing of anybody else's. */
function assertRows(tree: SuiteNode, run: TreeRun): void {
  const expected = new Map<string, string[]>();
  eachTest(tree, (of, _test, _tag, suites) => {
    const wrote = (kind: 'before' | 'beforeEach'): string[] =>
      suites.filter(({ node }) => node[kind] !== 'none').map(({ path: at }) => `${kind} ${at}`);
    expected.set(of, [...wrote('before'), ...wrote('beforeEach')]);
  });
  for (const line of run.told.filter((l): l is Told & { sees: string[] } => l.what === 'test')) {
    assert.deepEqual(line.sees, expected.get(line.of), `rows that ${line.of} sees`);
  }
}
