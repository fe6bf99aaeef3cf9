import path from 'node:path';
import type { RunningHook } from './index';
import { type Hook, type HookKind, type MochaClass, type Suite, hooksOf, kindOf } from './mocha-private';
import { relativeFile } from './tags';

/** Where a hook function was given to a suite. The context object tells suites apart, and their copies share it. */
interface Definition {
  readonly ctx: unknown;
  /** Of the call; its text is made only where somebody asks. */
  readonly trace: { readonly stack?: string };
  place?: string | undefined;
}

const definitions = new WeakMap<object, Definition[]>();
const KINDS: readonly HookKind[] = ['beforeAll', 'beforeEach', 'afterEach', 'afterAll'];

/** From here on, hooks can be found in their file: Mocha itself remembers no line. */
export function rememberHookPlaces(mocha: MochaClass): void {
  const { Suite: suites } = mocha as unknown as {
    Suite?: { prototype: Record<HookKind, (...args: unknown[]) => unknown> };
  };
  if (!suites) return;
  for (const kind of KINDS) {
    const define = suites.prototype[kind];
    const remembering = function (this: Suite, ...args: unknown[]): unknown {
      const result = define.apply(this, args);
      const hook = hooksOf(this, kind).at(-1);
      if (hook && typeof hook.fn === 'function') {
        const trace = {};
        Error.captureStackTrace(trace, remembering);
        const known = definitions.get(hook.fn);
        if (known) known.push({ ctx: hook.ctx, trace });
        else definitions.set(hook.fn, [{ ctx: hook.ctx, trace }]);
      }
      return result;
    };
    suites.prototype[kind] = remembering;
  }
}

/** `test/setup.js:12`; undefined for a root-level hook that a required module exports. */
function placeOfHook(hook: Hook): string | undefined {
  const defined = typeof hook.fn === 'function' ? definitions.get(hook.fn) : undefined;
  const definition = defined?.find(({ ctx }) => ctx === hook.ctx);
  if (definition && !('place' in definition)) definition.place = placeIn(definition.trace.stack ?? '');
  return definition?.place;
}

/** The innermost place in a file of the user's. */
export function placeIn(stack: string): string | undefined {
  for (const line of stack.split('\n').slice(1)) {
    const [, file, number] =
      /(?:\(|at )(?:async )?(?:file:\/\/)?(\/[^()]*?|[A-Za-z]:[^()]*?):(\d+):\d+\)?$/.exec(line) ?? [];
    if (file === undefined || isForeign(file)) continue;
    return `${relativeFile(file)}:${number}`;
  }
  return undefined;
}

const OWN = path.resolve(__dirname, '..') + path.sep;

function isForeign(file: string): boolean {
  return file.startsWith(OWN) || /[\\/]node_modules[\\/]/.test(file);
}

const NAMES = { beforeAll: 'before', beforeEach: 'beforeEach', afterEach: 'afterEach', afterAll: 'after' } as const;

/** What there is to say of a hook; its place only if somebody asks. */
export function describeHook(hook: Hook): RunningHook {
  return {
    get kind() {
      return NAMES[kindOf(hook) ?? 'beforeEach'];
    },
    get title() {
      // Mocha puts ` for "test"` behind it, and remembers what it was (`Runner#hook`).
      const { originalTitle = hook.title } = hook as { originalTitle?: string };
      return `${hook.parent.fullTitle()} ${originalTitle}`.trim();
    },
    get place() {
      return placeOfHook(hook);
    },
  };
}
