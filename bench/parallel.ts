// What a second core is worth: the example app's suite, multiplied, serial against `--parallel --jobs 2`, in turns, as it is
// (compiled by ts-node in each process) and compiled before. Beside it what each way costs before and after its tests, with
// us and in plain Mocha: the same files, with no test chosen. CPU time is that of Mocha's processes, without the server's; it
// bears a busy machine better.
// Run: npm run build && npx ts-node bench/parallel.ts [copies] [rounds]
import fs from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { startServer } from '../lib/database';
import { createDatabase } from '../test/support/database';
import { type Project, project, repo } from '../test/support/project';

const copies = Number(process.argv[2] ?? 4);
const rounds = Number(process.argv[3] ?? 3);
const app = path.join(repo, 'example-app');

const WAYS = { serial: [], 'two workers': ['--parallel', '--jobs', '2'] } as const;
type Way = keyof typeof WAYS;
const SUITES = {
  'all tests': { plugin: true, args: [] },
  'no test': { plugin: true, args: ['--grep', 'no test is called so'] },
  'no test, plain Mocha': { plugin: false, args: ['--grep', 'no test is called so'] },
} as const;
type Suite = keyof typeof SUITES;

/** Each process of Mocha leaves its CPU time, in µs. */
const CPU = 'cpu.txt';
const CPU_METER = `process.on('exit', () => {
  const { user, system } = process.cpuUsage();
  require('node:fs').appendFileSync('${CPU}', user + system + '\\n');
});`;

function filesBelow(folder: string): string[] {
  return fs
    .readdirSync(path.join(app, folder), { withFileTypes: true })
    .flatMap((entry) =>
      entry.isDirectory() ? filesBelow(path.join(folder, entry.name)) : path.join(folder, entry.name),
    );
}

/** The app as it is, with each file of tests standing there several times under other names. */
function multiplied(): Record<string, string> {
  const files: Record<string, string> = {};
  for (const folder of ['src', 'migrations', 'seeds', 'test']) {
    for (const file of filesBelow(folder)) {
      const text = fs.readFileSync(path.join(app, file), 'utf8');
      if (!file.endsWith('.test.ts')) files[file] = text;
      else for (let i = 1; i <= copies; i++) files[file.replace('.test.ts', `.${i}.test.ts`)] = text;
    }
  }
  files['rewind.config.ts'] = fs.readFileSync(path.join(app, 'rewind.config.ts'), 'utf8');
  return files;
}

function compiled(files: Readonly<Record<string, string>>): Record<string, string> {
  const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.CommonJS, esModuleInterop: true };
  const entries = Object.entries(files).map(([name, text]) => [
    name.replace(/\.ts$/, '.js'),
    ts.transpileModule(text, { compilerOptions }).outputText,
  ]);
  return Object.fromEntries(entries) as Record<string, string>;
}

interface Spent {
  readonly wall: number;
  readonly cpu: number;
  readonly output: string;
}

async function spentBy(p: Project, args: readonly string[], url: string): Promise<Spent> {
  const cpuFile = path.join(p.dir, CPU);
  fs.rmSync(cpuFile, { force: true });
  const started = performance.now();
  const { code, output } = await p.mocha(['--require', './cpu.js', ...args], { DATABASE_URL: url }, 300_000);
  const wall = performance.now() - started;
  if (code !== 0) throw new Error(output);
  const cpu = fs.readFileSync(cpuFile, 'utf8').trim().split('\n').map(Number);
  return { wall, cpu: cpu.reduce((sum, us) => sum + us, 0) / 1000, output };
}

const median = (numbers: readonly number[]): number => [...numbers].sort((a, b) => a - b)[numbers.length >> 1] ?? NaN;

async function main(): Promise<void> {
  const server = startServer();
  const typescript = multiplied();
  const tsconfig = fs.readFileSync(path.join(repo, 'tsconfig.json'), 'utf8');
  const projects = {
    'ts-node': {
      p: project({ files: { ...typescript, 'tsconfig.json': tsconfig, 'cpu.js': CPU_METER } }),
      loader: ['--require', 'ts-node/register'],
      spec: 'test/**/*.test.ts',
    },
    'compiled before': {
      p: project({ files: { ...compiled(typescript), 'cpu.js': CPU_METER } }),
      loader: [],
      spec: 'test/**/*.test.js',
    },
  };
  try {
    console.log('| | | serial, s | two workers, s | ratio | serial, CPU s | two workers, CPU s |');
    console.log('|--|--|--:|--:|--:|--:|--:|');
    for (const [language, { p, loader, spec }] of Object.entries(projects)) {
      // Knex takes a migration by another name for another one.
      const { url } = await createDatabase('', { server: server.url });
      const spent = new Map<string, Spent[]>();
      const of = (suite: Suite, way: Way): Spent[] => {
        const key = `${suite} ${way}`;
        if (!spent.has(key)) spent.set(key, []);
        return spent.get(key) ?? [];
      };
      for (let round = 0; round < rounds; round++) {
        for (const [suite, { plugin, args }] of Object.entries(SUITES)) {
          for (const [way, parallel] of Object.entries(WAYS)) {
            const ours = plugin ? ['--require', 'mocha-rewind/register'] : ['--exit'];
            const all = [...loader, ...ours, '--reporter', 'dot', ...parallel, ...args, spec];
            of(suite as Suite, way as Way).push(await spentBy(p, all, url));
          }
        }
      }
      for (const suite of Object.keys(SUITES) as Suite[]) {
        const seconds = (way: Way, what: 'wall' | 'cpu'): number =>
          median(of(suite, way).map((one) => one[what])) / 1000;
        const [one, two] = [seconds('serial', 'wall'), seconds('two workers', 'wall')];
        const cpu = (Object.keys(WAYS) as Way[]).map((way) => seconds(way, 'cpu').toFixed(1));
        const passing = /(\d+) passing/.exec(of(suite, 'serial')[0]?.output ?? '')?.[1];
        const name = suite === 'all tests' ? `${passing} tests` : suite;
        const cells = [language, name, one.toFixed(1), two.toFixed(1), (two / one).toFixed(2), ...cpu];
        console.log(`| ${cells.join(' | ')} |`);
      }
    }
  } finally {
    for (const { p } of Object.values(projects)) p.remove();
    await server.stop();
  }
}

void main();
