// Every way people run Mocha.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { MOCHAS, repo } from '../support/project';
import { assertScopes } from './support/assert-scopes';
import {
  VERSIONS,
  argsOf,
  readRecord,
  type Recorded,
  type RecordedRun,
  recorded,
  recordedProject,
} from './support/recorded';
import { full } from '../support/tiers';

/** What is recorded, run by run. */
function runsOf(run: RecordedRun): RecordedRun[] {
  const runs: Recorded[][] = [];
  for (const event of run.events) {
    if (event.what === 'begin') runs.push([]);
    runs.at(-1)?.push(event);
  }
  return runs.map((events) => ({ ...run, events }));
}

const bodies = (run: RecordedRun): string[] => run.events.filter((e) => e.what === 'test').map((e) => e.of);

for (const mocha of VERSIONS) {
  describe(`ways to run mocha ${mocha}${full(mocha !== '12')}`, function () {
    this.timeout(60_000);

    it('ES modules', async () => {
      const run = await recorded(
        { 'a.spec.mjs': `await 1; describe('S', () => { T('a @truncate'); T('b'); });` },
        { mocha },
      );
      assertScopes(run);
      assert.deepEqual(run.ran, ['S b', 'S a @truncate']);
    });

    const interfaces = {
      tdd: `suite('S', () => { suiteSetup(() => {}); setup(() => {}); test('a @truncate', function () { R('test', this.test.fullTitle()); }); test('b', function () { R('test', this.test.fullTitle()); }); });`,
      qunit: `suite('S'); before(() => {}); test('a @truncate', function () { R('test', this.test.fullTitle()); }); test('b', function () { R('test', this.test.fullTitle()); });`,
      exports: `module.exports = { S: { before: () => {}, 'a @truncate'() { R('test', this.test.fullTitle()); }, b() { R('test', this.test.fullTitle()); } } };`,
    };
    for (const [ui, text] of Object.entries(interfaces)) {
      it(`--ui ${ui}${full(ui !== 'tdd')}`, async () => {
        const run = await recorded({ 'a.spec.js': text }, { mocha, args: ['--ui', ui] });
        assertScopes(run);
        assert.deepEqual(run.ran, ['S b', 'S a @truncate']);
        assert.ok(run.calls.includes('prepared suite S'));
      });
    }

    it('--delay', async () => {
      const run = await recorded(
        { 'a.spec.js': `setTimeout(() => { describe('S', () => { T('a @truncate'); T('b'); }); run(); }, 20);` },
        { mocha, args: ['--delay'] },
      );
      assertScopes(run);
      assert.deepEqual(run.ran, ['S b', 'S a @truncate']);
      assert.equal(run.code, 0);
    });

    it('--forbid-only and --forbid-pending', async () => {
      const only = await recorded({ 'a.spec.js': `it.only('a', () => {});` }, { mocha, args: ['--forbid-only'] });
      assert.notEqual(only.code, 0);
      const pending = await recorded(
        { 'a.spec.js': `T('a'); it('b'); it('c', function () { this.skip(); });` },
        { mocha, args: ['--forbid-pending'] },
      );
      assertScopes(pending);
      assert.equal(pending.code, 2);
    });

    it('--allow-uncaught @full', async () => {
      const run = await recorded({ 'a.spec.js': `T('a'); T('b @truncate');` }, { mocha, args: ['--allow-uncaught'] });
      assertScopes(run);
      assert.equal(run.code, 0);
    });

    it('--async-only @full', async () => {
      const run = await recorded({ 'a.spec.js': `T('a'); it('b', () => {});` }, { mocha, args: ['--async-only'] });
      assertScopes(run);
      assert.equal(run.report?.stats.failures, 1);
    });

    it('--watch: each run is a run of its own', async () => {
      const specs = { 'a.spec.js': `T('a @truncate'); T('b');` };
      const p = recordedProject(specs, { mocha });
      try {
        const { child, finished } = p.start([...argsOf(specs, { mocha, args: ['--reporter', 'dot'] }), '--watch']);
        const ended = (): number =>
          fs.existsSync(p.record) ? (fs.readFileSync(p.record, 'utf8').match(/"what":"ended"/g)?.length ?? 0) : 0;
        const until = async (n: number, nudge: () => void): Promise<void> => {
          while (ended() < n) {
            nudge();
            await new Promise((r) => setTimeout(r, 250));
          }
        };
        await until(1, () => {});
        // The watcher may take a moment to look.
        await until(2, () => fs.utimesSync(path.join(p.dir, 'a.spec.js'), new Date(), new Date()));
        child.kill('SIGINT');
        const result = await finished;
        const runs = runsOf({ ...result, ...readRecord(p.record, result) }).slice(0, 2);
        for (const run of runs) {
          assertScopes(run);
          assert.deepEqual(bodies(run), ['b', 'a @truncate']);
        }
        assert.equal(result.code, 130, result.output);
      } finally {
        p.remove();
      }
    });

    const programme = `
const path = require('node:path');
const loaded = require(process.env.MOCHA_FOLDER);
const Mocha = loaded.Mocha ?? loaded;
require('./globals.js');
(async () => {
  const { mochaHooks } = require('./plugin.js');
  const rootHooks = await mochaHooks();
  const mocha = new Mocha({ reporter: 'min', rootHooks: process.env.WITHOUT_HOOKS ? undefined : rootHooks });
  mocha.cleanReferencesAfterRun(false);
  mocha.addFile(path.resolve('a.spec.js'));
  const run = () => new Promise((resolve) => mocha.run(resolve));
  const failures = [await run(), await run()];
  const other = new Mocha({ reporter: 'min', rootHooks });
  other.addFile(path.resolve('b.spec.js'));
  failures.push(await new Promise((resolve) => other.run(resolve)));
  console.log('failures', failures.join());
})();`;
    for (const [what, env] of Object.entries({ 'with root hooks': {}, 'without root hooks': { WITHOUT_HOOKS: '1' } })) {
      it(`mocha.run() in a programme, several times in one process, ${what}`, async () => {
        const p = recordedProject({
          'a.spec.js': `describe('S', () => { hooks('S'); T('a @truncate'); T('b', () => { throw new Error('x'); }); });`,
          'b.spec.js': `T('c');`,
          'programme.js': programme,
        });
        try {
          const folder = path.join(repo, 'node_modules', MOCHAS[mocha]);
          const result = await p.node('programme.js', { MOCHA_FOLDER: folder, ...env });
          assert.match(result.stdout, /failures 1,1,0/, result.output);
          assert.equal(result.code, 0, result.output);
          const runs = runsOf({ ...result, ...readRecord(p.record, result) });
          assert.equal(runs.length, 3);
          runs.forEach(assertScopes);
          assert.deepEqual(runs.map(bodies), [['S b', 'S a @truncate'], ['S b', 'S a @truncate'], ['c']]);
        } finally {
          p.remove();
        }
      });
    }

    it('a test explorer: files are loaded, run and unloaded, over and over, in one process', async () => {
      const p = recordedProject({
        'a.spec.js': `describe('S', () => { hooks('S'); T('a @truncate'); T('b', () => { throw new Error('x'); }); });`,
        'explorer.js': `
const path = require('node:path');
const loaded = require(process.env.MOCHA_FOLDER);
const Mocha = loaded.Mocha ?? loaded;
require('./globals.js');
(async () => {
  const { mochaHooks } = require('./plugin.js');
  const rootHooks = await mochaHooks();
  const failures = [];
  for (const grep of ['', 'S a', '']) {
    const mocha = new Mocha({ reporter: 'min', rootHooks });
    mocha.addFile(path.resolve('a.spec.js'));
    mocha.loadFiles();
    if (grep) mocha.grep(grep);
    failures.push(await new Promise((resolve) => mocha.run(resolve)));
    mocha.unloadFiles();
    mocha.dispose();
  }
  console.log('failures', failures.join());
})();`,
      });
      try {
        const result = await p.node('explorer.js', { MOCHA_FOLDER: path.join(repo, 'node_modules', MOCHAS[mocha]) });
        assert.match(result.stdout, /failures 1,0,1/, result.output);
        assert.equal(result.code, 0, result.output);
        const runs = runsOf({ ...result, ...readRecord(p.record, result) });
        runs.forEach(assertScopes);
        assert.deepEqual(runs.map(bodies), [['S b', 'S a @truncate'], ['S a @truncate'], ['S b', 'S a @truncate']]);
      } finally {
        p.remove();
      }
    });

    it('where the class can’t be found: the run is joined in its first root hook', async () => {
      const run = await recorded(
        {
          // What a Mocha whose files are all ES modules would look like from here.
          'hide.js': `for (const file of Object.keys(require.cache)) if (/lib.mocha\\.c?js$/.test(file)) delete require.cache[file];`,
          'a.spec.js': `hooks('top'); describe('S', () => { hooks('S'); T('a @truncate'); T('b'); });`,
        },
        { mocha, args: ['--require', './hide.js'] },
      );
      assertScopes(run);
      assert.deepEqual(run.ran, ['S b', 'S a @truncate']);
      assert.equal(run.code, 0, run.output);
    });

    it('where the class can’t be found, and the run fails at its very end @full', async () => {
      const run = await recorded(
        {
          'hide.js': `for (const file of Object.keys(require.cache)) if (/lib.mocha\\.c?js$/.test(file)) delete require.cache[file];`,
          'a.spec.js': `T('a');`,
        },
        { mocha, args: ['--require', './hide.js'], handler: `{ ended: () => { throw new Error('oops'); } }` },
      );
      assert.equal(run.code, 1, run.output);
    });

    it('with choma: warned @full', async () => {
      const run = await recorded(
        { 'node_modules/choma/index.js': '', 'a.spec.js': `T('a');` },
        { mocha, args: ['--require', './node_modules/choma/index.js'] },
      );
      assert.match(run.stderr, /choma shuffles the tests again/);
      assert.equal(run.code, 0);
    });

    const reporters =
      mocha === '12'
        ? [
            'spec',
            'dot',
            'tap',
            'list',
            'xunit',
            'min',
            'json-stream',
            'landing',
            'nyan',
            'progress',
            'doc',
            'markdown',
          ]
        : ['spec', 'xunit'];
    for (const reporter of reporters) {
      it(`reporter ${reporter} tells of as many tests as without the plugin${full(!['spec', 'json-stream'].includes(reporter))}`, async () => {
        const specs = {
          'a.spec.js': `T('root @truncate'); describe('S', () => { T('a @truncate'); T('b'); it('c'); T('d', () => { throw new Error('x'); }); });`,
        };
        const args = ['--reporter', reporter];
        const [plain, plugged] = [
          await recorded(specs, { mocha, args, plugged: false }),
          await recorded(specs, { mocha, args }),
        ];
        const totals = (run: RecordedRun): unknown =>
          run.stdout.match(
            /\d+ (passing|failing|pending)|# (tests|pass|fail) \d+|(tests|failures|skipped)="\d+"|"(passes|failures)":\d+|<dt|```js/g,
          );
        assert.deepEqual(totals(plugged), totals(plain));
        assert.ok((totals(plain) as unknown[] | null)?.length, plain.output);
        assert.equal(plugged.code, plain.code);
        assert.equal(plugged.stderr, plain.stderr.replace(/^\(node.*\n/gm, ''));
      });
    }
  });
}
