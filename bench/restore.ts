// What a restore costs, against what people do instead, in one run on one server. Prints the restore tables of
// docs/benchmarks.md: medians in milliseconds, in bare round trips of the same run, and what the others take.
//
//   DATABASE_URL=… npx ts-node -T bench/restore.ts [--tables 10,100,500] [--rows 0,100,10000] [--big 1000000]
//     [--repeat 21] [--seconds 1.5] [--most 1000000]
//
// About 3 minutes. A cell is measured so many times, or for so many seconds; what is slower than that, up to three times. Grids with more
// rows in all than "most" are left out: seeding 500 tables with 10 000 rows each takes minutes per alternative.
import { parseArgs } from 'node:util';
import knex from 'knex';
import { Client } from 'pg';
import { type Snapshot, openSnapshot } from '../lib/snapshot';
import type { Query } from '../lib/sql';

const { values: args } = parseArgs({
  options: {
    tables: { type: 'string', default: '10,100,500' },
    rows: { type: 'string', default: '0,100,10000' },
    big: { type: 'string', default: '1000000' },
    repeat: { type: 'string', default: '21' },
    seconds: { type: 'string', default: '1.5' },
    most: { type: 'string', default: '1000000' },
  },
});
const list = (text: string): number[] => text.split(',').filter(Boolean).map(Number);
const REPEAT = Number(args.repeat);
/** The first ones make plans and fill caches; where each takes long, that does not matter. */
const WARM_UP = 7;
const DATABASE = 'rewind_test_bench';
/** Above so many rows in all, sending them from a client takes minutes. */
const MOST_THROUGH_KNEX = 100_000;

/** `tables` tables of `rows` rows. */
interface Grid {
  readonly tables: number;
  readonly rows: number;
}

async function main(): Promise<void> {
  const grids = list(args.tables).flatMap((tables) => list(args.rows).map((rows) => ({ tables, rows })));
  if (Number(args.big) > 0) grids.push({ tables: 1, rows: Number(args.big) });
  console.log('| tables | rows in each | touched | rows changed in each | restore, ms | bare round trips |');
  console.log('|--:|--:|--:|--:|--:|--:|');
  const others: string[] = [];
  for (const grid of grids) {
    if (grid.tables * grid.rows <= Number(args.most)) others.push(await measure(grid));
  }
  console.log(
    '\n| tables | rows in each | bare round trip | leak check | first baseline | baseline kept, unchanged | TRUNCATE all, seed through Knex | TRUNCATE all, seed | DELETE all, seed | CREATE DATABASE … TEMPLATE |',
  );
  console.log(`|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n${others.join('\n')}`);
}

/** Prints a row for each kind of change; returns the row of everything else. */
async function measure(grid: Grid): Promise<string> {
  const { tables, rows } = grid;
  const place = await prepare();
  const { app, admin } = place;
  for (let i = 0; i < tables; i++) {
    await app.query(`create table ${name(i)} (id bigserial primary key, parent_id bigint references ${name(i >> 1)} (id),
      name text not null, val int not null default 0, data jsonb, created_at timestamptz not null default now());
      create index on ${name(i)} (parent_id); create index on ${name(i)} (name)`);
    await app.query(seed(i, rows));
    await app.query(`select setval('${name(i)}_id_seq', ${Math.max(rows, 1)}, ${rows > 0})`);
  }
  await app.query('vacuum analyze');
  await app.end();
  await admin.query(`create database ${DATABASE}_template template ${DATABASE}`);

  const first = await open(place);
  const take = await timed(() => first.snapshot.take());
  await first.snapshot.close();
  await first.client.end();
  const { snapshot, own, client } = await open(place);
  const retake = await timed(() => snapshot.take());
  const bare: number[] = [];
  const cells: { touched: number; changed: number; ms: number }[] = [];
  // Few changes first: what many leave behind until a vacuum slows down what comes after.
  for (const changed of [0, 1, 100, 10_000]) {
    const among = changed === 0 ? [0] : [1, 5, tables].filter((n, at, all) => n <= tables && all.indexOf(n) === at);
    for (const touched of among.filter((n) => n * changed <= 50_000)) {
      const samples = await repeat(
        async () => {
          for (let t = 0; t < touched; t++) await client.query(change(tables - 1 - t, changed, rows));
          for (let i = 0; i < 5; i++) bare.push(await timed(() => own('select 1')));
        },
        () => snapshot.restore(),
      );
      cells.push({ touched, changed, ms: median(samples) });
    }
  }
  const check = median(
    await repeat(
      async () => {},
      () => snapshot.touched(),
    ),
  );
  if ((await snapshot.verify()).length > 0) throw new Error('the restore was wrong');
  await snapshot.remove();
  await snapshot.close();
  await client.end();

  const trip = median(bare);
  for (const { touched, changed, ms } of cells.sort((a, b) => a.touched - b.touched)) {
    const which = touched === tables && tables > 1 ? `all ${tables}` : touched;
    console.log(`| ${tables} | ${rows} | ${which} | ${changed} | ${format(ms)} | ${format(ms / trip)} |`);
  }
  const columns = [trip, check, take, retake, ...(await alternatives(place, grid))];
  await place.drop();
  return `| ${tables} | ${rows} | ${columns.map(format).join(' | ')} |`;
}

