// What the compiler says of configs: the file below is compiled, and is wrong where it says so and nowhere else.
import assert from 'node:assert/strict';
import path from 'node:path';
import ts from 'typescript';
import { project, repo } from '../support/project';
import { full } from '../support/tiers';

const CONFIGS = `
import { defineConfig, rewind, type RewindConfig } from 'mocha-rewind';
import { knex } from 'knex';
import { Pool } from 'pg';

const db = knex({ client: 'pg' });
const typed = knex<{ id: number }>({ client: 'pg' });

defineConfig({});
defineConfig({ knex: db });
defineConfig({ knex: typed });
defineConfig({ knex: { main: db, audit: typed } });
defineConfig({ knex: Promise.resolve(db) });
defineConfig({ knex: () => db });
defineConfig({ knex: async () => ({ main: db }) });
defineConfig({ pools: new Pool() });
defineConfig({ pools: [new Pool(), new Pool()] });
defineConfig({ pools: async () => [new Pool()] });
defineConfig({
  include: ({ host, port, database, user }) => host === 'localhost' && port === 5432 && database !== user,
  migrate: (first) => first.migrate.latest(),
  seed: async (first, all) => {
    await first.seed.run();
    await all['audit']?.('log').insert({ text: 'seeded' });
  },
  allowDatabase: async (info) => info.name.endsWith('_ci') && info.sizeBytes < 1e9 && !info.superuser,
  reuse: ['src/fixtures/**'],
  default: 'truncate',
  tags: { rollback: 'transaction', dirty: ['kept', 'left'] },
  rules: [{ files: 'test/legacy/**', mode: 'unmanaged' }, { title: /legacy/i, mode: 'nodb' }],
});
const config: RewindConfig = defineConfig({ default: 'nodb' });
const hooks: () => Promise<object> = rewind(config).mochaHooks;
rewind();
void hooks;

// @ts-expect-error -- an unknown setting
defineConfig({ sed: () => {} });
// @ts-expect-error -- a mode that is none
defineConfig({ default: 'transaction' });
// @ts-expect-error -- settings instead of an instance
defineConfig({ knex: { client: 'pg' } });
// @ts-expect-error -- a pool where instances go
defineConfig({ knex: new Pool() });
// @ts-expect-error -- an answer that would always be true
defineConfig({ include: async () => false });
// @ts-expect-error -- a rule needs a mode
defineConfig({ rules: [{ files: 'a' }] });
// @ts-expect-error -- words for a mode that is none
defineConfig({ tags: { transaction: 'rollback' } });
// @ts-expect-error -- no function
defineConfig({ seed: 'seeds' });
// @ts-expect-error -- the setting is there, or it is not (exactOptionalPropertyTypes)
defineConfig({ seed: undefined });
// @ts-expect-error -- rewind() takes what a file takes
rewind({ sed: 1 });
`;

const REPORTER = `
import RewindReporter = require('mocha-rewind/reporter');
const options: RewindReporter.ReporterOptions = { output: 'x.json' };
const write = (report: RewindReporter.JsonReport): string => report.tests.map((t) => t.mode ?? 'none').join();
export = { options, write, RewindReporter };
// @ts-expect-error -- a path
const wrong: RewindReporter.ReporterOptions = { output: 1 };
`;

const ESM = `
import { defineConfig } from 'mocha-rewind';
import RewindReporter from 'mocha-rewind/reporter';
export default defineConfig({ default: 'dirty' });
export const Reporter: new (runner: Mocha.Runner, options: Mocha.MochaOptions) => object = RewindReporter;
`;

describe('the types', () => {
  for (const [what, file, text] of [
    ['of a config', 'config.cts', CONFIGS],
    ['of a config, for ES modules', 'config.mts', CONFIGS],
    ['of the reporter', 'reporter.cts', REPORTER],
    ['of a default export, and of the reporter for Mocha, for ES modules', 'default.mts', ESM],
  ] as const) {
    it(`${what} let right ones pass and stop wrong ones${full(what.includes('ES modules'))}`, function () {
      this.timeout(60_000);
      const p = project({ files: { [file]: text } });
      try {
        assert.deepEqual(compile(path.join(p.dir, file)), []);
      } finally {
        p.remove();
      }
    });
  }
});

function compile(file: string): string[] {
  const program = ts.createProgram([file], {
    module: ts.ModuleKind.Node16,
    moduleResolution: ts.ModuleResolutionKind.Node16,
    target: ts.ScriptTarget.ES2022,
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    skipLibCheck: true,
    esModuleInterop: true,
    types: ['node', 'mocha'],
    typeRoots: [path.join(repo, 'node_modules', '@types')],
    preserveSymlinks: true,
  });
  return ts.getPreEmitDiagnostics(program).map((d) => {
    const at = d.file && d.start !== undefined ? d.file.getLineAndCharacterOfPosition(d.start).line + 1 : 0;
    return `line ${at}: ${ts.flattenDiagnosticMessageText(d.messageText, ' ')}`;
  });
}
