// `npm run test:nightly`: random programs, trees and restores in such numbers that it takes hours. Each process has
// a seed of its own; what failed is printed as it is, with the seed that repeats it.
//
//   npm run test:nightly -- [--rounds 100000] [--jobs 8]      rounds: of the restore; jobs: processes at once
import { spawn } from 'node:child_process';
import path from 'node:path';
import { parseArgs } from 'node:util';

const { values: args } = parseArgs({
  options: { rounds: { type: 'string', default: '100000' }, jobs: { type: 'string', default: '8' } },
});
const ROUNDS_OF_ONE = 400;
/** The fuzz runs its rounds once for each role and each way to keep a table. */
const ROUNDS_OF_A_PROCESS = ROUNDS_OF_ONE * 4;
const FILES = ['test/snapshot/fuzz.test.ts', 'test/sandbox/programs.test.ts', 'test/mocha/order.property.test.ts'];
const mocha = path.resolve('node_modules', 'mocha', 'bin', 'mocha.js');

function runOnce(): Promise<boolean> {
  const child = spawn(process.execPath, [mocha, '--reporter', 'dot', ...FILES], {
    env: { ...process.env, REWIND_TEST_ROUNDS: String(ROUNDS_OF_ONE) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (output += data.toString()));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      if (code !== 0) console.error(output);
      resolve(code === 0);
    });
  });
}

async function main(): Promise<void> {
  let due = Math.ceil(Number(args.rounds) / ROUNDS_OF_A_PROCESS);
  const all = due;
  let failed = 0;
  const worker = async (): Promise<void> => {
    while (due-- > 0) if (!(await runOnce())) failed++;
  };
  await Promise.all(Array.from({ length: Math.min(Number(args.jobs), all) }, worker));
  console.log(`${all * ROUNDS_OF_A_PROCESS} rounds of the restore in ${all} processes, ${failed} of them failed`);
  if (failed > 0) process.exitCode = 1;
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
