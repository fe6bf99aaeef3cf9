// What a restore costs, against what people do instead, in one run on one server. Prints a Markdown table: medians in
// milliseconds, and as multiples of a bare round trip of the same run.
//
//   DATABASE_URL=… npx ts-node -T bench/restore.ts [--tables 10,100,500] [--rows 0,100,10000] [--repeat 11] [--big 1000000]
import { parseArgs } from 'node:util';
import { Client } from 'pg';
import { type Snapshot, openSnapshot } from '../lib/snapshot';
import type { Query } from '../lib/sql';

const { values: args } = parseArgs({
  options: {
    tables: { type: 'string', default: '10,100,500' },
    rows: { type: 'string', default: '100' },
    repeat: { type: 'string', default: '11' },
    big: { type: 'string', default: '0' },
  },
});
const list = (text: string): number[] => text.split(',').map(Number);
const REPEAT = Number(args.repeat);
const DATABASE = 'rewind_test_bench';

interface Row {
  readonly tables: number;
  readonly rows: number;
  readonly what: string;
  readonly ms: number;
  readonly trips: number;
}

async function main(): Promise<void> {
  const results: Row[] = [];
  for (const tables of list(args.tables)) {
    for (const rows of list(args.rows)) results.push(...(await measure(tables, rows)));
  }
  if (Number(args.big) > 0) results.push(...(await measureBig(Number(args.big))));
  console.log('| tables | rows in each | what | ms | bare round trips |\n|---|---|---|---|---|');
  for (const r of results)
    console.log(`| ${r.tables} | ${r.rows} | ${r.what} | ${format(r.ms)} | ${format(r.trips)} |`);
}

async function measure(tables: number, rows: number): Promise<Row[]> {
  const place = await prepare();
  const { app, admin } = place;
  for (let i = 0; i < tables; i++) {
    await app.query(`create table ${name(i)} (id bigserial primary key, parent_id bigint references ${name(i >> 1)} (id),
      name text not null, val int not null default 0, data jsonb, created_at timestamptz not null default now());
      create index on ${name(i)} (parent_id); create index on ${name(i)} (name)`);
    await app.query(seed(i, rows));
  }
  for (let i = 0; i < tables; i++) await app.query(`select setval('${name(i)}_id_seq', ${Math.max(rows, 1)})`);
  await app.query('vacuum analyze');
  await admin.query(`drop database if exists ${DATABASE}_template with (force)`);
  await app.end();
  await admin.query(`create database ${DATABASE}_template template ${DATABASE}`);
  const timer = new Timer(tables, rows);

  const { snapshot, own, client } = await open(place);
  await timer.once('first take of the baseline', () => snapshot.take());
  await snapshot.close();
  const again = await open(place);
  await timer.once('take of a kept, unchanged baseline', () => again.snapshot.take());
  await admin.query('vacuum analyze').catch(() => {});
  for (let i = 0; i < REPEAT + 3; i++) {
    timer.warmUp = i < 3;
    await timer.bareTrips(again.own);
    await timer.time('leak check (touched)', () => again.snapshot.touched());
    for (const touched of [0, 1, 5, tables].filter((n, at, all) => n <= tables && all.indexOf(n) === at)) {
      for (const changed of touched === 1
        ? [1, 100, 10_000].filter((n) => n <= Math.max(rows, 1))
        : [Math.min(touched, 1)]) {
        for (let t = 0; t < touched; t++) await again.client.query(change(tables - 1 - t, changed));
        await timer.time(
          `restore, ${touched === tables ? 'all' : touched} touched, ${changed} rows changed in each`,
          () => again.snapshot.restore(),
        );
      }
    }
  }
  timer.warmUp = false;
  if ((await again.snapshot.verify()).length > 0) throw new Error('the restore was wrong');
  await again.snapshot.remove();
  await again.snapshot.close();
  void [own, client];

  const other = await connect(place.url);
  const all = Array.from({ length: tables }, (_, i) => i);
  for (let i = 0; i < (tables >= 500 ? 2 : 4); i++) {
    await timer.time('instead: TRUNCATE all and seed again', async () => {
      await other.query(`truncate ${all.map(name).join()} restart identity cascade`);
      await other.query(`begin; ${all.map((t) => seed(t, rows)).join(';')}; commit`);
    });
    await timer.time('instead: DELETE all, children first, and seed again', async () => {
      const deletes = all.map((t) => `delete from ${name(t)}`).reverse();
      await other.query(`begin; ${[...deletes, ...all.map((t) => seed(t, rows))].join(';')}; commit`);
    });
    await timer.time('instead: CREATE DATABASE … TEMPLATE, reconnect, DROP', async () => {
      await admin.query(`create database ${DATABASE}_clone template ${DATABASE}_template`);
      const pool = await Promise.all(
        [1, 2, 3, 4, 5].map(() => connect(place.url.replace(DATABASE, `${DATABASE}_clone`))),
      );
      await Promise.all(pool.map((c) => c.end()));
      await admin.query(`drop database ${DATABASE}_clone with (force)`);
    });
  }
  await other.end();
  await place.drop();
  return timer.rows();
}

