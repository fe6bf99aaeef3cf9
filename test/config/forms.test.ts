// Every form a config file can have, loaded by a real mocha process beside a spec that loads the same app module; and
// where it is found.
import assert from 'node:assert/strict';
import path from 'node:path';
import { loadConfig } from '../../lib/config';
import { MOCHAS, type ProjectOptions, project, repo } from '../support/project';
import { full } from '../support/tiers';

/** Loads the config as the plugin does, and lets the spec file see what came of it. */
const PLUGIN = `
const { loadConfig } = require(${JSON.stringify(path.join(repo, 'dist', 'config'))});
exports.mochaHooks = async () => {
  globalThis.loaded = await loadConfig();
  return {};
};`;

interface Form {
  readonly file: string;
  readonly text: string | object;
  readonly spec?: string;
  readonly files?: ProjectOptions['files'];
  readonly require?: readonly string[];
}

const CJS_DB = { 'db.js': 'module.exports = { loads: Math.random() };' };
const ESM_DB = { 'db.mjs': 'export const loads = Math.random();' };
const CJS_SPEC = {
  'a.spec.js': `
const assert = require('node:assert/strict');
it('sees the same module as the config', () => assert.equal(loaded.config.seed(), require('./db').loads));`,
};
const ESM_SPEC = {
  'a.spec.mjs': `
import assert from 'node:assert/strict';
import { loads } from './db.mjs';
it('sees the same module as the config', () => assert.equal(loaded.config.seed(), loads));`,
};
const TS = ['--require', 'ts-node/register'];
const TS_FILES = {
  'tsconfig.json': {
    compilerOptions: { module: 'node16', moduleResolution: 'node16', target: 'es2022', types: [] },
    'ts-node': { transpileOnly: true },
  },
  'db.ts': 'export const loads: number = Math.random();',
  'a.spec.ts': `
import assert from 'node:assert/strict';
import { loads } from './db';
declare const loaded: any, it: any;
it('sees the same module as the config', () => assert.equal(loaded.config.seed(), loads));`,
};
const TS_CONFIG = `
import { defineConfig } from 'mocha-rewind';
import { loads } from './db';
import { full } from '../support/tiers';
export default defineConfig({ seed: (): number => loads });`;
const MODULE = { 'package.json': { name: 'fixture', private: true, type: 'module' } };

/** Like tsx: compiles TypeScript for both ways of loading, ESM to CommonJS for `require`, which makes two copies. */
const BOTH_WAYS = {
  'both-ways.cjs': `
const fs = require('node:fs'), ts = require('typescript');
require.extensions['.ts'] = (module, file) => module._compile(
  ts.transpileModule(fs.readFileSync(file, 'utf8'), { compilerOptions: { module: 'commonjs', target: 'es2022' } }).outputText, file);
require('node:module').register('./both-ways.mjs', require('node:url').pathToFileURL(__filename));`,
  'both-ways.mjs': `
import fs from 'node:fs';
import ts from 'typescript';
export async function load(url, context, next) {
  if (!url.endsWith('.ts')) return next(url, context);
  const text = ts.transpileModule(fs.readFileSync(new URL(url), 'utf8'), { compilerOptions: { module: 'esnext', target: 'es2022' } });
  return { format: 'module', shortCircuit: true, source: text.outputText };
}`,
  'db.ts': TS_FILES['db.ts'],
  'a.spec.ts': TS_FILES['a.spec.ts'].replace("'./db'", "'./db.ts'"),
};

const FORMS: readonly Form[] = [
  {
    file: 'rewind.config.js',
    text: "module.exports = { seed: () => require('./db').loads };",
    files: { ...CJS_DB, ...CJS_SPEC },
  },
  {
    file: 'rewind.config.cjs',
    text: "module.exports = { seed: () => require('./db').loads };",
    files: { ...CJS_DB, ...CJS_SPEC },
  },
  {
    file: 'rewind.config.mjs',
    text: "import { defineConfig } from 'mocha-rewind';\nimport { loads } from './db.mjs';\nexport default defineConfig({ seed: () => loads });",
    files: { ...ESM_DB, ...ESM_SPEC },
  },
  {
    file: 'rewind.config.mjs',
    text: "const { loads } = await import('./db.mjs');\nexport default { seed: () => loads };",
    files: { ...ESM_DB, ...ESM_SPEC },
  },
  {
    file: 'rewind.config.js',
    text: "import { loads } from './db.mjs';\nexport default { seed: () => loads };",
    files: { ...MODULE, ...ESM_DB, ...ESM_SPEC },
  },
  {
    file: 'rewind.config.js',
    text: "const { loads } = await import('./db.mjs');\nexport default { seed: () => loads };",
    files: { ...MODULE, ...ESM_DB, ...ESM_SPEC },
  },
  {
    file: 'rewind.config.cjs',
    text: "module.exports = { seed: () => import('./db.mjs').then((m) => m.loads) };",
    files: {
      ...MODULE,
      ...ESM_DB,
      'a.spec.mjs': ESM_SPEC['a.spec.mjs']
        .replace('() => assert', 'async () => assert')
        .replace('loaded.config', 'await loaded.config'),
    },
  },
  { file: 'rewind.config.ts', text: TS_CONFIG, files: TS_FILES, require: TS },
  {
    file: 'rewind.config.ts',
    text: TS_CONFIG.replace("'./db'", "'./db.ts'"),
    files: { ...MODULE, ...BOTH_WAYS },
    require: ['--require', './both-ways.cjs'],
  },
  { file: 'rewind.config.cts', text: TS_CONFIG, files: TS_FILES, require: TS },
];

