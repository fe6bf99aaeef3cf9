// What a second core is worth: the example app's suite, multiplied, serial against `--parallel --jobs 2`, in turns. Beside
// it what each way costs before and after its tests: the same files, with no test chosen.
// Run: npm run build && npx ts-node bench/parallel.ts [copies] [rounds]
import fs from 'node:fs';
import path from 'node:path';
import { startServer } from '../lib/database';
import { project, repo } from '../test/support/project';

const copies = Number(process.argv[2] ?? 4);
const rounds = Number(process.argv[3] ?? 3);
const app = path.join(repo, 'example-app');

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
  files['tsconfig.json'] = fs.readFileSync(path.join(repo, 'tsconfig.json'), 'utf8');
  return files;
}

const median = (numbers: number[]): number => numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? NaN;

async function main(): Promise<void> {
  const server = startServer();
  const p = project({ files: multiplied() });
  const common = [
    '--require',
    'ts-node/register',
    '--require',
    'mocha-rewind/register',
    '--reporter',
    'dot',
    'test/**/*.test.ts',
  ];
  const ways = { serial: common, parallel: ['--parallel', '--jobs', '2', ...common] };
  const times: Record<keyof typeof ways, number[]> = { serial: [], parallel: [] };
  const fixed: typeof times = { serial: [], parallel: [] };
  const timed = async (args: readonly string[], into: number[]): Promise<string> => {
    const started = performance.now();
    const { code, output } = await p.mocha(args, { DATABASE_URL: server.url }, 300_000);
    into.push(performance.now() - started);
    if (code !== 0) throw new Error(output);
    return output;
  };
  try {
    let passing = '';
    for (let round = 0; round < rounds; round++) {
      for (const way of ['serial', 'parallel'] as const) {
        passing = /(\d+) passing/.exec(await timed(ways[way], times[way]))?.[1] ?? '?';
        await timed([...ways[way], '--grep', 'no test is called so'], fixed[way]);
      }
    }
    const [serial, parallel] = [median(times.serial), median(times.parallel)];
    console.log(
      `${passing} tests, ${rounds} rounds, medians: serial ${(serial / 1000).toFixed(1)} s, two workers ${(parallel / 1000).toFixed(1)} s`,
    );
    console.log(
      `of that without a test: serial ${(median(fixed.serial) / 1000).toFixed(1)} s, two workers ${(median(fixed.parallel) / 1000).toFixed(1)} s`,
    );
    console.log(`ratio parallel / serial: ${(parallel / serial).toFixed(2)}`);
  } finally {
    p.remove();
    await server.stop();
  }
}

void main();
