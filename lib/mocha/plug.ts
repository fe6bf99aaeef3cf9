import { type Arrangement, arrangementFrom } from './arrange';
import type { MochaPlugin, PlugOptions, RunHandler, RunPlan, Tagging } from './index';
import {
  type Hook,
  type MochaClass,
  type Runner,
  type Suite,
  captureRunner,
  isParallelMain,
  loadedMochas,
  passesAnyway,
  serializeUncaught,
  workersOf,
} from './mocha-private';
import type { OrderOptions } from './order';
import { Vigil, isCommandLine, keepFailure } from './exit-guard';
import { inQueueOrder } from './file-order';
import { rememberHookPlaces } from './hook-place';
import { carryFacts } from './results';
import { Run } from './run';
import { TagReader, wordsIn } from './tags';

/** Title word of a describe that is not to be split. */
const WHOLE = 'whole';

/** All that outlives a run: one per process, the last one made. */
export class Plug {
  readonly tags: TagReader;
  readonly order: OrderOptions;
  readonly #roots = new WeakSet<Suite>();
  /** A spec file can end the process while it is loaded. */
  #loading: Vigil | undefined;
  #last: Run | undefined;

  constructor(
    readonly tagging: Tagging,
    readonly beginRun: (plan: RunPlan) => RunHandler,
    readonly options: PlugOptions,
  ) {
    this.tags = new TagReader(tagging, options.audit?.plan);
    const arrange: Arrangement = arrangementFrom(process.env);
    this.order = {
      modeOf: (node) => this.tags.modeOf(node),
      splits: (suite) => options.split !== false && !wordsIn(suite.title).includes(WHOLE),
      arrange,
    };
  }

  expectRun(): void {
    this.#loading = new Vigil(() => 'before it had begun: while its files were loaded');
  }

  follow(runner: Runner): Run {
    this.#loading?.over();
    this.#last?.forget();
    this.#roots.add(runner.suite);
    return (this.#last = new Run(this, runner));
  }

  follows(root: Suite): boolean {
    return this.#roots.has(root);
  }
}

const KEY = Symbol.for('mocha-rewind.plug');
type Holder = typeof globalThis & { [KEY]?: { plug: Plug; readonly patched: WeakSet<MochaClass> } };

export function isPlugged(): boolean {
  return (globalThis as Holder)[KEY] !== undefined;
}

/** Hooks the plugin into every Mocha of this process. A second call replaces the first (a plugin that is watched). */
export function plug(tagging: Tagging, beginRun: (plan: RunPlan) => RunHandler, options: PlugOptions): MochaPlugin {
  const current = new Plug(tagging, beginRun, options);
  const holder = globalThis as Holder;
  const shared = (holder[KEY] ??= { plug: current, patched: new WeakSet() });
  shared.plug = current;
  const mochas = loadedMochas();
  for (const mocha of mochas) {
    if (shared.patched.has(mocha)) continue;
    shared.patched.add(mocha);
    patch(mocha, () => shared.plug);
  }
  if (mochas.length > 0 && isCommandLine()) current.expectRun();
  warnOfChoma();
  return { mochaHooks: { beforeAll: joinUnseenRun(() => shared.plug) } };
}

const MAIN: RunPlan = {
  role: 'main',
  worker: undefined,
  counts: { rollback: 0, truncate: 0, nodb: 0, schema: 0, dirty: 0, unmanaged: 0 },
  first: {},
};

function patch(mocha: MochaClass, current: () => Plug): void {
  const original = mocha.prototype.run;
  mocha.prototype.run = function (done) {
    const plug = current();
    const main = isParallelMain(this);
    if (main) this.files = inQueueOrder(this.files, plug);
    // Before there are workers. What it throws is told by Mocha's command line.
    const handler = main ? plug.beginRun(MAIN) : undefined;
    const runner = original.call(this, (result) => {
      void run.conclude(result).then((told) => {
        if (isCommandLine() && told !== 0 && !passesAnyway(this)) keepFailure();
        done?.(told);
      });
    });
    const run = plug.follow(runner);
    if (handler) run.attachToMain(handler, workersOf(this));
    else run.attach();
    return runner;
  };
  carryFacts(mocha);
  serializeUncaught(mocha);
  rememberHookPlaces(mocha);
}

/** The way in where {@link loadedMochas} has not found the class that runs. */
function joinUnseenRun(current: () => Plug): (this: Mocha.Context) => void {
  return function (this: Mocha.Context): void {
    const hook = this.test as unknown as Hook;
    const plug = current();
    if (plug.follows(hook.parent)) return;
    captureRunner(hook, (runner) => plug.follow(runner).join(hook));
  };
}

function warnOfChoma(): void {
  if (!Object.keys(require.cache).some((file) => /[\\/]node_modules[\\/]choma[\\/]/.test(file))) return;
  process.stderr.write(
    'mocha-rewind: choma shuffles the tests again while they run, so committing tests run among the others. ' +
      'Results stay right, the run gets slower. REWIND_SHUFFLE=1 shuffles without that.\n',
  );
}
