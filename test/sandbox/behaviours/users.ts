import type { Knex } from 'knex';
import { err, vs, type Behaviour, type Env } from '../arena';

interface Users {
  /** The superuser's instance. */
  readonly owner: Knex;
  /** The instance of a role that may use `diary` and read `pa`. */
  readonly app: Knex;
  readonly name: string;
  readonly url: string;
}

async function twoUsers(env: Env): Promise<Users> {
  const { name, url } = await env.makeRole();
  await env.outside(`grant usage on schema public to ${name}; grant select on pa to ${name};
    grant all on diary to ${name}; grant usage on sequence diary_id_seq to ${name}`);
  return { owner: env.knex, app: env.makeKnex({ connection: url }), name, url };
}

const who = 'select current_user::text as c, session_user::text as s';

/** Whether it is `name`, currently and by its session. */
async function is(knex: Knex, name: string): Promise<boolean[]> {
  const { c, s } = (await knex.raw<{ rows: { c: string; s: string }[] }>(who)).rows[0] ?? { c: '', s: '' };
  return [c === name, s === name];
}

const bodies = async (knex: Knex): Promise<string> =>
  ((await knex('diary').orderBy('id').pluck('body')) as string[]).join();

async function reserved(
  knex: Knex,
  run: (query: (sql: string) => Promise<{ rows: unknown[] }>) => Promise<unknown>,
): Promise<unknown> {
  const connection = await knex.client.acquireConnection();
  try {
    return await run((sql) => connection.query(sql));
  } finally {
    await connection.query('reset session authorization');
    await connection.query('reset role');
    await knex.client.releaseConnection(connection);
  }
}

/** Instances that connect to one database as different users. */
export const users: Behaviour[] = [
  {
    name: 'each acts as its own user, and sees what the other has committed',
    run: async (env) => {
      const { owner, app, name } = await twoUsers(env);
      await owner('pa').insert({ v: 'by the owner' });
      await owner('diary').insert({ tenant: 'somebody else', body: 'secret' });
      await app('diary').insert({ body: 'mine' });
      return [
        await vs(app),
        await is(app, name),
        await is(owner, name),
        await bodies(app),
        await bodies(owner),
        await err(app('pa').insert({ v: 'not allowed' })),
        await err(app('diary').insert({ tenant: 'somebody else', body: 'not mine' })),
        await bodies(owner),
      ];
    },
  },
  {
    name: 'in transactions, with failures, savepoints and triggers that ask for the time',
    run: async (env) => {
      const { owner, app, name } = await twoUsers(env);
      await env.outside(`grant all on touched to ${name}`);
      await vs(owner);
      await app.transaction(async (t) => {
        await t('diary').insert({ body: 'a' });
        await err(t.transaction(async (s) => s('pa').insert({ v: 'not allowed' })));
        await t('touched').insert({ v: 't' });
        await t('diary').insert({ body: 'b' });
      });
      await err(
        app.transaction(async (t) => {
          await t('diary').insert({ body: 'c' });
          throw new Error('no');
        }),
      );
      await owner.transaction(async (t) => t('pa').insert({ v: 'x' }));
      const agree = (await owner('touched').select(owner.raw('made = changed as agree'))) as unknown[];
      return [await bodies(app), await vs(app), agree, await is(app, name), await is(owner, name)];
    },
  },
  {
    name: 'SET ROLE, RESET ROLE and RESET SESSION AUTHORIZATION lead back to the user that has connected',
    run: async (env) => {
      const { owner, app, name } = await twoUsers(env);
      const group = await env.makeRole('nologin');
      await env.outside(`grant ${group.name} to ${name}`);
      await owner('pa').insert({ v: 'x' });
      return reserved(app, async (query) => {
        const now = async (): Promise<unknown> => {
          const { c, s } = (await query(who)).rows[0] as { c: string; s: string };
          return [c === name, c === group.name, s === name];
        };
        const seen = [await now()];
        for (const sql of [
          `set role ${group.name}`,
          'reset role',
          `set role ${group.name}`,
          'set role none',
          `set session authorization ${name}`,
          `set role ${group.name}`,
          'reset session authorization',
          'reset all',
          'set session authorization default',
        ]) {
          seen.push([await err(query(sql)), await now()]);
        }
        await owner('pa').insert({ v: 'y' });
        seen.push(await now());
        return seen;
      });
    },
  },
  {
    name: 'nobody becomes who he may not become',
    run: async (env) => {
      const { owner, app, name } = await twoUsers(env);
      const other = await env.makeRole();
      await owner('pa').insert({ v: 'x' });
      const tried = [];
      for (const sql of [
        `set session authorization ${other.name}`,
        `set role ${other.name}`,
        'set session authorization default',
        `select set_config('role', '${other.name}', false)`,
      ]) {
        tried.push(await reserved(app, (query) => err(query(sql))));
      }
      return [tried, await is(app, name), await err(app('pa').del())];
    },
  },
  {
    name: 'a failed SET SESSION AUTHORIZATION aborts its transaction',
    run: async (env) => {
      const { owner, app } = await twoUsers(env);
      const other = await env.makeRole();
      await owner('pa').insert({ v: 'x' });
      return reserved(app, async (query) => {
        await query('begin');
        const tried = await err(query(`set session authorization ${other.name}`));
        const after = await err(query('select 1'));
        await query('rollback');
        return [tried, after, await err(query('select 1'))];
      });
    },
  },
  {
    name: 'SECURITY DEFINER, and functions of the other’s',
    run: async (env) => {
      const { owner, app, name } = await twoUsers(env);
      await owner('pa').insert({ v: 'x' });
      const { rows } = await app.raw<{ rows: { w: string }[] }>('select whoami() as w');
      await app('diary').insert({ body: rows[0]?.w === name ? 'wrong' : 'right' });
      return [await bodies(app), await err(app.raw("select add_pa('through a function')")), await vs(owner)];
    },
  },
  {
    name: 'a role has the settings that ALTER ROLE gave it, and goes back to them',
    run: async (env) => {
      const { owner, app, name } = await twoUsers(env);
      await env.outside(`alter role ${name} set timezone = 'Asia/Tokyo'; alter role ${name} set work_mem = '1MB'`);
      const of = async (knex: Knex): Promise<unknown[]> => {
        const { rows } = await knex.raw<{ rows: unknown[] }>(
          "select current_setting('timezone') as z, current_setting('work_mem') as m",
        );
        return rows;
      };
      await owner('pa').insert({ v: 'x' });
      const before = [await of(app), await of(owner)];
      await reserved(app, (query) => query("set timezone = 'America/Lima'"));
      const set = [await of(app), await of(owner)];
      await reserved(app, (query) => query('reset timezone'));
      return [before, set, await of(app), await of(owner)];
    },
  },
  {
    name: 'who is used first does not matter, as long as nothing has been written',
    run: async (env) => {
      const { owner, app, name } = await twoUsers(env);
      const seen = await bodies(app);
      await owner('diary').insert({ tenant: 'somebody else', body: 'secret' });
      await app('diary').insert({ body: 'mine' });
      return [seen, await bodies(app), await bodies(owner), await is(app, name), await is(owner, name)];
    },
  },
];
