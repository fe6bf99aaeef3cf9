// What isolation costs a whole run: Mocha processes of suites of several sizes, with and without it, in turns. Prints the
// first tables of docs/benchmarks.md, one for each server.
//
//   npm run build && npx ts-node -T bench/suite.ts
//     [--tests 200,1000,4000]   sizes of the suites; 0: one test alone, and an empty one
//     [--repeat 5]              rounds
//     [--fsync off,on]          servers: the embedded one, and one on a disk
//     [--most 1000]             larger suites are left out for what takes very long
//     [--only 'rewind|by hand'] ways to isolate whose name this expression finds; no isolation is always there
//
// With DATABASE_URL that server is measured as it is, and none is started. pg-transactional-tests takes part where it is
// found: see bench/rollback.ts.
//
// CPU is user and system time of the Mocha process, which other work on the machine moves least; wall clock is from its
// start to its end. A _cold_ run is the first one on a new database and in a new project folder: nothing of ours is kept
// from before. A _warm_ one is the next run there. Ratios are of the same round, and the table has their median, and the
// smallest and the largest.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Client } from 'pg';
import { ALONE, COMMITTED, EMPTY, makeProject, SCHEMA, type Suite, suite, VARIANTS, type Variant } from './suite-files';
import { startWith } from './suite-server';

const { values: args } = parseArgs({
  options: {
    tests: { type: 'string', default: '0,200,1000,4000' },
    repeat: { type: 'string', default: '5' },
    fsync: { type: 'string', default: 'off,on' },
    most: { type: 'string', default: '1000' },
    only: { type: 'string', default: '' },
  },
});
const BASE = VARIANTS[0]!;
const TEMPLATE = `rewind_suite_${process.pid}_test_template`;
const DATABASE = `rewind_suite_${process.pid}_test`;

/** Milliseconds, and the share of the run that mocha-rewind's summary says isolation took. */
interface Run {
  readonly cpu: number;
  readonly wall: number;
  readonly share: string;
}
/** Of one variant in one round. */
interface Pair {
  readonly cold: Run;
  readonly warm: Run;
}

function found(name: string): boolean {
  try {
    return require.resolve(name) !== '';
  } catch {
    return false;
  }
}

async function main(): Promise<void> {
  const missing = VARIANTS.flatMap(({ needs }) => (needs && !found(needs) ? [needs] : []));
  const variants = VARIANTS.filter((v) => !v.needs || !missing.includes(v.needs)).filter(
    (v) => v === BASE || new RegExp(args.only).test(v.name),
  );
  const suites = args.tests.split(',').flatMap((n) => (n === '0' ? [EMPTY, ALONE] : [suite(Number(n))]));
  const given = process.env['DATABASE_URL'];
  for (const fsync of given ? [''] : args.fsync.split(',')) {
    const server = given ? { url: given, stop: () => {} } : await startWith(fsync);
    const admin = new Client({ connectionString: server.url });
    await admin.connect();
    try {
      await prepare(admin, server.url);
      await report(admin);
      for (const one of suites) {
        const fit = variants.filter((v) => (one.small ? v.small : !v.slow || one.tests <= Number(args.most)));
        printRows(one, await measure(one, fit, admin, server.url));
      }
      await admin.query(`drop database ${TEMPLATE}`);
    } finally {
      await admin.end();
      await server.stop();
    }
  }
  for (const name of missing) console.log(`\nLeft out: ${name} was not found.`);
}

async function prepare(admin: Client, server: string): Promise<void> {
  await admin.query(`create database ${TEMPLATE}`);
  await query(urlOf(server, TEMPLATE), `${SCHEMA} analyze`);
}

async function report(admin: Client): Promise<void> {
  const { rows } = await admin.query<{ version: string; fsync: string }>(
    `select current_setting('server_version') as version, current_setting('fsync') as fsync`,
  );
  console.log(
    `\nPostgreSQL ${rows[0]?.version}, fsync ${rows[0]?.fsync}, Node.js ${process.version}, ${os.cpus().length} cores:\n`,
  );
  const titles = ['CPU, cold', 'CPU, warm', 'wall, cold', 'wall, warm', 'more a test, ms: CPU', 'wall'];
  console.log(`| | isolation | ${titles.join(' | ')} | said | measured |`);
  console.log(`|--|--|${'--:|'.repeat(titles.length + 2)}`);
}

