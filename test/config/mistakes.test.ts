// Each mistake in a config, made on purpose, in a real mocha process: what a person sees, and the exit code.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { runInThisContext } from 'node:vm';
import { loadConfig, resolveInstances, resolvePools, taggingOf, validateConfig } from '../../lib/config';
import type { RewindError } from '../../lib/errors';
import { type Finished, MOCHAS, type ProjectOptions, project, repo } from '../support/project';
import { full } from '../support/tiers';

type Files = ProjectOptions['files'];

const PASSES = "it('passes', () => {});";
const REGISTER = ['--require', 'mocha-rewind/register'];

async function run(files: Files, args = REGISTER, env = {}, mocha: keyof typeof MOCHAS = '12'): Promise<Finished> {
  const p = project({ files: { 'a.spec.js': PASSES, ...files }, mocha });
  try {
    return await p.mocha([...args, 'a.spec.js'], env);
  } finally {
    p.remove();
  }
}

/** The first line, without Mocha's `✖ ERROR: ` and its colours (10 colours it whatever NO_COLOR says). */
function firstLine({ stderr }: Finished): string {
  const plain = stderr.replaceAll(/\u001b\[\d+m/g, '').trimStart();
  return (plain.split('\n')[0] ?? '').replace(/^.*?ERROR: /, '');
}

function assertRefused(finished: Finished, line: string): void {
  assert.equal(firstLine(finished), `REWIND_CONFIG: ${line}`, finished.output);
  assert.notEqual(finished.code, 0);
  assert.doesNotMatch(finished.output, /passing/, 'no test may run');
  assert.doesNotMatch(finished.output, /^\s+at .*(?:mocha-rewind|node_modules|node:internal)/m, 'no foreign frames');
  assert.doesNotMatch(finished.output, /problem:|\[cause\]/, 'said once');
  assert.match(finished.output, /mocha-rewind#rewind_config/, 'says where to read more');
}

const KNEX = "require('knex').knex";

/** What `rewind.config.js` exports → the first line, after the file's name. */
const WRONG: readonly (readonly [exports: string, line: string])[] = [
  ['{ sed: () => {} }', 'there is no setting `sed`; `seed` was probably meant.'],
  ['{ frobnicate: 1 }', 'there is no setting `frobnicate`.'],
  ["{ seed: 'seeds' }", '`seed` has to be a function, not "seeds".'],
  ['{ migrate: true }', '`migrate` has to be a function, not boolean true.'],
  ['{ allowDatabase: true }', '`allowDatabase` has to be a function, not boolean true.'],
  ['{ reuse: 3 }', '`reuse` has to be true, false, a glob of files, or an array of globs, not number 3.'],
  [
    "{ reuse: ['/srv/seeds'] }",
    '`reuse[0]` has to be a glob of files: it has to be relative to the package\'s folder ("/srv/seeds").',
  ],
  ['{ include: 3 }', '`include` has to be a function that answers at once (not an async one), not number 3.'],
  [
    '{ exclude: async () => false }',
    '`exclude` has to be a function that answers at once (not an async one), not an async function.',
  ],
  [
    "{ default: 'truncat' }",
    "`default` has to be one of 'rollback', 'truncate', 'nodb', 'schema', 'dirty', 'unmanaged', not \"truncat\".",
  ],
  ["{ tags: { rolback: 'x' } }", 'there is no setting `tags.rolback`; `rollback` was probably meant.'],
  ["{ tags: { rollback: 'two words' } }", '`tags.rollback` has to be one word of letters and digits, not "two words".'],
  ['{ tags: { rollback: 5 } }', '`tags.rollback` has to be a word, or an array of words, not number 5.'],
  ["{ tags: { rollback: 'x', dirty: ['@x'] } }", '`tags` lets @x mean both rollback and dirty.'],
  ["{ tags: { rollback: 'truncate' } }", '`tags` lets @truncate mean both truncate and rollback.'],
  ["{ rules: { mode: 'dirty' } }", '`rules` has to be an array of rules, not an object.'],
  [
    "{ rules: [{ files: 'a' }] }",
    "`rules[0].mode` has to be one of 'rollback', 'truncate', 'nodb', 'schema', 'dirty', 'unmanaged', not undefined.",
  ],
  ["{ rules: [{ file: 'a', mode: 'dirty' }] }", 'there is no setting `rules[0].file`; `files` was probably meant.'],
  [
    "{ rules: [{ files: ['a'], mode: 'dirty' }] }",
    '`rules[0].files` has to be a glob of spec files (one string), not an array.',
  ],
  ["{ rules: [{ files: '', mode: 'dirty' }] }", '`rules[0].files` has to be a glob of spec files: it is empty ("").'],
  [
    "{ rules: [{ files: 'test/[ab', mode: 'dirty' }] }",
    '`rules[0].files` has to be a glob of spec files: Missing closing: "]" - use "\\\\]" to match literal characters ("test/[ab").',
  ],
  [
    "{ rules: [{ files: '/abs/**', mode: 'dirty' }] }",
    '`rules[0].files` has to be a glob of spec files: it has to be relative to the package\'s folder ("/abs/**").',
  ],
  [
    "{ tags: 'transaction' }",
    '`tags` has to be an object of words for modes: `{ rollback: \'transaction\' }`, not "transaction".',
  ],
  ['{ rules: [5] }', '`rules[0]` has to be a rule: `{ files, title, mode }`, not number 5.'],
  [
    "{ rules: [{ title: '', mode: 'dirty' }] }",
    '`rules[0].title` has to be a RegExp, or text the full title has to contain, not "".',
  ],
  [
    "{ rules: [{ title: 4, mode: 'dirty' }] }",
    '`rules[0].title` has to be a RegExp, or text the full title has to contain, not number 4.',
  ],
  [
    "{ rules: [{ mode: 'dirty' }] }",
    '`rules[0]` has to be given `files`, `title`, or both: as it stands it would match every test, which is what `default` is for.',
  ],
  [
    "{ knex: 'pg' }",
    '`knex` has to be a Knex instance, a record of them, or a function or promise that gives one, not "pg".',
  ],
  [
    "{ knex: 'postgres://me:secret@db/shop' }",
    '`knex` has to be a Knex instance, a record of them, or a function or promise that gives one, not "postgres://…@db/shop".',
  ],
  ['{ knex: {} }', '`knex` has to be a Knex instance, or a record of named ones, not an empty object.'],
  ['{ knex: new Map() }', '`knex` has to be a Knex instance, or a record of named ones, not an object of class Map.'],
  ['{ knex: { main: 7 } }', '`knex.main` has to be a Knex instance, not number 7.'],
  [
    "{ knex: require('knex') }",
    '`knex` has to be a Knex instance, or a record of named ones, not the knex package itself.',
  ],
  [
    "{ knex: { client: 'pg', connection: 'postgres:///x' } }",
    "`knex` has to be a Knex instance, or a record of named ones, not Knex's configuration, not the instance made from it.",
  ],
  [`{ knex: ${KNEX}({ client: 'cockroachdb' }) }`, '`knex` is an instance for CockroachDB, not PostgreSQL.'],
  [
    `{ knex: ${KNEX}({ client: class extends require('knex/lib/dialects/redshift') { _driver() {} } }) }`,
    '`knex` is an instance for Redshift, not PostgreSQL.',
  ],
  [
    `{ knex: { main: ${KNEX}({ client: class extends require('knex/lib/dialects/pgnative') { _driver() {} } }) } }`,
    '`knex.main` is an instance for pg-native, whose connections we can\'t go through (use client "pg").',
  ],
  [
    `{ knex: ${KNEX}({ client: class extends require('knex/lib/dialects/mysql') { _driver() {} } }) }`,
    '`knex` is an instance for mysql, not PostgreSQL.',
  ],
  [`{ knex: () => { throw new Error('no settings') } }`, 'the function `knex` threw: no settings'],
  [`{ knex: Promise.reject(new TypeError('gone')) }`, 'the promise `knex` was rejected: TypeError: gone'],
  [`{ knex: () => undefined }`, '`knex` has to be a Knex instance, or a record of named ones, not undefined.'],
  [
    "{ pools: new (require('pg').Client)() }",
    '`pools` has to be a `pg.Pool`, or an array of them, not an object of class Client.',
  ],
  ["{ pools: [new (require('pg').Pool)(), 4] }", '`pools[1]` has to be a `pg.Pool`, not number 4.'],
  ["{ pools: require('pg').Pool }", '`pools` has to be a `pg.Pool`, or an array of them, not a class (BoundPool).'],
];

/** What the plugin does with a config, without Mocha. */
async function read(exports: string): Promise<void> {
  const wrapper = `(require) => (${exports})`;
  const value: unknown = (runInThisContext(wrapper) as (require: NodeJS.Require) => unknown)(createRequire(__filename));
  const config = validateConfig(value, 'rewind.config.js');
  await resolveInstances(config);
  await resolvePools(config);
  taggingOf(config, repo);
}

/** What is wrong with whole files. */
const FILES: readonly { what: string; files: Files; env?: NodeJS.ProcessEnv; line: RegExp }[] = [
  {
    what: 'two config files at once',
    files: { 'rewind.config.js': '', 'rewind.config.json': {} },
    line: /^There is more than one config file in .*: rewind\.config\.js and rewind\.config\.json\.$/,
  },
  {
    what: 'REWIND_CONFIG with a file that is not there',
    files: {},
    env: { REWIND_CONFIG: 'conf/rewind.js' },
    line: /^REWIND_CONFIG names conf\/rewind\.js, and there is no such file \(looked at .*\)\.$/,
  },
  {
    what: 'REWIND_CONFIG with a kind of file that is no config',
    files: { 'conf.yml': 'a: 1' },
    env: { REWIND_CONFIG: 'conf.yml' },
    line: /^REWIND_CONFIG names conf\.yml, which is no kind of file a config can be\.$/,
  },
  {
    what: 'JSON that is none',
    files: { 'rewind.config.json': '{ "default": }' },
    line: /^rewind\.config\.json is not valid JSON: Unexpected token/,
  },
  {
    what: 'an ES module without a default export',
    files: { 'rewind.config.mjs': 'export const seed = () => {}; export const knex = 1;' },
    line: /^rewind\.config\.mjs has no default export, only knex, seed\.$/,
  },
  ...['module.export = { default: "nodb" };', 'exports = { default: "nodb" };'].map((text) => ({
    what: `a file that exports nothing: ${text}`,
    files: { 'rewind.config.js': text },
    line: /^rewind\.config\.js exports nothing\.$/,
  })),
  ...Object.entries({ js: 'module.exports =', mjs: 'export default' }).map(([kind, how]) => ({
    what: `a promise of settings that is rejected: ${how}`,
    files: { [`rewind.config.${kind}`]: `${how} Promise.reject(new Error('no settings'))` },
    line: new RegExp(`^rewind\\.config\\.${kind} could not be loaded: no settings$`),
  })),
  ...Object.entries({ 'a function': '() => ({})', 'an array': '[]', '"text"': "'text'" }).map(([what, exports]) => ({
    what: `a config that is ${what}`,
    files: { 'rewind.config.js': `module.exports = ${exports}` },
    line: new RegExp(`^rewind\\.config\\.js has to give an object with settings, not ${what}\\.$`),
  })),
  {
    what: 'a file that throws what is no Error',
    files: { 'rewind.config.js': "throw 'a tantrum'" },
    line: /^rewind\.config\.js could not be loaded: a tantrum$/,
  },
];

describe('a mistake in the config', () => {
  for (const [exports, line] of WRONG) {
    it(`is found: ${exports}`, () =>
      assert.rejects(read(exports), (error: RewindError) => {
        assert.equal(`${error.code} ${error.problem.split('\n')[0]}`, `REWIND_CONFIG rewind.config.js: ${line}`);
        return true;
      }));
  }

  for (const [exports, line] of WRONG) {
    it(`is named: ${exports} @full`, async () => {
      assertRefused(await run({ 'rewind.config.js': `module.exports = ${exports}` }), `rewind.config.js: ${line}`);
    });
  }

  it('is named also where the config comes through rewind()', async () => {
    const files = { 'setup.js': "module.exports = require('mocha-rewind').rewind({ sed: 1 })" };
    assertRefused(
      await run(files, ['--require', './setup.js']),
      'rewind(): there is no setting `sed`; `seed` was probably meant.',
    );
  });

  for (const { what, files, env = {}, line } of FILES) {
    it(`is found: ${what}`, async () => {
      const p = project({ files });
      try {
        await assert.rejects(loadConfig({ cwd: p.dir, env }), (error: RewindError) => {
          assert.equal(error.code, 'REWIND_CONFIG');
          assert.match(error.problem.split('\n')[0] ?? '', line);
          return true;
        });
      } finally {
        p.remove();
      }
    });

    it(`is named: ${what} @full`, async () => {
      const finished = await run(files, REGISTER, env);
      const first = firstLine(finished);
      assert.match(first.replace('REWIND_CONFIG: ', ''), line);
      assertRefused(finished, first.replace('REWIND_CONFIG: ', ''));
    });
  }

  it('is named: TypeScript without a loader', async () => {
    assertRefused(
      await run({ 'rewind.config.ts': 'export default {} as object;' }, [...REGISTER], noTypeStripping()),
      'rewind.config.ts is TypeScript, and nothing in this process compiles TypeScript.',
    );
  });

  it('is named: an ES module in TypeScript where the loader is for CommonJS', async () => {
    assertRefused(
      await run(
        { 'rewind.config.mts': 'export default {} as object;' },
        ['--require', 'ts-node/register', ...REGISTER],
        noTypeStripping(),
      ),
      'rewind.config.mts is an ES module in TypeScript, and the TypeScript loader of this process knows only CommonJS.',
    );
  });

  it('is told how Node.js finds TypeScript, where it has not found a module', async () => {
    const finished = await run(
      { 'rewind.config.mts': "import './db.js';\nexport default {};", 'db.ts': '', ...STRIPS_TYPES },
      ['--require', './strip.cjs', ...REGISTER],
    );
    assert.match(firstLine(finished), /^REWIND_CONFIG: rewind\.config\.mts could not be loaded: Cannot find module/);
    assert.match(finished.output, /Node\.js finds a TypeScript file only by its whole name: `\.\/db\.ts`/);
  });

  it('is none: an empty object', async () => {
    const { code } = await run({ 'rewind.config.js': 'module.exports = {};' });
    assert.equal(code, 0, 'nothing to say is said');
  });
});

describe('a config that throws while it is loaded', () => {
  it("keeps the user's own message and the user's own frame", async () => {
    const finished = await run({
      'rewind.config.js': "module.exports = { knex: require('./db') };",
      'db.js': "\nfunction connect() { throw new RangeError('DB_HOST is not set'); }\nconnect();",
    });
    assertRefused(finished, 'rewind.config.js could not be loaded: RangeError: DB_HOST is not set');
    assert.match(finished.stderr, /^ +at connect \(.*db\.js:2:28\)$/m);
    assert.match(finished.stderr, /^ +at .*rewind\.config\.js:1:\d+\)$/m);
  });

  it('keeps them of an ES module', async () => {
    const finished = await run({
      'rewind.config.mjs': "import './db.mjs';\nexport default {};",
      'db.mjs': "\nthrow new Error('DB_HOST is not set');",
    });
    assertRefused(finished, 'rewind.config.mjs could not be loaded: DB_HOST is not set');
    assert.match(finished.stderr, /^ +at .*db\.mjs:2:7\)?$/m);
  });

  it('shows the line of a syntax error', async () => {
    const finished = await run({ 'rewind.config.js': "module.exports = {\n  default: 'dirty'\n  seed: 1,\n};" });
    assertRefused(finished, "rewind.config.js could not be loaded: SyntaxError: Unexpected identifier 'seed'");
    assert.match(finished.stderr, /^ +.*rewind\.config\.js:3$/m);
    assert.match(finished.stderr, /^ +seed: 1,$/m);
  });

  it('names the module that is missing, and who asked for it', async () => {
    const finished = await run({ 'rewind.config.js': "module.exports = require('./nope')" });
    assertRefused(finished, "rewind.config.js could not be loaded: Cannot find module './nope'");
    assert.match(finished.stderr, /^- .*rewind\.config\.js$/m);
    assert.doesNotMatch(finished.stderr, /^- .*node_modules/m);
  });
});

