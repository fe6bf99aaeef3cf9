// What `mocha-private.ts` takes for granted of Mocha without Mocha's promise. When a new version moves a wall, the name
// of the test that fails says which.
import assert from 'node:assert/strict';
import path from 'node:path';
import {
  type Hook,
  type HookKind,
  type Runner,
  type Suite,
  type Test,
  addHook,
  captureRunner,
  cloneSuite,
  endWhen,
  hooksOf,
  ignoreSecondEnd,
  interceptUncaught,
  isDryRun,
  isMochaClass,
  isTimeout,
  kindOf,
  makeHolder,
  withholdBeforeEach,
  wrapRun,
} from '../../lib/mocha/mocha-private';
import { MOCHAS, repo } from '../support/project';
import { type RecordedRun, recorded } from './support/recorded';

interface Loaded {
  Suite: new (
    title: string,
    context: object,
    root?: boolean,
  ) => Suite & Record<HookKind, (title: string, fn: unknown) => unknown>;
  Test: new (title: string, fn?: unknown) => Test;
  Hook: new (title: string, fn?: unknown) => Hook;
  Runner: new (
    suite: Suite,
    options: object,
  ) => Runner & { run(done: (failures: number) => void): void; dispose(): void };
  Context: new () => object;
}

const KINDS: readonly HookKind[] = ['beforeAll', 'beforeEach', 'afterEach', 'afterAll'];
const addSuite = (parent: Suite, child: Suite): unknown =>
  (parent as unknown as { addSuite(s: Suite): void }).addSuite(child);
const addTest = (parent: Suite, test: Test): unknown => (parent as unknown as { addTest(t: Test): void }).addTest(test);

