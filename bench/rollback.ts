// What a rolled-back test costs: every variant in one process, interleaved test by test in random order, because only
// ratios of one run mean anything. Prints the tables of docs/benchmarks.md.
//
//   DATABASE_URL=… npx ts-node bench/rollback.ts [--tests 1500] [--heap 50000]      --heap 0: without the second part
//
// The server should have fsync on, and be on this machine: then its unix socket is measured, too. pg-transactional-tests
// takes part where it is found, and needs this project's own pg:
//
//   npm install --prefix DIR --legacy-peer-deps pg-transactional-tests@1.2.2
//   NODE_PATH=DIR/node_modules:$PWD/node_modules DATABASE_URL=… npx ts-node bench/rollback.ts
import { existsSync } from 'node:fs';
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Client } from 'pg';
import { PEER, PLAIN, SANDBOX } from './rollback-child';
import type { Place } from './rollback-parts';
import { heapAfter, openBench } from './rollback-variants';

const { values: flags } = parseArgs({
  options: { tests: { type: 'string', default: '1500' }, heap: { type: 'string', default: '50000' } },
});
const BASE = PLAIN;

const micros = (): number => Number(process.hrtime.bigint()) / 1e3;
const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? NaN;

/** Median microseconds of each variant. */
async function measure(place: Place, commit: 'on' | 'off', tests: number): Promise<Map<string, number>> {
  const { variants, close } = await openBench(place, commit);
  const times = new Map([...variants.keys()].map((name) => [name, [] as number[]]));
  for (let i = -Math.ceil(tests / 10); i < tests; i++) {
    for (const [name, { run, every = 1 }] of shuffled([...variants])) {
      if (i % every !== 0) continue;
      const start = micros();
      const taken = await run();
      if (i >= 0) times.get(name)?.push(typeof taken === 'number' ? taken : micros() - start);
    }
  }
  await close();
  return new Map([...times].map(([name, list]) => [name, median(list)]));
}

function shuffled<T>(list: T[]): T[] {
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [list[i], list[j]] = [list[j] as T, list[i] as T];
  }
  return list;
}

interface Way {
  readonly title: string;
  readonly place: Place;
  readonly commit: 'on' | 'off';
}

/** TCP and the unix socket, commits that wait for the disk and commits that don't. */
async function ways(url: string): Promise<Way[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query(
    `select current_setting('server_version') as version, current_setting('fsync') as fsync, current_database() as name,
      current_setting('unix_socket_directories') as directories, current_setting('port') as port, current_user as "user"`,
  );
  await client.end();
  const { version, fsync, directories, port, name, user } = rows[0] as Record<string, string>;
  console.log(`PostgreSQL ${version}, fsync ${fsync}, Node.js ${process.version}, load ${loadavg()[0]?.toFixed(1)}\n`);
  const { hostname, password } = new URL(url);
  const directory = (directories ?? '').split(',').find((d) => existsSync(`${d.trim()}/.s.PGSQL.${port}`));
  const common = { port: Number(port), user: user ?? '', password: decodeURIComponent(password), database: name ?? '' };
  const commits = fsync === 'on' ? (['on', 'off'] as const) : (['off'] as const);
  return Object.entries({ TCP: hostname, socket: directory?.trim() }).flatMap(([by, host]) =>
    host
      ? commits.map((commit) => ({
          title: `${by}, commits ${commit === 'on' ? 'wait' : "don't wait"}`,
          place: { host, ...common },
          commit,
        }))
      : [],
  );
}

function row(...cells: string[]): string {
  return `| ${cells.join(' | ')} |`;
}

async function main(): Promise<void> {
  const url = process.env.DATABASE_URL;
  if (!url) throw new Error('DATABASE_URL is not set');
  const tests = Number(flags.tests);
  const columns: { title: string; seen: Map<string, number> }[] = [];
  const all = await ways(url);
  for (const { title, place, commit } of all) columns.push({ title, seen: await measure(place, commit, tests) });

  const ratio = (seen: Map<string, number>, a: string, b: string): string =>
    ((seen.get(a) ?? NaN) / (seen.get(b) ?? NaN)).toFixed(2);
  const names = [...(columns[0]?.seen.keys() ?? [])];
  console.log(row(`µs per test (× ${BASE})`, ...columns.map((c) => c.title)));
  console.log(row('---', ...columns.map(() => '---')));
  for (const name of names) {
    console.log(
      row(name, ...columns.map(({ seen }) => `${seen.get(name)?.toFixed(0)} (× ${ratio(seen, name, BASE)})`)),
    );
  }
  console.log(`\n${row('ratio', ...columns.map((c) => c.title))}`);
  console.log(row('---', ...columns.map(() => '---')));
  for (const [a, b] of [
    [SANDBOX, BASE],
    [SANDBOX, '`knex.transaction()` + rollback'],
    [`${SANDBOX}, in a process of its own`, `${PLAIN}, in a process of its own`],
    [`${SANDBOX}, in a process of its own`, `${PEER}, in a process of its own`],
    ['one read, guarded', 'one read, unguarded'],
    ['one write, guarded', 'one write, unguarded'],
  ] as const) {
    if (!names.includes(b)) continue;
    console.log(row(`${a} / ${b}`, ...columns.map(({ seen }) => ratio(seen, a, b))));
  }

  const heap = Number(flags.heap);
  const last = all.at(-1);
  if (heap === 0 || !last) return;
  setFlagsFromString('--expose-gc');
  const points = [heap / 10, heap / 2, heap];
  const bytes = await heapAfter(last.place, points, runInNewContext('gc') as () => void);
  console.log(`\n${row('tests run', ...points.map(String))}`);
  console.log(row('---', ...points.map(() => '---')));
  console.log(row('heap in use, MB', ...bytes.map((b) => (b / 2 ** 20).toFixed(1))));
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