describe('what a root-hook factory rejects with', () => {
  for (const mocha of Object.keys(MOCHAS) as (keyof typeof MOCHAS)[]) {
    for (const mode of ['serial', 'parallel']) {
      it(`is printed as one message, and ends mocha ${mocha} (${mode})${full(mocha !== '12')}`, async () => {
        const args = mode === 'parallel' ? ['--parallel', ...REGISTER] : REGISTER;
        const finished = await run({ 'rewind.config.js': 'module.exports = { sed: 1 }' }, args, {}, mocha);
        assertRefused(finished, 'rewind.config.js: there is no setting `sed`; `seed` was probably meant.');
        assert.equal(finished.output.match(/probably meant/g)?.length, 1);
        assert.equal(finished.output.trim().split('\n').length, 3, finished.output);
      });
    }
  }
});

/** What Node 22.18 and newer do themselves: load TypeScript, without looking for a file of another name. */
const STRIPS_TYPES = {
  'strip.cjs': "require('node:module').register('./strip.mjs', require('node:url').pathToFileURL(__filename));",
  'strip.mjs': `
import fs from 'node:fs';
export async function load(url, context, next) {
  if (!url.endsWith('.mts')) return next(url, context);
  return { format: 'module', shortCircuit: true, source: fs.readFileSync(new URL(url), 'utf8') };
}`,
};

/** Node 22.18 and newer compile TypeScript themselves; these tests are about the others. */
function noTypeStripping(): NodeJS.ProcessEnv {
  const known = process.allowedNodeEnvironmentFlags;
  const flag = ['--no-strip-types', '--no-experimental-strip-types'].find((name) => known.has(name));
  return flag ? { NODE_OPTIONS: `--preserve-symlinks --preserve-symlinks-main ${flag}` } : {};
}
