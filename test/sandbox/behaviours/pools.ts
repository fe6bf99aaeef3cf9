import type { Knex } from 'knex';
import type { Client } from 'pg';
import { err, vs, type Behaviour } from '../arena';

const valuesOf = async (knex: Knex, ...names: string[]): Promise<unknown[]> => {
  const { rows } = await knex.raw<{ rows: { value: unknown }[] }>(
    'select current_setting(n, true) as value from unnest(?::text[]) with ordinality as t(n, i) order by i',
    [names],
  );
  return rows.map(({ value }) => value);
};

const afterCreate =
  (sql: string) =>
  (connection: Client, done: (error: Error | null, connection: Client) => void): void => {
    connection.query(sql, (error: Error | null) => done(error, connection));
  };

const on = async (knex: Knex, ...statements: string[]): Promise<void> => {
  const connection = await knex.client.acquireConnection();
  for (const sql of statements) await connection.query(sql);
  await knex.client.releaseConnection(connection);
};

/** Pools of one database that make their connections differently. */
export const pools: Behaviour[] = [
  {
    name: 'each has the settings that its own afterCreate makes',
    run: async ({ makeKnex }) => {
      const tokyo = makeKnex({
        pool: { afterCreate: afterCreate("set timezone = 'Asia/Tokyo'; set app.pool = 'tokyo'") },
      });
      const lima = makeKnex({
        pool: { afterCreate: afterCreate("set timezone = 'America/Lima'; set statement_timeout = '7s'") },
      });
      await tokyo('pa').insert({ v: 'a' });
      await lima('pa').insert({ v: 'b' });
      const names = ['timezone', 'statement_timeout', 'app.pool'];
      const seen = [await valuesOf(tokyo, ...names), await valuesOf(lima, ...names.slice(0, 2))];
      await lima.transaction(async (t) => t('pa').insert({ v: 'c' }));
      return [seen, await valuesOf(tokyo, ...names), await vs(lima)];
    },
  },
  {
    name: 'each has the settings that its connections are made with',
    run: async ({ makeKnex, makePool, knex }) => {
      const { connectionSettings } = knex.client as { connectionSettings: object };
      const one = makeKnex({
        connection: {
          ...connectionSettings,
          application_name: 'one',
          options: '-c timezone=Asia/Tokyo -c app.pool=one',
        },
      });
      const pool = makePool({ application_name: 'pool', statement_timeout: 6000 });
      const names = ['application_name', 'timezone', 'statement_timeout', 'app.pool'];
      const ofPool = async (): Promise<unknown> =>
        (await pool.query("select current_setting('application_name') as a, current_setting('statement_timeout') as t"))
          .rows;
      await knex('pa').insert({ v: 'a' });
      const seen = [await valuesOf(one, ...names), await ofPool(), (await valuesOf(knex, ...names)).slice(0, 3)];
      return [seen, await ofPool(), await valuesOf(one, ...names)];
    },
  },
  {
    name: 'a pg.Pool whose connections are set up by a listener',
    run: async ({ knex, makePool }) => {
      const pool = makePool();
      pool.on('connect', (client) => void client.query("set timezone = 'Asia/Tokyo'; set app.pool = 'listener'"));
      await knex('pa').insert({ v: 'a' });
      const { rows } = await pool.query("select current_setting('timezone') as z, current_setting('app.pool') as p");
      return [rows, await valuesOf(knex, 'timezone')];
    },
  },
  {
    name: 'RESET leads to what the connection was made with, not to what afterCreate has set',
    run: async ({ makeKnex, knex }) => {
      const { connectionSettings } = knex.client as { connectionSettings: object };
      const one = makeKnex({
        connection: { ...connectionSettings, options: '-c timezone=Asia/Tokyo' },
        pool: { max: 1, afterCreate: afterCreate("set work_mem = '1MB'; set timezone = 'Asia/Seoul'") },
      });
      const names = ['timezone', 'work_mem'];
      await knex('pa').insert({ v: 'a' });
      const seen = [await valuesOf(one, ...names)];
      await on(one, "set timezone = 'America/Lima'", 'reset work_mem');
      seen.push(await valuesOf(one, ...names), await valuesOf(knex, ...names));
      await on(one, 'set timezone to default');
      seen.push(await valuesOf(one, ...names));
      await on(one, "set work_mem = '2MB'", 'reset all');
      seen.push(await valuesOf(one, ...names), await valuesOf(knex, ...names));
      return seen;
    },
  },
  {
    name: 'what is set in a rolled-back transaction goes back to the pool’s own',
    run: async ({ makeKnex, knex }) => {
      const one = makeKnex({ pool: { max: 1, afterCreate: afterCreate("set timezone = 'Asia/Tokyo'") } });
      await knex('pa').insert({ v: 'a' });
      const seen = [await valuesOf(one, 'timezone')];
      const trx = await one.transaction();
      for (const sql of [
        "set timezone = 'America/Lima'",
        'savepoint s',
        "set timezone = 'Asia/Seoul'",
        'rollback to s',
      ])
        await trx.raw(sql);
      seen.push(await valuesOf(trx, 'timezone'));
      await trx.rollback();
      seen.push(await valuesOf(one, 'timezone'));
      await on(one, 'begin', "set local timezone = 'Asia/Seoul'", 'commit');
      return [seen, await valuesOf(one, 'timezone'), await valuesOf(knex, 'timezone')];
    },
  },
  {
    name: 'transactions of a pool that makes them read only, or serializable',
    run: async ({ makeKnex, knex }) => {
      const reader = makeKnex({ pool: { afterCreate: afterCreate('set default_transaction_read_only = on') } });
      const strict = makeKnex({
        pool: { afterCreate: afterCreate("set default_transaction_isolation = 'serializable'") },
      });
      await knex('pa').insert({ v: 'a' });
      const levels = await strict.transaction(
        async (t) => (await t.raw('show transaction_isolation')).rows as unknown[],
      );
      return [
        await vs(reader),
        await err(reader('pa').insert({ v: 'b' })),
        await err(reader.transaction(async (t) => t('pa').insert({ v: 'c' }))),
        await err(knex('pa').insert({ v: 'd' })),
        levels,
        await vs(knex),
      ];
    },
  },
  {
    name: 'instances with different search paths see their own tables',
    run: async ({ makeKnex, knex, outside }) => {
      await outside('create schema if not exists beside; create table if not exists beside.pa(id serial, v text)');
      const beside = makeKnex({ searchPath: ['beside'] });
      await knex('pa').insert({ v: 'public' });
      await beside('pa').insert({ v: 'beside' });
      await err(beside.raw('selct'));
      await beside.transaction(async (t) => t('pa').insert({ v: 'beside too' }));
      const result = [await vs(knex), await vs(beside)];
      await beside('beside.pa').del();
      return result;
    },
  },
];
