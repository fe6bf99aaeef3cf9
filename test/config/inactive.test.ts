// The plugin that is loaded in a way Mocha does not notice: the run stops and says what to write, or it works.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { type TestDatabase, createDatabase } from '../support/database';
import { type Project, cleanEnvironment, project } from '../support/project';
import { full } from '../support/tiers';

const SPEC = `it('adds', async () => { await require('./db')('users').insert({ name: 'ann' }); });`;
const FILES = {
  'db.js': `module.exports = require('knex')({ client: 'pg', connection: process.env.DATABASE_URL, pool: { min: 0, max: 2 } });`,
  'plain.spec.js': SPEC,
  'late.spec.js': `require('mocha-rewind/register');\n${SPEC}`,
  'late.spec.mjs': `import 'mocha-rewind/register'; import './plain.spec.js';`,
  'nested.js': `// exports nothing\nrequire('mocha-rewind/register');`,
  'rewind.js': `const { rewind } = require('mocha-rewind'); module.exports.default = rewind({ knex: require('./db') });`,
  '.mocharc.file.json': { file: ['./nested.js'] },
  'program.js': `
const { Mocha } = require('mocha');
const { mochaHooks } = require('mocha-rewind/register');
const given = { nothing: async () => undefined, factory: async () => mochaHooks, hooks: mochaHooks }[process.argv[2]];
given().then((rootHooks) => {
  const mocha = new Mocha({ rootHooks });
  mocha.addFile('./plain.spec.js');
  mocha.run((failures) => process.exit(failures ? 1 : 0));
}).catch((error) => { console.error(error); process.exitCode = 1; });`,
  'first.js': `require('mocha-rewind/register'); require('./program.js');`,
  'before-mocha.js': `
require('mocha-rewind/register');
const { Mocha } = require('mocha');
const mocha = new Mocha();
mocha.addFile('./plain.spec.js');
mocha.run((failures) => process.exit(failures ? 1 : 0));`,
};

describe('the plugin', () => {
  let database: TestDatabase;
  let p: Project;
  before(async () => {
    database = await createDatabase('create table users (name text)');
    p = project({ files: FILES });
  });
  afterEach(() => database.query('truncate users'));
  after(async () => {
    p.remove();
    await database.drop();
  });

  const program = (...args: string[]): { status: number | null; stderr: string; stdout: string } =>
    spawnSync(process.execPath, args, {
      cwd: p.dir,
      env: { ...cleanEnvironment(), DATABASE_URL: database.url },
      encoding: 'utf8',
    });
  const rows = async (): Promise<number> => (await database.query('select from users')).length;

  for (const [way, args, place, isFull] of [
    ['by a spec file', ['late.spec.js'], 'late.spec.js:1', false],
    ['by a spec file in ESM', ['late.spec.mjs'], undefined, true],
    ['by a file of --file', ['--file', './nested.js', 'plain.spec.js'], 'nested.js:2', true],
    ['by a file of the Mocha config', ['--config', '.mocharc.file.json', 'plain.spec.js'], 'nested.js:2', true],
    ['by a required file that exports nothing', ['--require', './nested.js', 'plain.spec.js'], 'nested.js:2', false],
    [
      'by a spec file in a worker',
      ['--parallel', '--jobs', '2', 'late.spec.js', 'late.spec.js'],
      'late.spec.js:1',
      true,
    ],
  ] as const) {
    it(`stops a run that does not see it: loaded ${way}${full(isFull)}`, async () => {
      const { code, output } = await p.mocha(args, { DATABASE_URL: database.url });
      assert.equal(code, 1, output);
      assert.match(output, /REWIND_MOCHA: mocha-rewind\/register was loaded/);
      if (place !== undefined) assert.ok(output.includes(`was loaded by ${place}, but`), output);
      assert.match(output, /"require": \["mocha-rewind\/register"\]/);
      assert.equal(await rows(), 0, 'no test has run');
    });
  }

  it('stops a run that does not see it: made by rewind(), and not exported by name', async () => {
    const { code, output } = await p.mocha(['--require', './rewind.js', 'plain.spec.js'], {
      DATABASE_URL: database.url,
    });
    assert.equal(code, 1, output);
    assert.match(output, /REWIND_MOCHA: rewind\(\) was loaded by rewind\.js:1, but[^]*module\.exports = rewind\(…\)/);
    assert.equal(await rows(), 0);
  });

  for (const [given, isFull] of [
    ['nothing', false],
    ['factory', true],
  ] as const) {
    it(`stops a run of a program that gives Mocha ${given === 'nothing' ? given : 'the function itself'}${full(isFull)}`, async () => {
      const { status, stderr } = program('program.js', given);
      assert.equal(status, 1, stderr);
      assert.match(
        stderr,
        /REWIND_MOCHA[^]*new Mocha\(\{ rootHooks: await require\('mocha-rewind\/register'\)\.mochaHooks\(\) \}\)/,
      );
      assert.equal(await rows(), 0);
    });
  }

  it('works in a program that gives Mocha its hooks, whichever is loaded first', async () => {
    for (const file of ['program.js', 'first.js']) {
      const { status, stdout, stderr } = program(file, 'hooks');
      assert.equal(status, 0, stdout + stderr);
      assert.match(stderr, /rewind: 1 rolled back/);
      assert.equal(await rows(), 0);
    }
  });

  it('fails a program that loads Mocha after it, and gives it nothing, when all is over', () => {
    const { status, stderr } = program('before-mocha.js');
    assert.equal(status, 1, stderr);
    assert.match(stderr, /REWIND_MOCHA: mocha-rewind\/register was loaded by before-mocha\.js:2/);
  });
});