function titleOf({ file, text, files = {} }: Form): string {
  const how = 'package.json' in files ? ' in a package of type module' : '';
  return `${file}${how}${typeof text === 'string' && text.includes('await import') ? ', awaiting at top level' : ''}`;
}

describe('a config file', () => {
  for (const mocha of Object.keys(MOCHAS) as (keyof typeof MOCHAS)[]) {
    for (const form of FORMS) {
      it(`shares the app's modules with the specs: ${titleOf(form)} (mocha ${mocha})${full(mocha !== '12' || form.file.endsWith('.cts') || form.require?.includes('./both-ways.cjs'))}`, async () => {
        const p = project({ files: { ...form.files, 'plugin.cjs': PLUGIN, [form.file]: form.text }, mocha });
        try {
          const spec = Object.keys(form.files ?? {}).find((name) => name.startsWith('a.spec')) ?? '';
          const { code, output } = await p.mocha([...(form.require ?? []), '--require', './plugin.cjs', spec]);
          assert.match(output, /1 passing/);
          assert.equal(code, 0, output);
          // Mocha 10 lets a Node.js that strips types load TypeScript by itself, and Node.js says what it thinks of it.
          assert.doesNotMatch(output, /Warning(?!: Module type of)/);
        } finally {
          p.remove();
        }
      });
    }
  }

  const look = async (
    files: ProjectOptions['files'],
    env: NodeJS.ProcessEnv = {},
    cwd = '.',
  ): Promise<{ config: unknown; file: string; root: string }> => {
    const p = project({ files });
    try {
      const { config, file = p.dir, root } = await loadConfig({ cwd: path.join(p.dir, cwd), env });
      return { config, file: path.relative(p.dir, file), root: path.relative(p.dir, root) };
    } finally {
      p.remove();
    }
  };

  it('may be JSON', async () => {
    const loaded = await look({ 'rewind.config.json': { default: 'dirty', tags: { rollback: '@transaction' } } });
    assert.deepEqual(loaded, {
      config: { default: 'dirty', tags: { rollback: ['transaction'] } },
      file: 'rewind.config.json',
      root: '',
    });
  });

  it('may be missing, or empty', async () => {
    assert.deepEqual(await look({}), { config: {}, file: '', root: '' });
    assert.deepEqual((await look({ 'rewind.config.js': '' })).config, {});
  });

  it('is the one beside the nearest package.json, wherever in the package mocha is started', async () => {
    const p = project({
      files: {
        'rewind.config.json': { default: 'dirty' },
        'packages/a/package.json': {},
        'packages/a/rewind.config.json': { default: 'nodb' },
        'packages/a/src/deep/x.js': '',
        'plugin.cjs': PLUGIN,
        'a.spec.js': `it('a', () => console.log(JSON.stringify(loaded)));`,
      },
    });
    try {
      p.write({ 'chdir.cjs': `process.chdir(${JSON.stringify(path.join(p.dir, 'packages/a/src/deep'))})` });
      const { stdout, output } = await p.mocha(
        ['./chdir.cjs', 'plugin.cjs']
          .flatMap((name) => ['--require', path.join(p.dir, name)])
          .concat(path.join(p.dir, 'a.spec.js')),
      );
      const loaded = JSON.parse(/^\{.*/m.exec(stdout)?.[0] ?? assert.fail(output)) as unknown;
      const root = path.join(p.dir, 'packages', 'a');
      assert.deepEqual(loaded, { config: { default: 'nodb' }, file: path.join(root, 'rewind.config.json'), root });
    } finally {
      p.remove();
    }
  });

  it('is not searched for above the package', async () => {
    const loaded = await look(
      { 'rewind.config.json': { default: 'dirty' }, 'packages/a/package.json': {} },
      {},
      'packages/a',
    );
    assert.deepEqual(loaded.config, {});
  });

  it('is the one REWIND_CONFIG names, even where there are two others', async () => {
    const loaded = await look(
      { 'rewind.config.json': {}, 'rewind.config.js': '', 'conf/mine.json': { default: 'nodb' } },
      { REWIND_CONFIG: 'conf/mine.json' },
    );
    assert.deepEqual(loaded, { config: { default: 'nodb' }, file: 'conf/mine.json', root: '' });
  });

  it('may hold keys that are undefined', async () => {
    assert.deepEqual((await look({ 'rewind.config.js': 'module.exports = { knex: undefined, rules: [] }' })).config, {
      rules: [],
    });
  });
});
