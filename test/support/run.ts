// Runs spec files on a database under mocha-rewind, and reads what a person and the next process would see.
import assert from 'node:assert/strict';
import type { TestDatabase } from './database';
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

/** Fails with everything the run printed unless it was green. */
export function assertGreen(outcome: Outcome): void {
  assert.deepEqual({ code: outcome.code, failed: outcome.failed }, { code: 0, failed: {} }, outcome.output);
}
