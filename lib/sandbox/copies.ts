// Copies of Knex and of pg in this process, wherever they come from. Both define their Client in a file called client.js; pg's
// Pool is the package pg-pool.
// What is relied on: `require` goes by `Module._load`, also for what an ES module imports (Node.js 20 to 24); canary:
// test/isolation/capture.test.ts. What a bundler has put into one file is not seen.
import Module from 'node:module';

type Found = (exported: object) => void;
type Load = (request: string, ...rest: unknown[]) => unknown;

const FILE = /(?:^|[\\/])(?:client|pg-pool|pg-pool[\\/]index)(?:\.js)?$/;
const loader = Module as unknown as { _load: Load };
const listeners = new Set<Found>();
let original: Load | undefined;

/** Tells of each such module, loaded or yet to be, once. Returns the way back. */
export function eachDriverModule(found: Found): () => void {
  const told = new WeakSet<object>();
  const listener = (exported: unknown): void => {
    if (typeof exported !== 'function' || told.has(exported)) return;
    told.add(exported);
    found(exported);
  };
  listeners.add(listener);
  for (const [file, module] of Object.entries(require.cache)) if (FILE.test(file)) listener(module?.exports);
  listen();
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0 || loader._load !== load || !original) return;
    loader._load = original;
    original = undefined;
  };
}

function listen(): void {
  if (original) return;
  original = loader._load;
  loader._load = load;
}

function load(this: unknown, request: string, ...rest: unknown[]): unknown {
  const exported = Reflect.apply(original as Load, this, [request, ...rest]);
  if (FILE.test(request)) for (const tell of listeners) tell(exported as object);
  return exported;
}