/** One large table, journalled. */
async function measureBig(rows: number): Promise<Row[]> {
  const place = await prepare();
  await place.app
    .query(`create table t_0 (id bigserial primary key, name text not null, val int not null default 0, data jsonb);
    insert into t_0 (name, val, data) select 'name ' || g, g, jsonb_build_object('k', g, 's', repeat('x', 20)) from generate_series(1, ${rows}) g`);
  await place.app.query('vacuum analyze');
  const timer = new Timer(1, rows);
  const { snapshot, own, client } = await open(place);
  await timer.once('first take of the baseline', () => snapshot.take());
  for (let i = 0; i < REPEAT + 3; i++) {
    timer.warmUp = i < 3;
    await timer.bareTrips(own);
    for (const changed of [1, 100, 10_000]) {
      await client.query(`update t_0 set val = val + 1 where id between 501 and ${500 + changed}`);
      await timer.time(`restore, ${changed} rows changed`, () => snapshot.restore());
    }
  }
  timer.warmUp = false;
  await timer.once('verify', async () => {
    if ((await snapshot.verify()).length > 0) throw new Error('the restore was wrong');
  });
  await snapshot.close();
  await client.end();
  await place.app.end();
  await place.drop();
  return timer.rows();
}

class Timer {
  warmUp = false;
  readonly #samples = new Map<string, number[]>();
  constructor(
    private readonly tables: number,
    private readonly each: number,
  ) {}

  async time(what: string, step: () => Promise<unknown>): Promise<void> {
    const started = performance.now();
    await step();
    const ms = performance.now() - started;
    if (!this.warmUp) this.#samples.set(what, [...(this.#samples.get(what) ?? []), ms]);
  }

  async bareTrips(query: Query): Promise<void> {
    for (let i = 0; i < 5; i++) await this.time('bare round trip', () => query('select 1'));
  }

  once(what: string, step: () => Promise<unknown>): Promise<void> {
    return this.time(what, step);
  }

  rows(): Row[] {
    const bare = median(this.#samples.get('bare round trip') ?? []);
    return [...this.#samples].map(([what, samples]) => {
      const ms = median(samples);
      return { tables: this.tables, rows: this.each, what, ms, trips: ms / bare };
    });
  }
}

async function prepare(): Promise<{ app: Client; admin: Client; url: string; drop(): Promise<void> }> {
  const url = new URL(process.env.DATABASE_URL ?? 'postgresql://localhost/postgres');
  const admin = await connect(url.href);
  await admin.query(`drop database if exists ${DATABASE} with (force)`);
  await admin.query(`create database ${DATABASE}`);
  url.pathname = `/${DATABASE}`;
  return {
    url: url.href,
    admin,
    app: await connect(url.href),
    async drop() {
      for (const suffix of ['', '_template'])
        await admin.query(`drop database if exists ${DATABASE}${suffix} with (force)`);
      await admin.end();
    },
  };
}

async function open({ url }: { url: string }): Promise<{ snapshot: Snapshot; own: Query; client: Client }> {
  const ours = await connect(url);
  const own = ((sql: string, values?: unknown[]) => ours.query(sql, values)) as unknown as Query;
  const snapshot = await openSnapshot({
    connect: async () => ({ query: own, pid: 0, end: () => ours.end() }),
    note: () => {},
  });
  return { snapshot, own, client: await connect(url) };
}

async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  return client;
}

const name = (i: number): string => `t_${i}`;

function seed(i: number, rows: number): string {
  return `insert into ${name(i)} (id, parent_id, name, val, data, created_at)
    select g, ${i === 0 ? 'null' : `1 + g % ${rows}`}, 'name ' || g, g, jsonb_build_object('k', g, 's', repeat('x', 20)), '2024-01-01'::timestamptz + g * interval '1 min'
    from generate_series(1, ${rows}) g`;
}

/** So many rows inserted, updated and deleted, a third each (one row: inserted). */
function change(i: number, rows: number): string {
  const third = Math.floor(rows / 3);
  return `insert into ${name(i)} (name, val) select 'new', g from generate_series(1, ${rows - 2 * third}) g;
    update ${name(i)} set val = val + 1 where id between 1 and ${third};
    begin; set local session_replication_role = replica; delete from ${name(i)} where id > ${third} and id <= ${2 * third}; commit`;
}

function median(samples: readonly number[]): number {
  return [...samples].sort((a, b) => a - b)[samples.length >> 1] ?? NaN;
}

function format(n: number): string {
  return n >= 100 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(2);
}

void main();