async function measure(
  suite: Suite,
  variants: readonly Variant[],
  admin: Client,
  server: string,
): Promise<Map<Variant, Pair[]>> {
  const pairs = new Map<Variant, Pair[]>(variants.map((variant) => [variant, []]));
  // Starting takes a moment, and needs more rounds to tell.
  const rounds = Number(args.repeat) * (suite.small ? 3 : 1);
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < variants.length; i++) {
      const variant = variants[(i + round) % variants.length]!;
      if (variant.slow && round > 0) continue;
      process.stderr.write(`${suite.name}, round ${round + 1}: ${variant.name}\n`);
      await admin.query(`create database ${DATABASE} template ${TEMPLATE}`);
      await admin.query('checkpoint'); // not in the middle of a run
      const dir = makeProject(suite, variant, variant.needs ? [variant.needs] : []);
      try {
        const url = urlOf(server, DATABASE);
        pairs
          .get(variant)
          ?.push({ cold: await run(suite, variant, dir, url), warm: await run(suite, variant, dir, url) });
      } finally {
        fs.rmSync(dir, { recursive: true, force: true });
        await admin.query(`drop database ${DATABASE} with (force)`);
      }
    }
  }
  return pairs;
}

async function run(suite: Suite, variant: Variant, dir: string, url: string): Promise<Run> {
  const requires = ['./meter.js', ...(variant.config ? ['mocha-rewind/register'] : []), './setup.js'];
  const before = performance.now();
  const child = spawnSync(
    process.execPath,
    [
      path.join(dir, 'node_modules/mocha/bin/mocha.js'),
      ...requires.flatMap((file) => ['--require', file]),
      ...['--reporter', 'dot', '--timeout', '60000', 'spec/*.js'],
    ],
    // Folders of its own for whatever is cached between runs.
    { cwd: dir, env: { ...process.env, DATABASE_URL: url, TMPDIR: dir, XDG_CACHE_HOME: dir }, encoding: 'utf8' },
  );
  const wall = performance.now() - before;
  const output = child.stdout + child.stderr;
  const check = (condition: boolean, what: string): void => {
    if (!condition) throw new Error(`${suite.name}, ${variant.name}: ${what}\n${output}`);
  };
  check(child.status === 0, `exit code ${child.status}`);
  check(Number(/(\d+) passing/.exec(child.stdout)?.[1]) === suite.tests, 'not all tests have passed');
  const share = /isolation (.*) of the run/.exec(output)?.[1] ?? '';
  check((share !== '') === (variant.config !== undefined), 'with or without mocha-rewind, and not as was meant');
  if (!suite.small && variant.leaves !== 'last') {
    const [left] = await query(url, COMMITTED);
    check((Number(left?.['committed']) === 0) === (variant.leaves === 'nothing'), 'not isolated as was meant');
  }
  return { wall, share, cpu: Number(fs.readFileSync(path.join(dir, 'cpu'), 'utf8')) };
}

function urlOf(server: string, database: string): string {
  const url = new URL(server);
  url.pathname = `/${database}`;
  return url.href;
}

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

const sorted = (values: readonly number[]): number[] => [...values].sort((a, b) => a - b);
const median = (values: readonly number[]): number => sorted(values)[values.length >> 1] ?? NaN;

/** `1.83 (1.80–1.90)`. */
function spread(values: readonly number[], format: (value: number) => string): string {
  const [least = NaN, ...more] = sorted(values);
  return more.length === 0
    ? format(least)
    : `${format(median(values))} (${format(least)}–${format(more.at(-1) ?? NaN)})`;
}

function printRows(suite: Suite, pairs: ReadonlyMap<Variant, readonly Pair[]>): void {
  const base = pairs.get(BASE) ?? [];
  for (const [variant, of] of pairs) {
    const each = (value: (own: Pair, none: Pair) => number): number[] => of.map((own, i) => value(own, base[i]!));
    const column = (what: 'cpu' | 'wall', when: keyof Pair): string =>
      variant === BASE
        ? `${spread(
            each((own) => own[when][what]),
            (ms) => ms.toFixed(0),
          )} ms`
        : `× ${spread(
            each((own, none) => own[when][what] / none[when][what]),
            (ratio) => ratio.toFixed(2),
          )}`;
    const more = (what: 'cpu' | 'wall'): string =>
      variant === BASE
        ? ''
        : median(each((own, none) => (own.warm[what] - none.warm[what]) / suite.tests)).toFixed(suite.small ? 0 : 2);
    const said = of.map(({ warm }) => warm.share).sort()[of.length >> 1];
    const measured = median(each((own, none) => 100 * (1 - none.warm.wall / own.warm.wall)));
    const cells = [
      ...(['cpu', 'wall'] as const).flatMap((what) => [column(what, 'cold'), column(what, 'warm')]),
      more('cpu'),
      more('wall'),
      said ?? '',
      variant === BASE ? '' : `${measured.toFixed(0)} %`,
    ];
    console.log(`| ${[suite.name, variant.name, ...cells].join(' | ')} |`);
  }
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
