import pg, { Query } from 'pg';
import { err, sleep, vs, type Behaviour } from '../arena';

type Prototype = Record<'query', (this: unknown, ...args: unknown[]) => unknown>;

/** What pg itself does on a connection, and what watches it there. */
export const drivers: Behaviour[] = [
  {
    name: 'a stub of Client.prototype.query sees each query, and lets it pass',
    run: async ({ knex }) => {
      const prototype = pg.Client.prototype as unknown as Prototype;
      const real = prototype.query;
      await vs(knex); // a connection of ours may begin with statements of its own
      const seen: string[] = [];
      prototype.query = function (...args) {
        const [query] = args as [string | { text?: string }];
        const text = typeof query === 'string' ? query : query.text;
        seen.push(text ?? '');
        return real.apply(this, args);
      };
      try {
        await knex('pa').insert({ v: 'a' });
        await knex.transaction((trx) => trx('pa').insert({ v: 'b' }));
        await err(async () => knex('pa').insert({ v: 'b' }));
      } finally {
        prototype.query = real;
      }
      return [seen, await vs(knex)];
    },
  },
  {
    name: 'what a Knex pool counts and tells, and how often it asks for its settings',
    run: async ({ knex: given, makeKnex }) => {
      let asked = 0;
      let made = 0;
      const { connection } = given.client.config as { connection: unknown };
      const knex = makeKnex({
        connection: (async () => {
          asked++;
          return connection;
        }) as never,
        pool: {
          min: 0,
          max: 2,
          afterCreate: (_client: unknown, done: (error?: Error) => void) => {
            made++;
            done();
          },
        },
      });
      const { pool } = knex.client as { pool: Record<string, () => number> & NodeJS.EventEmitter };
      const told: string[] = [];
      for (const event of ['acquireRequest', 'createSuccess', 'acquireSuccess', 'release', 'poolDestroySuccess'])
        pool.on(event, () => told.push(event));
      const counts = (): (number | undefined)[] =>
        ['numUsed', 'numFree', 'numPendingAcquires'].map((name) => pool[name]?.call(pool));
      const seen = [counts()];
      await vs(knex);
      seen.push(counts());
      const trx = await knex.transaction();
      seen.push(counts());
      const both = Promise.all([vs(knex), vs(knex)]);
      do await sleep(1);
      while (pool.numPendingCreates?.() !== 0);
      seen.push(counts());
      await both;
      await trx.rollback();
      seen.push(counts());
      await knex.destroy();
      return [seen, told, asked, made];
    },
  },
  {
    name: 'what a pg.Pool counts and tells, and its second end',
    run: async ({ makePool }) => {
      const pool = makePool({ max: 1 });
      const told: string[] = [];
      for (const event of ['connect', 'acquire', 'release', 'remove'] as const) pool.on(event, () => told.push(event));
      const counts = (): number[] => [pool.totalCount, pool.idleCount, pool.waitingCount];
      const seen = [counts()];
      const client = await pool.connect();
      seen.push(counts());
      const second = pool.connect();
      seen.push(counts());
      client.release();
      (await second).release();
      seen.push(counts());
      await pool.query('select 1');
      await pool.end();
      seen.push(counts());
      const again = await new Promise<string>((resolve) =>
        pool.end(((error?: Error) => resolve(error?.message ?? 'ended')) as () => void),
      );
      return [seen, [...told], again];
    },
  },
  {
    name: 'a library that speaks the protocol itself: commits at its end, in a transaction, and after an error',
    run: async ({ knex }) => {
      const client = await knex.client.acquireConnection();
      const say = (sql: string): Promise<string> =>
        new Promise((resolve) => {
          let said = '';
          client.query({
            submit(connection: { once(event: string, listener: () => void): void; query(sql: string): void }) {
              connection.once('readyForQuery', () => resolve(said));
              connection.query(sql);
            },
            handleError: (error: { code: string }) => (said += ` ${error.code}`),
            handleCommandComplete: ({ text }: { text: string }) => (said += ` ${text}`),
            handleRowDescription() {},
            handleDataRow() {},
            handleReadyForQuery() {},
          });
        });
      const said = [
        await say("insert into pa(v) values ('a'); commit"),
        await say("begin; insert into pa(v) values ('b')"),
        await say('select 1/0'),
        await say('commit'),
        await say("begin; insert into pa(v) values ('c'); commit and chain"),
        await say('rollback; select 1/0'),
      ];
      await knex.client.releaseConnection(client);
      return [said, await vs(knex)];
    },
  },
  {
    name: 'events of a client: notices in their place, drain, and the fields of results, as text and as bytes',
    run: async ({ knex }) => {
      const client = await knex.client.acquireConnection();
      const events: string[] = [];
      const noted = (notice: Error): number => events.push(notice.message);
      const drained = (): number => events.push('drain');
      client.on('notice', noted);
      client.on('drain', drained);
      await client.query("do $$ begin raise notice 'one'; raise warning 'two'; end $$");
      await client.query('drop table if exists nothing_like_that');
      const typed = `select 1::int2 as a, 2::int8 as b, 'x'::bytea as c, 1.5::numeric as d, array[1, null] as e, null::text as f,
        true as g, '{"h": [1]}'::jsonb as h, '1 day'::interval as i, '10.0.0.1'::inet as j, '[1,2)'::int4range as k`;
      const results = [];
      for (const query of [typed, { text: typed, binary: true }, { text: `${typed} where $1`, values: [true] }]) {
        const { rows, fields, rowCount, command } = await client.query(query);
        const types = fields.map((f: { dataTypeID: number; format: string }) => [f.dataTypeID, f.format]);
        results.push(rows, types, rowCount, command);
      }
      client.off('notice', noted);
      client.off('drain', drained);
      await knex.client.releaseConnection(client);
      return [events, results];
    },
  },
  {
    name: 'a Query of pages',
    run: async ({ knex }) => {
      const client = await knex.client.acquireConnection();
      const seen: string[] = [];
      const paged = new Query({ text: 'select g from generate_series(1, 5) g', rows: 2, values: [] } as never);
      await new Promise<void>((resolve) => {
        paged.on('row', ({ g }: { g: number }) => seen.push(String(g)));
        paged.on('end', () => resolve());
        client.query(paged);
      });
      await knex.client.releaseConnection(client);
      return seen;
    },
  },
  {
    name: 'a statement that another connection cancels by pg_cancel_backend, and a connection on which nothing runs',
    run: async ({ knex }) => {
      const client = await knex.client.acquireConnection();
      await client.query("insert into pa(v) values ('a')");
      const slow = err(client.query('select pg_sleep(4)'));
      await sleep(100);
      const [canceled] = (await knex.raw('select pg_cancel_backend(?)', [client.processID])).rows;
      const seen = [canceled, await slow];
      const { rows } = await knex.raw(`select pg_cancel_backend(${client.processID})`);
      await knex.client.releaseConnection(client);
      return [seen, rows, await vs(knex)];
    },
  },
  {
    name: 'a library that sends two statements under one Sync',
    run: async ({ knex }) => {
      const client = await knex.client.acquireConnection();
      const failed = await new Promise((resolve) => {
        client.query({
          submit(connection: Record<'parse' | 'bind' | 'execute' | 'sync', (message?: object) => void>) {
            for (const text of ["insert into pa(v) values ('a')", "insert into pa(v) values ('b')"]) {
              connection.parse({ text });
              connection.bind({});
              connection.execute({});
            }
            connection.sync();
          },
          handleError: ({ code }: { code: string }) => resolve(code),
          handleReadyForQuery: () => resolve('done'),
          handleCommandComplete() {},
        });
      });
      await knex.client.releaseConnection(client);
      return [failed, await vs(knex)];
    },
    differs: { code: 'REWIND_UNSUPPORTED', because: 'which statements are one transaction is told by each Sync' },
  },
];
