// Runs the example app's suite in a mocha process of its own, and reads its JSON report.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { repo } from '../support/project';

export const exampleApp = path.join(repo, 'example-app');

export interface ExampleTest {
  readonly file: string;
  readonly title: string;
  readonly state: 'passed' | 'failed' | 'pending';
  readonly mode: string;
  readonly phase: number;
  readonly tablesRestored: readonly string[];
}

export interface ExampleRun {
  readonly code: number | null;
  /** What a person saw. */
  readonly output: string;
  /** In the order they ran. */
  readonly tests: readonly ExampleTest[];
  /** `DATABASE_URL` as the tests had it. */
  readonly databaseUrl: string;
}

export interface ExampleOptions {
  /** Undefined: the run has to find a server itself. */
  readonly databaseUrl?: string;
  readonly args?: readonly string[];
  /** Spec files in this order, instead of all of them in Mocha's. */
  readonly files?: readonly string[];
  /** Text of a module that is `--require`d last. */
  readonly plugin?: string;
}

export function specFiles(): string[] {
  return fs
    .readdirSync(path.join(exampleApp, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => `test/${file.split(path.sep).join('/')}`)
    .sort();
}

export async function runExample(options: ExampleOptions = {}): Promise<ExampleRun> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'rewind-example-'));
  const file = (name: string, text: string): string => {
    fs.writeFileSync(path.join(dir, name), text);
    return path.join(dir, name);
  };
  try {
    const report = path.join(dir, 'report.json');
    const seenUrl = path.join(dir, 'url');
    const config = JSON.parse(fs.readFileSync(path.join(exampleApp, '.mocharc.json'), 'utf8')) as MochaConfig;
    // Everything as the app has it; only the report goes where no other run writes.
    const reporters = JSON.parse(fs.readFileSync(path.join(exampleApp, 'reporters.json'), 'utf8')) as object;
    config['reporter-option'] = [
      `configFile=${file('reporters.json', JSON.stringify({ ...reporters, mochaRewindReporterReporterOptions: { output: report } }))}`,
    ];
    config.require.push(
      file('tell.js', `require('node:fs').writeFileSync(${JSON.stringify(seenUrl)}, process.env.DATABASE_URL)`),
    );
    if (options.plugin) config.require.push(file('plugin.js', options.plugin));
    if (options.files) config.spec = options.files;
    const args = ['--config', file('mocharc.json', JSON.stringify(config)), ...(options.args ?? [])];
    const finished = await mocha(args, options.databaseUrl);
    const tests = fs.existsSync(report)
      ? (JSON.parse(fs.readFileSync(report, 'utf8')) as { tests: ExampleTest[] }).tests
      : [];
    return { ...finished, tests, databaseUrl: fs.existsSync(seenUrl) ? fs.readFileSync(seenUrl, 'utf8') : '' };
  } finally {
    fs.rmSync(dir, { recursive: true, force: true });
  }
}

interface MochaConfig {
  require: string[];
  spec: readonly string[];
  'reporter-option': string[];
}

function mocha(
  args: readonly string[],
  databaseUrl: string | undefined,
): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [path.join(repo, 'node_modules', 'mocha', 'bin', 'mocha.js'), ...args], {
    cwd: exampleApp,
    env: { ...environment(), ...(databaseUrl && { DATABASE_URL: databaseUrl }) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (data: Buffer) => (output += data.toString()));
  child.stderr.on('data', (data: Buffer) => (output += data.toString()));
  const timer = setTimeout(() => child.kill('SIGKILL'), 90_000);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code, output });
    });
  });
}

/** This process's environment without what names a server, and without what an outer mocha or npm put there. */
function environment(): NodeJS.ProcessEnv {
  const names = Object.keys(process.env).filter(
    (name) => !/^(DATABASE_URL$|PG|MOCHA_|REWIND_|npm_|TS_NODE_|CI$|FORCE_COLOR$)/.test(name),
  );
  return { ...Object.fromEntries(names.map((name) => [name, process.env[name]])), NO_COLOR: '1' };
}
