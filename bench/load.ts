// What the plugin adds to the start of Mocha: one empty test of an app that loads Knex, no database, in processes that take turns.
//
//   npm run build && npx ts-node -T bench/load.ts [--repeat 25]
//
// Medians of wall-clock and of CPU time, and what is above plain mocha. CPU time bears a busy machine better.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

const { values: args } = parseArgs({ options: { repeat: { type: 'string', default: '25' } } });
const mocha = path.resolve('node_modules', 'mocha', 'bin', 'mocha.js');
const register = path.resolve('dist', 'register.js');
const KINDS = ['plain mocha', 'without a config', 'with a config'] as const;
type Kind = (typeof KINDS)[number];

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'rewind-load-'));
const write = (name: string, text: string): void => fs.writeFileSync(path.join(dir, name), text);
write('package.json', '{}');
// The app loads Knex in any case.
write('a.spec.js', `require(${JSON.stringify(require.resolve('knex'))}); it('is empty', () => {});`);
write(
  'cpu.js',
  `process.on('exit', () => { const { user, system } = process.cpuUsage(); console.log('cpu', user + system); });`,
);
fs.mkdirSync(path.join(dir, 'bare'));
for (const name of ['package.json', 'a.spec.js']) fs.copyFileSync(path.join(dir, name), path.join(dir, 'bare', name));
write('rewind.config.js', `module.exports = { default: 'rollback' };`);

function start(kind: Kind): { wall: number; cpu: number } {
  const plugin = kind === 'plain mocha' ? [] : ['--require', register];
  const env = { ...process.env, DATABASE_URL: 'postgres://localhost/none_test' };
  const cwd = kind === 'with a config' ? dir : path.join(dir, 'bare');
  const before = performance.now();
  const run = spawnSync(process.execPath, [mocha, '--require', path.join(dir, 'cpu.js'), ...plugin, 'a.spec.js'], {
    cwd,
    env,
    encoding: 'utf8',
  });
  const wall = performance.now() - before;
  if (run.status !== 0) throw new Error(run.stdout + run.stderr);
  return { wall, cpu: Number(/cpu (\d+)/.exec(run.stdout)?.[1]) / 1000 };
}

const median = (numbers: readonly number[]): number => [...numbers].sort((a, b) => a - b)[numbers.length >> 1] ?? NaN;
try {
  const measured = new Map<Kind, { wall: number; cpu: number }[]>(KINDS.map((kind) => [kind, []]));
  for (let i = 0; i < Number(args.repeat); i++) for (const kind of KINDS) measured.get(kind)?.push(start(kind));
  const of = (kind: Kind, what: 'wall' | 'cpu'): number => median((measured.get(kind) ?? []).map((m) => m[what]));
  console.log('| | wall clock, ms | above plain mocha | CPU, ms | above plain mocha |\n|--|--:|--:|--:|--:|');
  for (const kind of KINDS) {
    const cells = (['wall', 'cpu'] as const).map((what) => {
      const ms = of(kind, what);
      return `${ms.toFixed(0)} | ${(ms - of('plain mocha', what)).toFixed(0)}`;
    });
    console.log(`| ${kind} | ${cells.join(' | ')} |`);
  }
} finally {
  fs.rmSync(dir, { recursive: true, force: true });
}
