import assert from 'node:assert/strict';
import postgres, { type Options, type Sql } from 'postgres';
import { wireDatabase } from '../support/wire-database';
import type { Way } from '../support/wire-world';

/** What a query comes to. */
const outcome = async (asked: PromiseLike<unknown>): Promise<unknown> => {
  try {
    return JSON.parse(JSON.stringify(await asked));
  } catch (error) {
    const { message, code, severity, position } = error as Error & Record<string, unknown>;
    return { message, code, severity, position };
  }
};

async function program(sql: Sql, transactions: boolean): Promise<unknown[]> {
  const seen: unknown[] = [];
  seen.push(await Promise.all([1, 2, 3, 4, 5, 6].map((i) => outcome(sql`select ${i}::int as i`))));
  const mixed = [
    sql`insert into t (u, j) values (1, ${sql.json({ a: 1 })}) returning j`,
    sql`insert into t (u) values (1)`,
    sql`select 1/0`,
    sql`select nope`,
    sql`select ${'x'}::int`,
    sql`select ${2}::int as two`,
  ];
  for (const query of mixed) seen.push(await outcome(query));
  const read: unknown[] = [];
  // eslint-disable-next-line @typescript-eslint/no-misused-promises -- it waits for that, though its types don't say so
  await sql`select g from generate_series(1, 10) g`.cursor(3, async (rows) => {
    read.push(rows.map((row) => row.g as number));
    await sql`insert into t (u) values (${100 + read.length})`;
  });
  for await (const [row] of sql`select g from generate_series(1, 5) g`.cursor()) read.push(row?.g);
  seen.push(read, await outcome(sql.unsafe('select 1 as a; select 2 as b')));
  const { types, columns } = await sql`select ${1}::int as x`.describe();
  seen.push(types, columns.length);
  const writable = await sql`copy t (u) from stdin`.writable();
  writable.write('200\n');
  writable.end();
  await new Promise<void>((resolve) => writable.on('finish', () => resolve()));
  while ((await sql`select from t where u = 200`).count === 0); // it tells no end of the COPY
  const chunks: Buffer[] = [];
  for await (const chunk of await sql`copy (select u from t order by u) to stdout`.readable()) chunks.push(chunk);
  seen.push(Buffer.concat(chunks).toString());
  if (!transactions) return seen;
  const within = (fail: boolean): PromiseLike<unknown> =>
    sql.begin(async (tx) => {
      await tx`insert into t (u) values (10)`;
      await tx.savepoint((inner) => inner`insert into t (u) values (10)`).catch(() => {});
      if (fail) throw new Error('no');
      return tx`select u from t where u = 10`;
    });
  return [...seen, await outcome(within(true)), await outcome(within(false)), await outcome(within(false))];
}

describe('postgres.js, by its option `socket`', () => {
  const database = wireDatabase('create table t (id serial, u int unique, j jsonb)');

  for (const way of ['own', 'shared'] as const) {
    it(`sees what it sees on a direct connection: ${way}`, async () => {
      const run = async (on: Way): Promise<unknown> => {
        await database.witness.query('truncate t restart identity');
        const world = database.world(on);
        const { host, port, user, database: name } = world.settings;
        const path = (host as string).startsWith('/') && on === 'direct' ? { path: `${host}/.s.PGSQL.${port}` } : {};
        const socket = on === 'direct' ? {} : { socket: () => world.stream() };
        const password = String(world.settings.password ?? '');
        const options = { host, port, user, database: name, password, max: 2, onnotice() {}, ...path, ...socket };
        const sql = postgres(options as Options<Record<string, never>>) as unknown as Sql;
        try {
          return await program(sql, way === 'own');
        } finally {
          await sql.end({ timeout: 1 });
          await world.close();
        }
      };
      assert.deepEqual(await run(way), await run('direct'));
    });
  }
});
