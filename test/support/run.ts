// Runs spec files on a database under mocha-rewind, and reads what a person and the next process would see.
import assert from 'node:assert/strict';
import { type TestDatabase, createDatabase } from './database';
import { type Finished, type ProjectOptions, project } from './project';

export interface Outcome extends Finished {
  /** Full titles in the order they ran. */
  readonly ran: readonly string[];
  readonly passed: readonly string[];
  /** Full title → message of the failure, or of several. */
  readonly failed: Readonly<Record<string, string>>;
}

export interface RunOptions extends Partial<ProjectOptions> {
  readonly database: TestDatabase;
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** The config file's text after `module.exports = `; `undefined`: no config file. */
  readonly config?: string;
  /** What is required in place of `mocha-rewind/register`. */
  readonly plugin?: string;
}

/** What a spec file starts with: the app's own instance, in a module of its own, as apps have it. */
const APP: ProjectOptions['files'] = {
  'db.js': `const { knex } = require('knex');
module.exports = knex({ client: 'pg', connection: process.env.DATABASE_URL, pool: { min: 0, max: 5 } });`,
};

export const SPEC = `const assert = require('node:assert/strict');
const db = require('./db');
const names = async (q = db) => (await q('users').orderBy('name').pluck('name')).join();
`;

/** Runs mocha with the JSON reporter. Spec files get {@link SPEC} in front, and run in the order given. */
export async function run(specs: Readonly<Record<string, string>>, options: RunOptions): Promise<Outcome> {
  const config = options.config === undefined ? {} : { 'rewind.config.js': `module.exports = ${options.config}` };
  const files = Object.fromEntries(Object.entries(specs).map(([name, text]) => [name, SPEC + text]));
  const p = project({ ...options, files: { ...APP, ...config, ...files, ...options.files } });
  try {
    const finished = await p.mocha(
      [
        '--require',
        options.plugin ?? 'mocha-rewind/register',
        '--reporter',
        'json',
        ...(options.args ?? []),
        ...Object.keys(specs),
      ],
      { DATABASE_URL: options.database.url, REWIND_VERIFY: '1', ...options.env },
    );
    return { ...finished, ...read(finished) };
  } finally {
    p.remove();
  }
}

interface JsonTest {
  readonly fullTitle: string;
  readonly err: { readonly message?: string };
}

function read(finished: Finished): Pick<Outcome, 'ran' | 'passed' | 'failed'> {
  const start = finished.stdout.indexOf('{\n  "stats"');
  if (start < 0) return { ran: [], passed: [], failed: {} };
  const report = JSON.parse(finished.stdout.slice(start)) as Record<'tests' | 'passes' | 'failures', JsonTest[]>;
  return {
    ran: report.tests.map((t) => t.fullTitle),
    passed: report.passes.map((t) => t.fullTitle),
    failed: report.failures.reduce<Record<string, string>>((failed, { fullTitle, err }) => {
      failed[fullTitle] = [failed[fullTitle], err.message].filter(Boolean).join('\n');
      return failed;
    }, {}),
  };
}

type Check = (outcome: Outcome, database: TestDatabase) => unknown;

/**
 * Cases that share one Mocha process, and a database made by `sql`: each has a describe in a spec file of its own, so no
 * hooks at the root. The first one that is asked for starts the run. A case hears what was said of its own tests, as if
 * it had run alone in `a.spec.js`; of `output` and `stderr` it gets all.
 */
export function together(
  sql: string,
  options: Omit<RunOptions, 'database'> = {},
): (spec: string, check: Check) => Mocha.AsyncFunc {
  const specs: Record<string, string> = {};
  let database: TestDatabase | undefined;
  let whole: Promise<Outcome> | undefined;
  const start = async (): Promise<Outcome> =>
    run(specs, { ...options, database: (database = await createDatabase(sql)) });
  after(() => database?.drop());
  return (spec, check) => {
    const name = `case${Object.keys(specs).length + 1}`;
    specs[`${name}.spec.js`] = `describe('${name}', () => {${spec}\n});`;
    return async () => {
      const outcome = await (whole ??= start());
      assert.ok(database && outcome.ran.length > 0, outcome.output);
      return check(only(name, outcome), database) as Promise<unknown>;
    };
  };
}

function only(name: string, outcome: Outcome): Outcome {
  const own = (titles: readonly string[]): string[] =>
    titles.filter((title) => title.startsWith(`${name} `)).map((title) => title.slice(name.length + 1));
  const alone = (text: string): string => text.replaceAll(`${name} `, '').replaceAll(`${name}.spec.js`, 'a.spec.js');
  const failed: Record<string, string> = {};
  for (const [title, text] of Object.entries(outcome.failed)) {
    // What fails at the root may be about several cases; what is about none concerns all.
    const messages = text
      .split(/\n(?=REWIND_)/)
      .filter((message) => message.includes(`${name} `) || !/case\d+ /.test(message));
    if (title.startsWith(`${name} `)) failed[alone(title)] = alone(text);
    else if (!/^case\d+ /.test(title) && messages.length > 0) failed[alone(title)] = alone(messages.join('\n'));
  }
  return {
    ...outcome,
    output: alone(outcome.output),
    stderr: alone(outcome.stderr),
    ran: own(outcome.ran),
    passed: own(outcome.passed),
    failed,
    code: Object.keys(failed).length,
  };
}

/** Fails with everything the run printed unless it was green. */
export function assertGreen(outcome: Outcome): void {
  assert.deepEqual({ code: outcome.code, failed: outcome.failed }, { code: 0, failed: {} }, outcome.output);
}