/**
 * What people do instead: each brings all tables back, whatever was touched. Seeds go in as seed files send them, rows in
 * batches from the client; and, as the quickest that a seed could be, as one message of which the server makes the rows.
 */
async function alternatives({ url, admin }: { url: string; admin: Client }, { tables, rows }: Grid): Promise<number[]> {
  const app = knex({ client: 'pg', connection: url, pool: { min: 0, max: 2 } });
  const seedFile =
    tables * rows > MOST_THROUGH_KNEX ? undefined : Array.from({ length: tables }, (_, i) => seedRows(i, rows));
  const throughKnex = seedFile
    ? await repeat(
        async () => {},
        async () => {
          await app.raw(`truncate ${seedFile.map((_, i) => name(i)).join()} restart identity cascade`);
          for (const [i, data] of seedFile.entries()) if (data.length > 0) await app.batchInsert(name(i), data, 1000);
        },
      )
    : [];
  await app.destroy();
  const other = await connect(url);
  const all = Array.from({ length: tables }, (_, i) => i);
  const reseed = all.map((t) => seed(t, rows)).join(';');
  const truncate = await repeat(
    async () => {},
    () => other.query(`begin; truncate ${all.map(name).join()} restart identity cascade; ${reseed}; commit`),
  );
  // Children first; of the rows of one table, those that others of it point to go in the same statement.
  const deletes = all.map((t) => `delete from ${name(t)}`).reverse();
  const remove = await repeat(
    async () => {},
    () => other.query(`begin; ${deletes.join(';')}; ${reseed}; commit`),
  );
  await other.end();
  const clone = await repeat(
    async () => void (await admin.query(`drop database if exists ${DATABASE}_clone with (force)`)),
    async () => {
      await admin.query(`create database ${DATABASE}_clone template ${DATABASE}_template`);
      const pool = await Promise.all([1, 2, 3, 4, 5].map(() => connect(url.replace(DATABASE, `${DATABASE}_clone`))));
      await Promise.all(pool.map((c) => c.end()));
    },
  );
  return [median(throughKnex), median(truncate), median(remove), median(clone)];
}

async function repeat(arrange: () => Promise<void>, step: () => Promise<unknown>): Promise<number[]> {
  const samples: number[] = [];
  const started = performance.now();
  const seconds = (): number => (performance.now() - started) / 1000;
  for (let i = 0; i < REPEAT + WARM_UP; i++) {
    if (seconds() > (samples.length < 3 ? 3 : 1) * Number(args.seconds)) break;
    await arrange();
    samples.push(await timed(step));
  }
  return samples.slice(Math.max(0, Math.min(WARM_UP, samples.length - 3)));
}

async function timed(step: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await step();
  return performance.now() - started;
}

async function prepare(): Promise<{ app: Client; admin: Client; url: string; drop(): Promise<void> }> {
  const url = new URL(process.env.DATABASE_URL ?? 'postgresql://localhost/postgres');
  const admin = await connect(url.href);
  for (const suffix of ['', '_template', '_clone'])
    await admin.query(`drop database if exists ${DATABASE}${suffix} with (force)`);
  await admin.query(`create database ${DATABASE}`);
  url.pathname = `/${DATABASE}`;
  return {
    url: url.href,
    admin,
    app: await connect(url.href),
    async drop() {
      for (const suffix of ['', '_template', '_clone'])
        await admin.query(`drop database if exists ${DATABASE}${suffix} with (force)`);
      await admin.end();
    },
  };
}

async function open({ url }: { url: string }): Promise<{ snapshot: Snapshot; own: Query; client: Client }> {
  const ours = await connect(url);
  const own = ((sql: string, values?: unknown[]) => ours.query(sql, values)) as unknown as Query;
  const snapshot = await openSnapshot({
    connect: async () => ({ query: own, pid: 0, isPooled: false, end: () => ours.end() }),
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

/** The rows of {@link seed}. */
function seedRows(i: number, rows: number): object[] {
  return Array.from({ length: rows }, (_, at) => ({
    id: at + 1,
    parent_id: i === 0 ? null : 1 + ((at + 1) % rows),
    name: `name ${at + 1}`,
    val: at + 1,
    data: { k: at + 1, s: 'x'.repeat(20) },
    created_at: new Date(Date.UTC(2024, 0, 1) + (at + 1) * 60_000),
  }));
}

/** So many rows inserted, updated and deleted, a third each (one row, or no rows to change: inserted). */
function change(i: number, rows: number, seeded: number): string {
  const third = Math.floor(Math.min(rows, seeded) / 3);
  return `insert into ${name(i)} (name, val) select 'new', g from generate_series(1, ${rows - 2 * third}) g;
    update ${name(i)} set val = val + 1 where id between 1 and ${third};
    begin; set local session_replication_role = replica; delete from ${name(i)} where id > ${third} and id <= ${2 * third}; commit`;
}

function median(samples: readonly number[]): number {
  return [...samples].sort((a, b) => a - b)[samples.length >> 1] ?? NaN;
}

function format(n: number): string {
  if (Number.isNaN(n)) return '';
  return n >= 100 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(2);
}

void main();
