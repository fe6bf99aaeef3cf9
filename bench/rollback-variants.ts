// Ways to have each test start on the same data, for bench/rollback.ts. Each test: 1 insert and 1 select.
import knexFactory, { type Knex } from 'knex';
import { Client } from 'pg';
import type { Sandbox } from '../lib/sandbox';
import type { Scope } from '../lib/scope';
import { Child, hasPeer, PEER, PLAIN, SANDBOX, type Way } from './rollback-child';
import { connectTo, inTest, managing, read, root, two, value, type Place } from './rollback-parts';

export interface Variant {
  /** One test. Resolves to its microseconds where somebody else has taken them. */
  readonly run: () => Promise<unknown>;
  /** Run it in one round out of this many, because it takes so long. */
  readonly every?: number;
}

export interface Bench {
  readonly variants: ReadonlyMap<string, Variant>;
  close(): Promise<void>;
}

export async function openBench(place: Place, commit: 'on' | 'off'): Promise<Bench> {
  const variants = new Map<string, Variant>();
  const closing: (() => unknown)[] = [];
  const admin = new Client(place);
  await admin.connect();
  const tables: string[] = [];
  const table = async (): Promise<string> => {
    const name = `bench_rollback_${process.pid}_${tables.length}`;
    await admin.query(`create table ${name}(id serial primary key, v text unique, at timestamptz default now());
      insert into ${name}(v) select 's' || g from generate_series(1, 100) g; analyze ${name}`);
    tables.push(name);
    return name;
  };
  const connect = (): Knex => {
    const knex = connectTo(place, commit);
    closing.push(() => knex.destroy());
    return knex;
  };
  const { manage, unwatch } = managing();
  const boxed = (): { knex: Knex; sandbox: Sandbox } => {
    const knex = connect();
    const sandbox = manage(knex);
    closing.push(() => sandbox.release());
    return { knex, sandbox };
  };

  {
    const [knex, t] = [connect(), await table()];
    variants.set(PLAIN, { run: () => two(knex, t) });
  }
  {
    const [{ knex, sandbox }, t] = [boxed(), await table()];
    variants.set(SANDBOX, { run: () => inTest(sandbox, root, () => two(knex, t)) });
    variants.set('mocha-rewind, test without queries', { run: () => inTest(sandbox, root, async () => {}) });
  }
  {
    const [{ knex, sandbox }, t] = [boxed(), await table()];
    const suite: Scope = { ...root, kind: 'suite', title: 'suite', parent: root };
    sandbox.enter(suite);
    await knex(t).insert({ v: value() });
    variants.set('mocha-rewind, in a suite with data', { run: () => inTest(sandbox, suite, () => two(knex, t)) });
  }
  {
    const [knex, t] = [connect(), await table()];
    variants.set('`knex.transaction()` + rollback', {
      run: async () => {
        const trx = await knex.transaction();
        await two(trx, t);
        await trx.rollback();
      },
    });
  }
  const ways: readonly Way[] = hasPeer() ? [PLAIN, SANDBOX, PEER] : [PLAIN, SANDBOX];
  for (const name of ways) {
    const child = await Child.start(place, commit, name, await table());
    closing.push(() => child.stop());
    variants.set(`${name}, in a process of its own`, { run: () => child.test() });
  }
  for (const isolated of [true, false]) {
    const t = await table();
    const client = new Client(place);
    await client.connect();
    await client.query(`set synchronous_commit = ${commit}`);
    closing.push(() => client.end());
    const both = async (): Promise<void> => {
      await client.query(`insert into ${t}(v) values($1)`, [value()]);
      await client.query(`select * from ${t} where v = $1 limit $2`, ['s5', 1]);
    };
    const around = async (): Promise<void> => {
      await client.query('BEGIN');
      await both();
      await client.query('ROLLBACK');
    };
    variants.set(isolated ? 'pg alone, `BEGIN` … `ROLLBACK`' : 'pg alone, no isolation', {
      run: isolated ? around : both,
    });
  }
  {
    const [knex, t] = [connect(), await table()];
    variants.set('`TRUNCATE` of 1 table', {
      every: 20,
      run: async () => {
        await two(knex, t);
        await knex.raw(`truncate ${t} restart identity cascade`);
      },
    });
  }
  {
    const [knex, t] = [connect(), await table()];
    variants.set('the app uses a transaction, no isolation', { run: () => knex.transaction((trx) => two(trx, t)) });
    const [{ knex: other, sandbox }, u] = [boxed(), await table()];
    variants.set('the app uses a transaction, mocha-rewind', {
      run: () => inTest(sandbox, root, () => other.transaction((trx) => two(trx, u))),
    });
  }
  // One transaction that is never rolled back, without guards and with them. Without: a pool of one connection on which
  // BEGIN was said.
  for (const [name, run] of [
    ['read', read],
    ['write', async (knex: Knex, t: string) => knex(t).insert({ v: value() })],
  ] as const) {
    const [plain, t] = [
      knexFactory({ client: 'pg', connection: { ...place }, pool: { min: 1, max: 1 } }),
      await table(),
    ];
    closing.push(() => plain.destroy());
    await plain.raw('BEGIN');
    variants.set(`one ${name}, unguarded`, { run: () => run(plain, t) });
    const [{ knex }, u] = [boxed(), await table()];
    variants.set(`one ${name}, guarded`, { run: () => run(knex, u) });
  }

  return {
    variants,
    close: async () => {
      for (const step of closing.reverse()) await step();
      unwatch();
      await admin.query(`drop table ${tables.join(', ')}`);
      await admin.end();
    },
  };
}

/** Runs `tests` tests in a sandbox; resolves to the bytes of heap in use after some of them, garbage collected. */
export async function heapAfter(place: Place, tests: readonly number[], collect: () => void): Promise<number[]> {
  const { variants, close } = await openBench(place, 'off');
  const run = variants.get(SANDBOX)?.run;
  const seen: number[] = [];
  for (let i = 1; i <= Math.max(...tests); i++) {
    await run?.();
    if (!tests.includes(i)) continue;
    collect();
    seen.push(process.memoryUsage().heapUsed);
  }
  await close();
  return seen;
}
