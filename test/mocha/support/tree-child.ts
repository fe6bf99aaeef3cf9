// Runs random trees, plain and under the plugin, in one process, for `order.property.test.ts`.
import { plugMocha } from '../../../lib/mocha';
import type { Scope } from '../../../lib/scope';
import type { HookResult, SuiteNode, TestNode, Told, TreeAnswer, TreeRequest, TreeRun } from './tree';

interface MochaLike {
  suite: NodeJS.EventEmitter;
  run(done: (failures: number) => void): { stats: TreeRun['totals'] };
  grep(text: string): void;
  dispose(): void;
}
type MochaLikeClass = (new (options: object) => MochaLike) & {
  prototype: { run: (this: MochaLike, done: (failures: number) => void) => { stats: TreeRun['totals'] } };
};
type DefineOne = (title: string, body?: (this: { skip(): void }) => void) => void;
type Define = DefineOne & Record<'only' | 'skip', DefineOne>;
type DefineHook = (body: () => void) => void;
type Bdd = Record<'describe' | 'it', Define> & Record<'before' | 'beforeEach' | 'afterEach' | 'after', DefineHook>;

// eslint-disable-next-line @typescript-eslint/no-require-imports -- which Mocha is decided by who forks us
const loaded = require(process.env['MOCHA_FOLDER']!) as MochaLikeClass & { Mocha?: MochaLikeClass };
const MochaClass = loaded.Mocha ?? loaded;
const plainRun = MochaClass.prototype.run;

let told: Told[] = [];
/** A database as simple as can be: rows belong to a scope, and go with it. */
let rows: { readonly scope: Scope; readonly by: string }[] = [];
let path: Scope[] = [];

const { mochaHooks } = plugMocha(
  {
    default: 'rollback',
    tags: {
      rollback: ['rollback'],
      truncate: ['truncate'],
      nodb: ['nodb'],
      schema: ['schema'],
      dirty: ['dirty'],
      unmanaged: ['unmanaged'],
    },
    rules: [],
  },
  () => ({
    start: () => Promise.resolve(),
    enter: (scope) => {
      path.push(scope);
      told.push({ what: 'enter', of: `${scope.kind} ${scope.title}` });
    },
    leave: (scope) => {
      path = path.filter((s) => s !== scope);
      rows = rows.filter((row) => row.scope !== scope);
      told.push({ what: 'leave', of: `${scope.kind} ${scope.title}` });
    },
    arrive: () => Promise.resolve(),
    drain: async () => {},
    prepared: () => Promise.resolve(),
    bodyEnded: () => undefined,
    failed: () => Promise.resolve(false),
    explainTimeout: () => Promise.resolve([]),
    depart: () => Promise.resolve([]),
    closing: () => Promise.resolve(),
    facts: () => undefined,
    finish: () => Promise.resolve([]),
    runFacts: () => ({ setupMs: 0, notes: [] }),
    workersStart: () => {},
    heard: () => {},
    ended: () => {},
  }),
);

function tell(what: Told['what'], of: string): void {
  told.push({ what, of, ...(what === 'test' && { sees: rows.map((row) => row.by) }) });
  const scope = path.at(-1);
  if (scope) rows.push({ scope, by: `${what} ${of}` });
}

function define(root: SuiteNode, bdd: Bdd): void {
  const attempts = new Map<string, number>();
  const hook = (kind: 'before' | 'beforeEach' | 'afterEach' | 'after', result: HookResult, of: string): void => {
    if (result === 'none') return;
    bdd[kind](() => {
      tell(kind, of);
      if (result === 'fails') throw new Error(`${kind} of ${of}`);
    });
  };
  const test = (node: TestNode, of: string): void => {
    const it: DefineOne = node.mark === '' ? bdd.it : bdd.it[node.mark];
    // Titles repeat on purpose.
    const title = `t${of.length % 3} ${node.tag}`.trim();
    if (node.body === 'pending') return it(title);
    it(title, function () {
      tell('test', of);
      const attempt = (attempts.get(of) ?? 0) + 1;
      attempts.set(of, attempt);
      if (node.body === 'skips') this.skip();
      if (node.body === 'fails' || (node.body === 'flaky' && attempt === 1)) throw new Error(`test ${of}`);
    });
  };
  const suite = (node: SuiteNode, of: string): void => {
    for (const kind of ['before', 'beforeEach', 'afterEach', 'after'] as const) hook(kind, node[kind], of);
    node.tests.forEach((child, i) => test(child, `${of}/${i}`));
    node.suites.forEach((child, i) => {
      const describe = child.mark === '' ? bdd.describe : bdd.describe[child.mark];
      const at = of === '' ? String(i) : `${of}.${i}`;
      describe(`s${i} ${child.tag}`.trim(), () => suite(child, at));
    });
  };
  suite(root, '');
}

function run(request: TreeRequest, how: 'plain' | 'plugged'): Promise<TreeRun> {
  told = [];
  rows = [];
  path = [];
  const reporter = function (): void {};
  const mocha = new MochaClass({ reporter, retries: 1, ...(how === 'plugged' && { rootHooks: mochaHooks }) });
  const bdd = {} as Bdd;
  mocha.suite.emit('pre-require', bdd, '/tree.js', mocha);
  if (request.grep) mocha.grep(request.grep);
  define(request.tree, bdd);
  return new Promise((resolve) => {
    const start = how === 'plain' ? plainRun : MochaClass.prototype.run;
    const runner = start.call(mocha, (failures) => {
      const { tests, passes, pending, failures: failed } = runner.stats;
      mocha.dispose();
      resolve({ told, failures, totals: { tests, passes, pending, failures: failed } });
    });
  });
}

process.on('message', (request: TreeRequest) => {
  void (async () => {
    const answer: TreeAnswer = { plain: await run(request, 'plain'), plugged: await run(request, 'plugged') };
    process.send?.(answer);
  })();
});
