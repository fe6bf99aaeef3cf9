// What a rolled-back test costs: 1 insert and 1 select per test, every variant in one process, interleaved test by test in
// random order, because only ratios of one run mean anything.
//
//   DATABASE_URL=… npx ts-node bench/rollback.ts [tests] [off]      off: synchronous_commit = off for all of them
import knexFactory, { type Knex } from 'knex';
import { Client } from 'pg';
import { createSandbox, watchKnex, type Sandbox } from '../lib/sandbox';
import { scopeContext, type Scope } from '../lib/scope';

const TESTS = Number(process.argv[2] ?? 2000);
const OFF = process.argv[3] === 'off';
const url = process.env.DATABASE_URL;
if (!url) throw new Error('DATABASE_URL is not set');

const root: Scope = {
  kind: 'root',
  title: '',
  file: undefined,
  mode: 'rollback',
  parent: undefined,
  ended: false,
  timedOut: false,
};
const micros = (): number => Number(process.hrtime.bigint()) / 1e3;
const quantile = (values: number[], q: number): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length * q)] ?? NaN;

let serial = process.pid * 1_000_000;
const value = (): string => `x${serial++}`;
const two = async (knex: Knex | Knex.Transaction, table: string): Promise<void> => {
  await knex(table).insert({ v: value() });
  await knex(table).where({ v: 's5' }).first();
};

