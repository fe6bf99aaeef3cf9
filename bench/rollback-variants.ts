// Ways to have each test start on the same data, for bench/rollback.ts. Each test: 1 insert and 1 select.
import knexFactory, { type Knex } from 'knex';
import { Client } from 'pg';
import { createSandbox, watchKnex, type Sandbox } from '../lib/sandbox';
import { scopeContext, type Scope } from '../lib/scope';

export interface Variant {
  /** One test. */
  readonly run: () => Promise<unknown>;
  /** What has to be done before and after it, and is not its cost. */
  readonly before?: () => void;
  readonly after?: () => void;
  /** Run it in one round out of this many, because it takes so long. */
  readonly every?: number;
}

/** Where the server is; `host` may be the directory of its socket. */
export interface Place {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

export interface Bench {
  readonly variants: ReadonlyMap<string, Variant>;
  close(): Promise<void>;
}

/** What is called of pg-transactional-tests 1.2.2, which needs not be there. */
interface Peer {
  readonly testTransaction: { start(): void; rollback(): Promise<void>; unpatch(): void };
}

const root: Scope = {
  kind: 'root',
  title: '',
  file: undefined,
  mode: 'rollback',
  parent: undefined,
  ended: false,
  timedOut: false,
};

let serial = process.pid * 1_000_000;
const value = (): string => `x${serial++}`;
const read = async (knex: Knex | Knex.Transaction, table: string): Promise<unknown> =>
  knex(table).where({ v: 's5' }).first();
const two = async (knex: Knex | Knex.Transaction, table: string): Promise<void> => {
  await knex(table).insert({ v: value() });
  await read(knex, table);
};

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
  const setting = `set synchronous_commit = ${commit}`;
  const connect = (): Knex => {
    const afterCreate = (c: Client, done: (error: Error | null, c: Client) => void): void =>
      void c.query(setting, (e) => done(e, c));
    const knex = knexFactory({ client: 'pg', connection: { ...place }, pool: { min: 0, max: 5, afterCreate } });
    closing.push(() => knex.destroy());
    return knex;
  };

  // an instance is managed if it is in here by its first query
  const managed = new Map<unknown, Sandbox>();
  const unwatch = watchKnex({
    onPool: (pool) => {
      const sandbox = managed.get(pool.knexClient);
      return sandbox && (() => ({ to: 'sandbox', sandbox }));
    },
    onIgnored: () => {},
  });
  const boxed = (): { knex: Knex; sandbox: Sandbox } => {
    const knex = connect();
    const sandbox = createSandbox();
    closing.push(() => sandbox.release());
    managed.set(knex.client, sandbox);
    sandbox.enter(root);
    return { knex, sandbox };
  };
  const inTest = async (sandbox: Sandbox, parent: Scope, body: () => Promise<unknown>): Promise<void> => {
    const test: Scope = { ...root, kind: 'test', title: 'test', parent };
    sandbox.enter(test);
    await scopeContext.run(test, body);
    test.ended = true;
    sandbox.leave(test);
  };

  {
    const [knex, t] = [connect(), await table()];
    variants.set('Knex, no isolation', { run: () => two(knex, t) });
  }
  {
    const [{ knex, sandbox }, t] = [boxed(), await table()];
    variants.set('mocha-rewind', { run: () => inTest(sandbox, root, () => two(knex, t)) });
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
  if (peer) {
    const { testTransaction, patch, unpatch } = peer;
    closing.push(() => testTransaction.unpatch()); // and forget its clients
    const [knex, t] = [connect(), await table()];
    variants.set('pg-transactional-tests 1.2.2', {
      before: patch,
      run: async () => {
        testTransaction.start();
        await two(knex, t);
        await testTransaction.rollback();
      },
      after: unpatch,
    });
  }
  for (const isolated of [true, false]) {
    const t = await table();
    const client = new Client(place);
    await client.connect();
    await client.query(setting);
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

/** It patches pg for everybody from its first `start` on, so it is let in for its own tests only. */
function loadPeer(): (Peer & { patch(): void; unpatch(): void }) | undefined {
  const own = Object.getOwnPropertyDescriptors(Client.prototype);
  const unpatch = (): void => void Object.defineProperties(Client.prototype, own);
  try {
    // eslint-disable-next-line @typescript-eslint/no-require-imports -- optional
    const { testTransaction } = require('pg-transactional-tests') as Peer;
    testTransaction.start(); // as in a `before` hook: what follows is nested in it
    const patched = Object.getOwnPropertyDescriptors(Client.prototype);
    unpatch();
    return { testTransaction, patch: () => void Object.defineProperties(Client.prototype, patched), unpatch };
  } catch {
    return undefined;
  }
}

const peer = loadPeer();

/** Runs `tests` tests in a sandbox; resolves to the bytes of heap in use after some of them, garbage collected. */
export async function heapAfter(place: Place, tests: readonly number[], collect: () => void): Promise<number[]> {
  const { variants, close } = await openBench(place, 'off');
  const run = variants.get('mocha-rewind')?.run;
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
