// What a @schema test waits for its database, in real runs: whether a clone was ready, and how long it took to get it; beside
// it what making one takes.
// Run: npm run build && npx ts-node -T bench/schema.ts [tables] [tests] [ms of work in each test]
import { Client } from 'pg';
import { startServer } from '../lib/database';
import type { CloneFacts } from '../lib/facts';
import { project } from '../test/support/project';

const [tables = '10,100,500', tests = '12', work = '0,500'] = process.argv.slice(2);
const list = (text: string): number[] => text.split(',').map(Number);

const files = (count: number, ms: number): Record<string, string> => ({
  'db.js': `module.exports = require('knex').knex({ client: 'pg', connection: process.env.DATABASE_URL });`,
  'rewind.config.js': `module.exports = {
    knex: require('./db'),
    migrate: (db) => db.raw(Array.from({ length: ${count} }, (_, i) =>
      'create table t_' + i + ' (id bigserial primary key, name text); create index on t_' + i + ' (name)').join(';')),
  };`,
  'a.spec.js': `
    const db = require('./db');
    for (let i = 0; i < ${tests}; i++) it('adds a column ' + i + ' @schema', async () => {
      await db.schema.alterTable('t_1', (t) => t.string('more'));
      await new Promise((done) => setTimeout(done, ${ms}));
    });
    after(function () {
      console.log('clones: ' + JSON.stringify(this.test.parent.tests.map((test) => test.rewind.clone)));
      return db.destroy();
    });`,
});

async function main(): Promise<void> {
  console.log('| tables | work in each test, ms | CREATE DATABASE, ms | ready | waited, ms: ready | not ready |');
  console.log('|--:|--:|--:|--:|--:|--:|');
  for (const count of list(tables)) for (const ms of list(work)) await measure(count, ms);
}

async function measure(count: number, ms: number): Promise<void> {
  const server = startServer();
  const p = project({ files: files(count, ms) });
  try {
    const args = ['--require', 'mocha-rewind/register', '--timeout', '60000'];
    const { code, output } = await p.mocha([...args, 'a.spec.js'], { DATABASE_URL: server.url }, 300_000);
    if (code !== 0) throw new Error(output);
    const clones = JSON.parse(/clones: (.*)/.exec(output)?.[1] ?? '[]') as readonly CloneFacts[];
    const waited = (ready: boolean): string => summary(clones.filter((c) => c.ready === ready).map((c) => c.waitedMs));
    const made = await cloning(server.url);
    const ready = clones.filter((c) => c.ready).length;
    console.log(
      `| ${count} | ${ms} | ${made.toFixed(0)} | ${ready} of ${clones.length} | ${waited(true)} | ${waited(false)} |`,
    );
  } finally {
    p.remove();
    await server.stop();
  }
}

async function cloning(url: string): Promise<number> {
  const { pathname } = new URL(url);
  const maintenance = new URL(url);
  maintenance.pathname = '/template1';
  const client = new Client({ connectionString: maintenance.href });
  await client.connect();
  const samples: number[] = [];
  for (let i = 0; i < 5; i++) {
    const started = performance.now();
    await client.query(`create database bench_clone template "${decodeURIComponent(pathname.slice(1))}"`);
    samples.push(performance.now() - started);
    await client.query('drop database bench_clone');
  }
  await client.end();
  return median(samples);
}

const median = (numbers: readonly number[]): number => [...numbers].sort((a, b) => a - b)[numbers.length >> 1] ?? NaN;

function summary(numbers: readonly number[]): string {
  return numbers.length === 0 ? '' : `${median(numbers).toFixed(2)} (at most ${Math.max(...numbers).toFixed(2)})`;
}

void main();
