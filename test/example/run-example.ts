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
  const at = (name: string): string => path.join(dir, name);
  try {
    const args = ['--config', configFile(at, options), ...(options.args ?? [])];
    const finished = await mocha(args, options.databaseUrl);
    const report = fs.existsSync(at(REPORT)) ? fs.readFileSync(at(REPORT), 'utf8') : '{ "tests": [] }';
    const { tests } = JSON.parse(report) as { tests: ExampleTest[] };
    return {
      ...finished,
      tests,
      databaseUrl: fs.existsSync(at(URL_SEEN)) ? fs.readFileSync(at(URL_SEEN), 'utf8') : '',
    };
  } finally {
    fs.rmSync(dir, { recursive: true, force: true });
  }
}

const REPORT = 'report.json';
const URL_SEEN = 'url';

/** Everything as the app has it, but the report goes where no other run writes, and `DATABASE_URL` is written down. */
function configFile(at: (name: string) => string, options: ExampleOptions): string {
  const write = (name: string, text: string): string => {
    fs.writeFileSync(at(name), text);
    return at(name);
  };
  const config = read('.mocharc.json') as { require: string[]; spec: readonly string[] };
  const reporters = { ...read('reporters.json'), mochaRewindReporterReporterOptions: { output: at(REPORT) } };
  const tell = `require('node:fs').writeFileSync(${JSON.stringify(at(URL_SEEN))}, process.env.DATABASE_URL)`;
  const changed = {
    ...config,
    require: [
      ...config.require,
      write('tell.js', tell),
      ...(options.plugin ? [write('plugin.js', options.plugin)] : []),
    ],
    spec: options.files ?? config.spec,
    'reporter-option': [`configFile=${write('reporters.json', JSON.stringify(reporters))}`],
  };
  return write('mocharc.json', JSON.stringify(changed));
}

function read(name: string): object {
  return JSON.parse(fs.readFileSync(path.join(exampleApp, name), 'utf8')) as object;
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
    (name) => !/^(DATABASE_URL$|PG|MOCHA_|REWIND_(?!PG_BIN$)|npm_|TS_NODE_|CI$|FORCE_COLOR$)/.test(name),
  );
  return { ...Object.fromEntries(names.map((name) => [name, process.env[name]])), NO_COLOR: '1' };
}
