// Loads the config file the way Mocha loads specs, so that both see the same instances of the app's modules.
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { RewindError, messageOf } from '../errors';
import { configMistake } from './mistake';
import { THEN_REQUIRE, specsAreImportedFirst } from './mocha-seam';
import { framesOf, ownMessage } from './user-frames';

/** `require` can't give this file, `import()` may: it is ESM (awaiting at top level), or only ESM hooks know it. */
const ONLY_IMPORT: ReadonlySet<string> = new Set([
  'ERR_REQUIRE_ESM',
  'ERR_REQUIRE_ASYNC_MODULE',
  'ERR_UNKNOWN_FILE_EXTENSION',
]);

/** What the file exports, `default` taken out. `name` is how messages call the file. */
export async function loadModule(file: string, content: string, name: string): Promise<unknown> {
  if (path.extname(file) === '.json') return parseJson(content, name);
  try {
    const exported = await defaultOf(await loadLikeASpec(file), name);
    if (isEmpty(exported) && !EXPORTS.test(content)) {
      throw configMistake({
        problem: `${name} exports nothing.`,
        remedy: 'Write `module.exports = defineConfig({ … })`.',
      });
    }
    return exported;
  } catch (thrown) {
    if (thrown instanceof RewindError) throw thrown;
    if (isTypeScript(file) && isUnknownTo(file, thrown)) throw withoutLoader(name, thrown);
    throw couldNotLoad(file, name, thrown);
  }
}

/** In the text of a file that exports something, if only an empty config; `module.export = …` and `exports = …` don't. */
const EXPORTS = /\bmodule\s*\.\s*exports\b|\bexports\s*[.[]|(?<!\.\s*)\bexport\b/;

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}

function parseJson(content: string, name: string): unknown {
  try {
    return JSON.parse(content.replace(/^\uFEFF/, ''));
  } catch (thrown) {
    throw configMistake({ problem: `${name} is not valid JSON: ${messageOf(thrown)}`, remedy: 'Mend the file.' });
  }
}

async function loadLikeASpec(file: string): Promise<unknown> {
  const former = loadedAs.get(file);
  // Mocha's watcher takes the files that it watches out of the cache, and this one may not be among them.
  if (former && require.cache[file] === former) delete require.cache[file];
  const exported = await (former ? requireOrImport(file) : loadFirst(file));
  loadedAs.set(file, require.cache[file]);
  return exported;
}

/** As which CommonJS module each file was loaded last; `import()` would go on giving the first one. */
const loadedAs = new Map<string, NodeJS.Module | undefined>();

/**
 * As Mocha loads specs. Node keeps one instance of a module for both ways, but a loader that turns ESM into CommonJS for
 * `require` (tsx) makes two, and the config would give us an instance that no spec uses.
 */
async function loadFirst(file: string): Promise<unknown> {
  if (path.extname(file) === '.mjs' || (isTypeScript(file) && !compilesTypeScript())) return importFile(file);
  // `import()` would have Node strip its types, and leave the loader's work undone.
  if (path.extname(file) === '.cts') return requireFile(file);
  return specsAreImportedFirst() ? importOrRequire(file) : requireOrImport(file);
}

async function requireOrImport(file: string): Promise<unknown> {
  try {
    return requireFile(file);
  } catch (thrown) {
    if (ONLY_IMPORT.has(codeOf(thrown))) return importFile(file);
    throw thrown;
  }
}

async function importOrRequire(file: string): Promise<unknown> {
  try {
    return await importFile(file);
  } catch (thrown) {
    if (!THEN_REQUIRE.has(codeOf(thrown))) throw thrown;
    try {
      return requireFile(file);
    } catch (second) {
      throw ONLY_IMPORT.has(codeOf(second)) ? thrown : second;
    }
  }
}

function requireFile(file: string): unknown {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- which file it is, is known only now
  return require(file) as unknown;
}

function importFile(file: string): Promise<unknown> {
  return import(pathToFileURL(file).href);
}

function isTypeScript(file: string): boolean {
  return /\.[cm]?ts$/.test(file);
}

/**
 * Whether `require` compiles TypeScript. The registry is deprecated, but it is where ts-node and tsx announce themselves,
 * and Node's own type stripping too (22.18). ts-node 10.9.2 takes `.cts` and `.mts` on without announcing those.
 */
function compilesTypeScript(): boolean {
  return '.ts' in require.extensions;
}

/** What Node says where no loader knows this very file. */
function isUnknownTo(file: string, thrown: unknown): boolean {
  return codeOf(thrown) === 'ERR_UNKNOWN_FILE_EXTENSION' && messageOf(thrown).includes(path.basename(file));
}

function withoutLoader(name: string, cause: unknown): Error {
  if (compilesTypeScript()) {
    return configMistake({
      problem: `${name} is an ES module in TypeScript, and the TypeScript loader of this process knows only CommonJS.`,
      remedy: 'Name it rewind.config.cts, or use a loader for both, such as tsx.',
      cause,
    });
  }
  return configMistake({
    problem: `${name} is TypeScript, and nothing in this process compiles TypeScript.`,
    remedy:
      'Put a loader before the plugin: `"require": ["tsx", "mocha-rewind/register"]` in .mocharc.json ' +
      '(or ts-node/register), or write the config as rewind.config.js.',
    cause,
  });
}

function couldNotLoad(file: string, name: string, thrown: unknown): Error {
  const message = ownMessage(thrown);
  const frames = framesOf(thrown);
  const place = frames.length > 0 ? `\n${frames.join('\n')}` : message.includes(file) ? '' : `\n    in ${file}`;
  return configMistake({
    problem: `${name} could not be loaded: ${message}${place}`,
    remedy: `No test was run. ${remedyFor(file, thrown)}`,
    cause: thrown,
  });
}

function remedyFor(file: string, thrown: unknown): string {
  if (isTypeScript(file) && thrown instanceof SyntaxError) {
    return 'If it needs a TypeScript loader, put that before the plugin: `"require": ["tsx", "mocha-rewind/register"]`.';
  }
  if (isTypeScript(file) && codeOf(thrown) === 'ERR_MODULE_NOT_FOUND') {
    return 'Without a loader such as tsx, Node.js finds a TypeScript file only by its whole name: `./db.ts`, not `./db` or `./db.js`.';
  }
  return 'Mend the config file, or the module it loads.';
}

/** `module.exports = …`, `export default …`, and `export default` compiled to CommonJS (once, or seen through `import()`). */
function defaultOf(exported: unknown, name: string): unknown {
  if (!isModuleRecord(exported)) return exported;
  if ('default' in exported) {
    const inner = exported['default'];
    return isModuleRecord(inner) && 'default' in inner ? inner['default'] : inner;
  }
  const names = Object.keys(exported);
  throw configMistake({
    problem: `${name} has no default export${names.length > 0 ? `, only ${names.join(', ')}` : ''}.`,
    remedy: 'Write `export default defineConfig({ … })`.',
  });
}

/** An ES module's namespace, or what a compiler made of one. */
function isModuleRecord(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  return Object.prototype.toString.call(value) === '[object Module]' || '__esModule' in value;
}

function codeOf(thrown: unknown): string {
  const code = typeof thrown === 'object' && thrown !== null && 'code' in thrown ? thrown.code : undefined;
  return typeof code === 'string' ? code : '';
}