for (const [version, folder] of Object.entries(MOCHAS)) {
  describe(`mocha ${version} still`, () => {
    // eslint-disable-next-line @typescript-eslint/no-require-imports -- one test file, three Mochas
    const mocha = require(path.join(repo, 'node_modules', folder)) as Loaded & { Mocha?: Loaded; default?: Loaded };
    const {
      Suite: SuiteClass,
      Test: TestClass,
      Hook: HookClass,
      Runner: RunnerClass,
      Context,
    } = mocha.Mocha ?? mocha.default ?? mocha;

    const rootSuite = (): InstanceType<typeof SuiteClass> => new SuiteClass('', new Context(), true);
    const run = (
      root: Suite,
      listen?: (runner: Runner) => void,
      options: object = { cleanReferencesAfterRun: true },
    ): Promise<number> => {
      const runner = new RunnerClass(root, options);
      listen?.(runner);
      return new Promise((resolve) =>
        runner.run((failures) => {
          runner.dispose(); // It listens for the whole process.
          resolve(failures);
        }),
      );
    };

    it('keeps its class in the module cache, under a name that ends in lib/mocha.js or lib/mocha.cjs', () => {
      const file = Object.keys(require.cache).find(
        (name) => name.includes(`${path.sep}${folder}${path.sep}`) && /[\\/]lib[\\/]mocha\.c?js$/.test(name),
      );
      assert.ok(file);
      assert.ok(isMochaClass(require.cache[file]?.exports));
    });

    it('keeps the hooks of a suite in one array for each kind, and reads it live', async () => {
      const root = rootSuite();
      const ran: string[] = [];
      for (const kind of KINDS) root[kind]('theirs', () => void ran.push(`their ${kind}`));
      assert.deepEqual(
        KINDS.map((kind) => hooksOf(root, kind).length),
        [1, 1, 1, 1],
      );
      assert.deepEqual(
        KINDS.map((kind) => kindOf(hooksOf(root, kind)[0]!)),
        KINDS,
      );
      const [theirs] = hooksOf(root, 'beforeAll');
      addHook(root, 'beforeAll', 'first', async () => {
        addHook(root, 'beforeAll', { after: theirs! }, () => Promise.resolve(void ran.push('ours, added late')));
        await Promise.resolve(ran.push('ours'));
      });
      addTest(root, new TestClass('t', () => ran.push('body')));
      assert.equal(await run(root), 0);
      assert.deepEqual(ran, [
        'ours',
        'their beforeAll',
        'ours, added late',
        'their beforeEach',
        'body',
        'their afterEach',
        'their afterAll',
      ]);
    });

    it('has no time limit for a hook of time-out 0', async () => {
      const root = rootSuite();
      (root as unknown as { timeout(ms: number): void }).timeout(5);
      addHook(root, 'beforeAll', 'first', () => new Promise((resolve) => setTimeout(resolve, 30)));
      addTest(root, new TestClass('t', () => {}));
      assert.equal(await run(root), 0);
    });

    it('has no property of suites and hooks that would be taken for a user’s', async () => {
      const root = rootSuite();
      const suite = new SuiteClass('S', (root as unknown as { ctx: object }).ctx);
      addSuite(root, suite);
      for (const kind of KINDS) suite[kind]('theirs', () => {});
      addTest(suite, new TestClass('t', () => {}));
      await run(root, undefined, { cleanReferencesAfterRun: false });
      Object.assign(suite, { tenant: 7 });
      const clone = cloneSuite(suite);
      const fresh = new SuiteClass('S', {});
      const added = (from: object, to: object): string[] => Object.keys(to).filter((key) => !(key in from));
      assert.deepEqual(
        added(fresh, clone).filter((key) => key !== 'file'),
        ['parent', 'tenant'],
      );
      const hook = hooksOf(clone, 'beforeEach')[0]!;
      assert.deepEqual(
        added(new HookClass('', () => {}), hook).filter((key) => !['file', '_allowedGlobals'].includes(key)),
        ['parent', 'ctx'],
        'what a run leaves on a hook is not copied to the other half of its suite',
      );
    });

    it('makes a clone of a suite that shares its context, with its settings, and hooks that are new', () => {
      const root = rootSuite();
      const suite = new SuiteClass('S', (root as unknown as { ctx: object }).ctx);
      addSuite(root, suite);
      const settings = suite as unknown as Record<
        'timeout' | 'slow' | 'retries' | 'bail',
        (value?: unknown) => unknown
      >;
      settings.timeout(77);
      settings.slow(33);
      settings.retries(2);
      settings.bail(true);
      const body = (): void => {};
      suite.beforeEach('theirs', body);
      const clone = cloneSuite(suite);
      const cloned = clone as unknown as typeof settings & { ctx: object };
      assert.equal(cloned.ctx, (suite as unknown as { ctx: object }).ctx);
      assert.deepEqual([cloned.timeout(), cloned.slow(), cloned.retries(), cloned.bail()], [77, 33, 2, true]);
      const [hook] = hooksOf(clone, 'beforeEach');
      assert.notEqual(hook, hooksOf(suite, 'beforeEach')[0]);
      assert.equal(hook?.fn, body);
      assert.equal(hook?.title, '"before each" hook: theirs');
      assert.equal(clone.fullTitle(), 'S');
    });

    it('leaves the title of a holder out of full titles', () => {
      const root = rootSuite();
      const holder = makeHolder(root);
      const test = new TestClass('t', () => {});
      addTest(holder, test);
      assert.equal(test.fullTitle(), 't');
    });

    it('emits `start` when .only has been applied and nothing has run', async () => {
      const root = rootSuite();
      for (const title of ['a', 'b']) addTest(root, new TestClass(title, () => {}));
      (root as unknown as { appendOnlyTest(t: Test): void }).appendOnlyTest(root.tests[1]!);
      let seen: string[] = [];
      await run(root, (runner) =>
        runner.on('start', () => (seen = runner.suite.tests.map((t) => `${t.title} ${t.state ?? 'new'}`))),
      );
      assert.deepEqual(seen, ['b new']);
    });

    it('runs an attempt by calling its `run`, and a new object for each retry', async () => {
      const root = rootSuite();
      const wrapped: Test[] = [];
      let n = 0;
      addTest(
        root,
        new TestClass('t', () => {
          if (n++ === 0) throw new Error('again');
        }),
      );
      root.tests[0]!.retries(1);
      const failures = await run(root, (runner) =>
        runner.on('test', (test: Test) =>
          wrapRun(test, (body, done) => {
            wrapped.push(test);
            body(done);
          }),
        ),
      );
      assert.equal(failures, 0);
      assert.equal(new Set(wrapped).size, 2);
    });

    it('tells a running test of an uncaught exception by its `callback`, also after its body', async () => {
      const root = rootSuite();
      addTest(root, new TestClass('t', () => {}));
      const errors: string[] = [];
      await run(root, (runner) => {
        runner.on('fail', (test: Test, error: Error) => errors.push(`${test.title}: ${error.message}`));
        runner.on('test', (test: Test) =>
          wrapRun(test, (body, done) =>
            body((error) => {
              endWhen(test, setImmediate, (uncaught) => done(error ?? uncaught));
              runner.uncaught(new Error('late'));
            }),
          ),
        );
      });
      assert.deepEqual(errors, ['t: late']);
    });

    it('listens for uncaught exceptions by `uncaught`, which can be replaced while it runs', async () => {
      const root = rootSuite();
      const taken: unknown[] = [];
      const before = process.listeners('uncaughtException');
      const failures = await run(root, (runner) => {
        addTest(root, new TestClass('t', () => runner.uncaught(new Error('late'))));
        runner.on('start', () => {
          interceptUncaught(runner, (thrown) => taken.push((thrown as Error).message) > 0);
          const during = process.listeners('uncaughtException').filter((listener) => !before.includes(listener));
          assert.deepEqual(during, [runner.uncaught]);
        });
      });
      assert.deepEqual([failures, taken], [0, ['late']]);
      assert.deepEqual(process.listeners('uncaughtException'), before);
    });

    it('tells a test of a second end by an `error` event with a code, after the first', async () => {
      const root = rootSuite();
      addTest(
        root,
        new TestClass('t', (done: () => void) => {
          done();
          done();
        }),
      );
      const failed = await run(root, (runner) => runner.on('test', (test: Test) => ignoreSecondEnd(test)));
      assert.equal(failed, 0);
    });

    it('fails the test, and goes on, where a hook says so by Hook#error', async () => {
      const root = rootSuite();
      const ran: string[] = [];
      for (const title of ['a', 'b']) addTest(root, new TestClass(title, () => ran.push(title)));
      addHook(root, 'afterEach', 'last', (hook) => Promise.resolve(hook.error(new Error(`left open`))));
      const failed: string[] = [];
      const failures = await run(root, (runner) => runner.on('fail', (test: Test) => failed.push(test.title)));
      assert.deepEqual([ran, failed, failures], [['a', 'b'], ['a', 'b'], 2]);
    });

    it('lets the other beforeEach hooks of one test be held back from inside the first', async () => {
      const root = rootSuite();
      const suite = new SuiteClass('S', {});
      addSuite(root, suite);
      const ran: string[] = [];
      root.beforeEach('theirs', () => ran.push('root'));
      suite.beforeEach('theirs', () => ran.push('S'));
      for (const title of ['a', 'b']) addTest(suite, new TestClass(title, () => ran.push(title)));
      let giveBack: (() => void) | undefined;
      addHook(root, 'beforeEach', 'first', (hook) => {
        giveBack = suite.tests[0]!.state === undefined ? withholdBeforeEach(suite.tests[0]!, hook) : undefined;
        return Promise.resolve();
      });
      await run(root, (runner) => runner.on('test end', () => giveBack?.()));
      assert.deepEqual(ran, ['a', 'root', 'S', 'b']);
    });

    it('has a code for time-outs', async () => {
      const root = rootSuite();
      addTest(root, new TestClass('t', () => new Promise(() => {})));
      root.tests[0]!.timeout(5);
      const found: boolean[] = [];
      await run(root, (runner) => runner.on('fail', (_test: Test, error: unknown) => found.push(isTimeout(error))));
      assert.deepEqual(found, [true]);
    });

    it('knows of a dry run', () => {
      assert.equal(isDryRun(new RunnerClass(rootSuite(), { dryRun: true })), true);
      assert.equal(isDryRun(new RunnerClass(rootSuite(), {})), false);
    });

    it('emits `hook end` with the hook, by which the runner can be found', async () => {
      const root = rootSuite();
      let captured: Runner | undefined;
      let runner: Runner | undefined;
      root.beforeAll('theirs', () => captureRunner(hooksOf(root, 'beforeAll')[0]!, (found) => (captured = found)));
      addTest(root, new TestClass('t', () => {}));
      await run(root, (r) => (runner = r));
      assert.ok(captured && captured === runner);
    });

    /** One parallel run for two questions. */
    let told: Promise<RecordedRun> | undefined;
    const parallelRun = (): Promise<RecordedRun> =>
      (told ??= recorded(
        {
          'more.js': `for (const [file, m] of Object.entries(require.cache)) if (/lib.mocha\\.c?js$/.test(file)) {
            const test = m.exports.Test.prototype; const serializeTest = test.serialize;
            test.serialize = function () { return { ...serializeTest.call(this), rewind: { deep: [this.title] } }; };
            const { prototype } = m.exports; const { run } = prototype; let root;
            prototype.run = function (done) {
              const runner = run.call(this, (result) => { root.late = 'yes'; done(result); });
              root = runner.suite;
              return runner;
            };
            const { serialize } = m.exports.Suite.prototype;
            m.exports.Suite.prototype.serialize = function () { return { ...serialize.call(this), rewind: this.late }; }; }`,
          'reporter.js': `module.exports = function (runner) {
            runner.on('pass', (t) => console.log('test', JSON.stringify([t.rewind, typeof t.__mocha_id__])));
            runner.on('suite end', (s) => s.root && console.log('root', s.rewind));
          };`,
          'a.spec.js': `describe('S', () => T('a'))`,
          'b.spec.js': `T('b')`,
        },
        {
          mocha: version as keyof typeof MOCHAS,
          plugged: false,
          args: ['--require', './more.js', '--parallel', '--jobs', '2', '--reporter', './reporter.js'],
        },
      ));
    const said = ({ stdout }: RecordedRun, what: string): string[] =>
      [...stdout.matchAll(new RegExp(`^${what} (.*)$`, 'gm'))].map(([, text = '']) => text).sort();

    it('gives every test an id, and asks the test itself for what goes from a worker to the main process', async () => {
      const result = await parallelRun();
      assert.deepEqual(said(result, 'test'), ['[{"deep":["a"]},"string"]', '[{"deep":["b"]},"string"]'], result.output);
    });

    it('tells the main process of the end of each file’s root suite, which is asked itself when all is over', async () => {
      const result = await parallelRun();
      assert.deepEqual(said(result, 'root'), ['yes', 'yes'], result.output);
    });
  });
}