async function main(): Promise<void> {
  const admin = new Client({ connectionString: url });
  await admin.connect();
  const made: string[] = [];
  const table = async (): Promise<string> => {
    const name = `bench_rollback_${process.pid}_${made.length}`;
    made.push(name);
    await admin.query(`create table ${name}(id serial primary key, v text unique, at timestamptz default now());
      insert into ${name}(v) select 's' || g from generate_series(1, 100) g; analyze ${name}`);
    return name;
  };
  const commit = `set synchronous_commit = ${OFF ? 'off' : 'on'}`;
  const instances: Knex[] = [];
  const connect = (): Knex => {
    const afterCreate = (c: Client, done: (error: Error | null, c: Client) => void): void =>
      void c.query(commit, (e) => done(e, c));
    const knex = knexFactory({ client: 'pg', connection: url!, pool: { min: 0, max: 5, afterCreate } });
    instances.push(knex);
    return knex;
  };
  const raw = async (): Promise<Client> => {
    const client = new Client({ connectionString: url });
    await client.connect();
    await client.query(commit);
    return client;
  };

  // instances of before the watch are not managed as long as the gate says so
  const managed = new Map<unknown, Sandbox>();
  watchKnex({
    onPool: (pool) => {
      const sandbox = managed.get(pool.knexClient);
      return sandbox && (() => ({ to: 'sandbox', sandbox }));
    },
    onIgnored: () => {},
  });
  const boxed = (): { knex: Knex; sandbox: Sandbox } => {
    const knex = connect();
    const sandbox = createSandbox();
    managed.set(knex.client, sandbox);
    sandbox.enter(root);
    return { knex, sandbox };
  };
  const inTest = async (sandbox: Sandbox, parent: Scope, body: () => Promise<void>): Promise<void> => {
    const test: Scope = { ...root, kind: 'test', title: 'test', parent };
    sandbox.enter(test);
    await scopeContext.run(test, body);
    test.ended = true;
    sandbox.leave(test);
  };

  const variants: Record<string, () => Promise<unknown>> = {};
  {
    const [knex, t] = [connect(), await table()];
    variants['knex, no isolation'] = () => two(knex, t);
    variants['  one insert'] = async () => knex(t).insert({ v: value() });
  }
  {
    const [knex, t] = [connect(), await table()];
    variants['knex.transaction + rollback'] = async () => {
      const trx = await knex.transaction();
      await two(trx, t);
      await trx.rollback();
    };
  }
  {
    const [client, t] = [await raw(), await table()];
    variants['pg, BEGIN … ROLLBACK'] = async () => {
      await client.query('BEGIN');
      await client.query(`insert into ${t}(v) values($1)`, [value()]);
      await client.query(`select * from ${t} where v = $1 limit $2`, ['s5', 1]);
      await client.query('ROLLBACK');
    };
  }
  {
    const [client, t] = [await raw(), await table()];
    variants['pg, no isolation'] = async () => {
      await client.query(`insert into ${t}(v) values($1)`, [value()]);
      await client.query(`select * from ${t} where v = $1 limit $2`, ['s5', 1]);
    };
  }
  {
    const [{ knex, sandbox }, t] = [boxed(), await table()];
    variants['rewind, rollback'] = () => inTest(sandbox, root, () => two(knex, t));
    variants['rewind, test without queries'] = () => inTest(sandbox, root, async () => {});
  }
  {
    const [{ knex, sandbox }, t] = [boxed(), await table()];
    const suite: Scope = { ...root, kind: 'suite', title: 'suite', parent: root };
    sandbox.enter(suite);
    await knex(t).insert({ v: value() });
    variants['rewind, in a suite with data'] = () => inTest(sandbox, suite, () => two(knex, t));
  }
  {
    const [{ knex, sandbox }, t] = [boxed(), await table()];
    variants['rewind, the app uses knex.transaction'] = () =>
      inTest(sandbox, root, () => knex.transaction((trx) => two(trx, t)));
  }
  {
    const [knex, t] = [connect(), await table()];
    variants['no isolation, the app uses knex.transaction'] = () => knex.transaction((trx) => two(trx, t));
  }
  {
    // one transaction that is never rolled back, without and with guards: a pool of one connection that has said BEGIN
    const unguarded = async (): Promise<Knex> => {
      const knex = knexFactory({ client: 'pg', connection: url!, pool: { min: 1, max: 1 } });
      instances.push(knex);
      await knex.raw('BEGIN');
      return knex;
    };
    for (const [name, run] of [
      ['read', (knex: Knex, t: string) => knex(t).where({ v: 's5' }).first()],
      ['write', (knex: Knex, t: string) => knex(t).insert({ v: value() })],
    ] as const) {
      const [plain, t] = [await unguarded(), await table()];
      variants[`  unguarded ${name}`] = async () => run(plain, t);
      const [{ knex }, u] = [boxed(), await table()];
      variants[`  guarded ${name}`] = async () => run(knex, u);
    }
  }
  {
    const [knex, t] = [connect(), await table()];
    variants['truncate after each test (1 table)'] = async () => {
      await two(knex, t);
      await knex.raw(`truncate ${t} restart identity cascade`);
    };
  }

  const times = new Map(Object.keys(variants).map((name) => [name, [] as number[]]));
  const names = [...times.keys()];
  for (let i = -150; i < TESTS; i++) {
    for (const name of [...names].sort(() => Math.random() - 0.5)) {
      if (name.startsWith('truncate') && i % 20 !== 0) continue;
      const start = micros();
      await variants[name]?.();
      if (i >= 0) times.get(name)?.push(micros() - start);
    }
  }

  const base = quantile(times.get('knex, no isolation') ?? [], 0.5);
  console.log(`${TESTS} tests, synchronous_commit ${OFF ? 'off' : 'on'}, ${new URL(url!).hostname || 'unix socket'}\n`);
  for (const name of names) {
    const list = times.get(name) ?? [];
    const median = quantile(list, 0.5);
    console.log(
      `${name.padEnd(46)} p25 ${quantile(list, 0.25).toFixed(0).padStart(6)}  median ${median.toFixed(0).padStart(6)} µs  × ${(median / base).toFixed(2)}`,
    );
  }
  const ratio = (a: string, b: string): string =>
    (quantile(times.get(a) ?? [], 0.5) / quantile(times.get(b) ?? [], 0.5)).toFixed(2);
  console.log(`\nrewind / knex.transaction + rollback   ${ratio('rewind, rollback', 'knex.transaction + rollback')}`);
  console.log(`guarded / unguarded read               ${ratio('  guarded read', '  unguarded read')}`);
  console.log(`guarded / unguarded write              ${ratio('  guarded write', '  unguarded write')}`);
  for (const knex of instances)
    await Promise.race([knex.destroy(), new Promise((resolve) => setTimeout(resolve, 300))]);
  await admin.query(`drop table ${made.join(', ')}`).catch(() => {});
  process.exit(0);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
