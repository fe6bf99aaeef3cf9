import type { Knex } from 'knex';
import { err, sleep, vs, type Behaviour } from '../arena';

/** `knex.transaction` in all its forms. */
export const transactions: Behaviour[] = [
  {
    name: 'a transaction commits',
    run: async ({ knex }) => (await knex.transaction(async (t) => t('pa').insert({ v: 'a' })), vs(knex)),
  },
  {
    name: 'a transaction that throws is rolled back, and no more than it',
    run: async ({ knex }) => {
      await knex('pa').insert({ v: 'z' });
      const e = await err(
        knex.transaction(async (t) => {
          await t('pa').insert({ v: 'a' });
          throw new Error('x');
        }),
      );
      return [e, await vs(knex)];
    },
  },
  {
    name: 'the promise form commits and rolls back',
    run: async ({ knex }) => {
      const t = await knex.transaction();
      await t('pa').insert({ v: 'a' });
      await t.commit();
      const u = await knex.transaction();
      await u('pa').insert({ v: 'b' });
      await u.rollback();
      return [await vs(knex), t.isCompleted(), u.isCompleted()];
    },
  },
  {
    name: 'an explicit commit and an explicit rollback inside the callback',
    run: async ({ knex }) => {
      await knex.transaction((t) => {
        void t('pa')
          .insert({ v: 'a' })
          .then(() => t.commit('done'), t.rollback);
      });
      const e = await err(
        knex.transaction((t) => {
          void t('pa')
            .insert({ v: 'b' })
            .then(() => t.rollback(new Error('no')));
        }),
      );
      return [e, await vs(knex)];
    },
  },
  {
    name: 'nested: the inner one rolls back, the outer one commits',
    run: async ({ knex }) => {
      await knex.transaction(async (t) => {
        await t('pa').insert({ v: 'a' });
        await err(
          t.transaction(async (u) => {
            await u('pa').insert({ v: 'b' });
            throw new Error('x');
          }),
        );
        await t.transaction(async (u) => u('pa').insert({ v: 'c' }));
      });
      return vs(knex);
    },
  },
  {
    name: 'nested: the inner one fails in the database, the outer one goes on',
    run: async ({ knex }) => {
      const seen: string[] = [];
      await knex.transaction(async (t) => {
        await t('pa').insert({ v: 'a' });
        seen.push(await err(t.transaction(async (u) => u('pa').insert({ v: 'a' }))));
        await t('pa').insert({ v: 'b' });
      });
      return [seen, await vs(knex)];
    },
  },
  {
    name: 'nested three deep, the middle one rolls back',
    run: async ({ knex }) => {
      await knex.transaction(async (t) => {
        await t('pa').insert({ v: 'a' });
        await err(
          t.transaction(async (u) => {
            await u('pa').insert({ v: 'b' });
            await u.transaction(async (w) => w('pa').insert({ v: 'c' }));
            throw new Error('x');
          }),
        );
      });
      return vs(knex);
    },
  },
  {
    name: 'nested siblings at once',
    run: async ({ knex }) => {
      await knex.transaction(async (t) => {
        await Promise.all(
          [1, 2, 3].map((i) =>
            t
              .transaction(async (u) => {
                await u('pa').insert({ v: `n${i}` });
                await sleep(3);
                if (i === 2) throw new Error('x');
              })
              .catch(() => {}),
          ),
        );
      });
      return vs(knex);
    },
  },
  {
    name: 'BEGIN, ROLLBACK and COMMIT by hand on an acquired connection',
    run: async ({ knex }) => {
      const c: unknown = await knex.client.acquireConnection();
      const on = (sql: string): Promise<unknown> => knex.raw(sql).connection(c);
      await on('BEGIN');
      await on("insert into pa(v) values('r')");
      await on('ROLLBACK');
      await on('BEGIN');
      await on("insert into pa(v) values('q')");
      await on('COMMIT');
      await knex.client.releaseConnection(c);
      return vs(knex);
    },
  },
  {
    name: 'COMMIT AND CHAIN begins the next one',
    run: async ({ knex }) => {
      const c = await knex.client.acquireConnection();
      await c.query('begin');
      await c.query("insert into pa(v) values('a')");
      await c.query('commit and chain');
      await c.query("insert into pa(v) values('b')");
      await c.query('rollback');
      await knex.client.releaseConnection(c);
      return vs(knex);
    },
  },
  {
    name: 'BEGIN twice, COMMIT and ROLLBACK without BEGIN: warnings',
    run: async ({ knex }) => {
      const c = await knex.client.acquireConnection();
      const notices: string[] = [];
      const listener = (n: { code: string; message: string }): number => notices.push(`${n.code} ${n.message}`);
      c.on('notice', listener);
      const commands: string[] = [];
      for (const sql of [
        'begin',
        'begin',
        "insert into pa(v) values('a')",
        'commit',
        'commit',
        'rollback',
        'abort',
        'end',
      ]) {
        commands.push(((await c.query(sql)) as { command: string }).command);
      }
      await sleep(5);
      c.removeListener('notice', listener);
      await knex.client.releaseConnection(c);
      return [commands, notices, await vs(knex)];
    },
  },
  {
    name: 'results of transaction control look as pg makes them',
    run: async ({ knex }) => {
      const c = await knex.client.acquireConnection();
      const seen: unknown[] = [];
      for (const sql of ['begin', 'savepoint a', 'release a', 'commit', 'start transaction', 'rollback']) {
        const { command, rowCount, oid, rows, fields } = await c.query(sql);
        seen.push({ command, rowCount, oid, rows, fields });
      }
      await knex.client.releaseConnection(c);
      return seen;
    },
  },
  {
    name: 'begin … commit in one string',
    run: async ({ knex }) => [await err(knex.raw("begin; insert into pa(v) values('m'); commit")), await vs(knex)],
  },
  {
    name: 'begin … rollback in one string, with results',
    run: async ({ knex }) => {
      const r = await knex.raw<{ command: string; rows: unknown[] }[]>(
        "begin; insert into pa(v) values('m') returning v; rollback; select 1 as x",
      );
      return [r.map((x) => [x.command, x.rows]), await vs(knex)];
    },
  },
  {
    name: 'an error between begin and commit in one string leaves the session in a failed transaction',
    run: async ({ knex }) => {
      const c = await knex.client.acquireConnection();
      const e = await err(
        c.query("insert into pa(v) values('i'); begin; insert into pa(v) values('m'); select 1/0; commit"),
      );
      const e2 = await err(c.query('select 1'));
      await c.query('rollback');
      await knex.client.releaseConnection(c);
      return [e, e2, await vs(knex)];
    },
  },
  {
    name: 'commit in the middle of a string keeps what is before it',
    run: async ({ knex }) => [
      await err(knex.raw("insert into pa(v) values('a'); commit; insert into pa(v) values('b'); select 1/0")),
      await vs(knex),
    ],
  },
  { name: 'SAVEPOINT outside a transaction', run: async ({ knex }) => err(knex.raw('savepoint x')) },
  {
    name: 'RELEASE and ROLLBACK TO outside a transaction',
    run: async ({ knex }) => [await err(knex.raw('release x')), await err(knex.raw('rollback to x'))],
  },
  {
    name: 'ROLLBACK TO a savepoint that does not exist fails the transaction',
    run: async ({ knex }) => {
      const seen: string[] = [];
      const e = await err(
        knex.transaction(async (t) => {
          await t('pa').insert({ v: 'a' });
          seen.push(await err(t.raw('rollback to nope')), await err(t('pa').select()));
        }),
      );
      return [seen, e, await vs(knex)];
    },
  },
  {
    name: 'a savepoint recovers a failed transaction',
    run: async ({ knex }) => {
      let e = '';
      await knex.transaction(async (t) => {
        await t('pa').insert({ v: 'a' });
        await t.raw('savepoint s');
        e = await err(t('pa').insert({ v: 'a' }));
        await t.raw('rollback to savepoint s');
        await t('pa').insert({ v: 'b' });
      });
      return [e, await vs(knex)];
    },
  },
  {
    name: 'savepoints of the same name shadow each other',
    run: async ({ knex }) => {
      await knex.transaction(async (t) => {
        await t('pa').insert({ v: 'a' });
        await t.raw('savepoint s');
        await t('pa').insert({ v: 'b' });
        await t.raw('savepoint s');
        await t('pa').insert({ v: 'c' });
        await t.raw('rollback to s');
        await t.raw('release s');
        await t('pa').insert({ v: 'd' });
        await t.raw('rollback to s');
      });
      return vs(knex);
    },
  },
  {
    name: 'readOnly refuses writes, and only inside',
    run: async ({ knex }) => [
      await err(knex.transaction(async (t) => t('pa').insert({ v: 'b' }), { readOnly: true })),
      await err(knex('pa').insert({ v: 'c' })),
      await vs(knex),
    ],
  },
  {
    name: 'isolationLevel serializable is accepted',
    run: async ({ knex }) => [
      await err(knex.transaction(async (t) => t('pa').insert({ v: 'b' }), { isolationLevel: 'serializable' })),
      await vs(knex),
    ],
  },
  {
    name: 'SHOW transaction_isolation',
    run: async ({ knex }) => [
      await knex.transaction(async (t) => (await t.raw('show transaction_isolation')).rows, {
        isolationLevel: 'serializable',
      }),
      await knex.transaction(async (t) => (await t.raw('SHOW TRANSACTION ISOLATION LEVEL')).rows, {
        isolationLevel: 'repeatable read',
      }),
      (await knex.raw('show transaction_isolation')).rows,
    ],
  },
  {
    name: 'SET TRANSACTION before and after the first query',
    run: async ({ knex }) => {
      const one = await err(
        knex.transaction(async (t) => {
          await t.raw('set transaction isolation level repeatable read');
          return t('pa');
        }),
      );
      const two = await err(
        knex.transaction(async (t) => {
          await t('pa');
          await t.raw('set transaction isolation level repeatable read');
        }),
      );
      const three = await err(
        knex.transaction(async (t) => {
          await t.raw('set transaction read only');
          await t('pa').insert({ v: 'x' });
        }),
      );
      return [one, two, three, await vs(knex)];
    },
  },
  {
    name: 'READ ONLY after the first query, by all its names, with functions that ask for the time, beside other queries',
    run: async ({ knex }) => {
      const seen: unknown[] = [];
      for (const sql of [
        'set transaction read only',
        'set transaction isolation level read committed, read only',
        'set local transaction_read_only = on',
        "set transaction_read_only = 'yes'",
      ]) {
        const e = await err(
          knex.transaction(async (t) => {
            await t('pa').select();
            await t.raw(sql);
            if (sql.includes('=')) await knex('pa').insert({ v: sql });
            seen.push((await t.raw('select recent(now()) as recent')).rows);
            await t('pa').insert({ v: 'x' });
          }),
        );
        const back = await err(
          knex.transaction(async (t) => {
            await t('pa').select();
            await t.raw(sql);
            await t.raw('set transaction read write');
          }),
        );
        seen.push(e, back, await err(knex.raw(sql)));
      }
      return [seen, await vs(knex)];
    },
  },
  {
    name: 'set_config of what a transaction may do',
    run: async ({ knex }) =>
      err(
        knex.transaction(async (t) => {
          await t.raw("select set_config('transaction_read_only', 'on', true)");
          await t('pa').insert({ v: 'x' });
        }),
      ),
    differs: { code: 'REWIND_UNSUPPORTED', because: 'the transaction that holds the test has already begun' },
  },
  {
    name: 'BEGIN with all modes at once, and a function that asks for the time',
    run: async ({ knex }) => {
      const c = await knex.client.acquireConnection();
      const seen: unknown[] = [];
      for (const modes of [
        'read only',
        'isolation level serializable read only deferrable',
        'read write',
        'not deferrable',
      ]) {
        await c.query(`begin ${modes}`);
        seen.push((await c.query('select recent(now()) as recent')).rows);
        seen.push(await err(c.query("insert into pa(v) values ('x')")));
        await c.query('rollback');
      }
      await knex.client.releaseConnection(c);
      return seen;
    },
  },
  {
    name: 'transactionProvider',
    run: async ({ knex }) => {
      const provide = knex.transactionProvider();
      const t = await provide();
      await t('pa').insert({ v: 'a' });
      await t.commit();
      return [(await provide()) === t, await vs(knex)];
    },
  },
  {
    name: 'doNotRejectOnRollback false',
    run: async ({ knex }) => {
      const t = await knex.transaction(undefined, { doNotRejectOnRollback: false });
      const p = err(t.executionPromise);
      await t.rollback();
      return p;
    },
  },
  {
    name: 'executionPromise resolves at commit, and after it the row is there',
    run: async ({ knex }) => {
      const log: string[] = [];
      const t = await knex.transaction();
      const hook = t.executionPromise.then(async () => log.push(`after commit: ${await vs(knex)}`));
      await t('pa').insert({ v: 'a' });
      log.push('before commit');
      await t.commit();
      await hook;
      return log;
    },
  },
  {
    name: 'work that waits for the commit does not run on rollback',
    run: async ({ knex }) => {
      const log: string[] = [];
      await err(
        knex.transaction(async (t) => {
          t.executionPromise.then(
            () => log.push('sent'),
            () => log.push('not sent'),
          );
          await t('pa').insert({ v: 'a' });
          throw new Error('x');
        }),
      );
      await sleep(2);
      return log;
    },
  },
  {
    name: 'a query on a completed transaction',
    run: async ({ knex }) => {
      let kept: Knex.Transaction | undefined;
      await knex.transaction(async (t) => {
        kept = t;
        await t('pa').insert({ v: 'a' });
      });
      return err((kept as Knex.Transaction)('pa').select());
    },
  },
  {
    name: "what knex.on('query') sees",
    run: async ({ knex }) => {
      const seen: string[] = [];
      knex.on('query', (q: { sql: string }) => seen.push(q.sql));
      await knex.transaction(async (t) => {
        await t('pa').insert({ v: 'a' });
        await t.transaction(async (u) => u('pa').insert({ v: 'b' }));
      });
      return seen.map((sql) => sql.replace(/trx\d+/, 'trxN'));
    },
  },
  {
    name: 'six transactions at once, the odd ones throw',
    run: async ({ knex }) => {
      await Promise.all(
        [...Array(6).keys()].map((i) =>
          knex
            .transaction(async (t) => {
              await t('pa').insert({ v: `p${i}` });
              await sleep(2);
              await t('pa').insert({ v: `q${i}` });
              if (i % 2) throw new Error('x');
            })
            .catch(() => {}),
        ),
      );
      return vs(knex);
    },
  },
  {
    name: 'a transaction without statements',
    run: async ({ knex }) => {
      await knex.transaction(async () => 1);
      const t = await knex.transaction();
      await t.rollback();
      return vs(knex);
    },
  },
  {
    name: 'getTransactionStatus of a client',
    run: async ({ knex }) => {
      const c = await knex.client.acquireConnection();
      const seen: unknown[] = [c.getTransactionStatus?.()];
      await c.query('begin');
      seen.push(c.getTransactionStatus?.());
      await err(c.query('selct'));
      await sleep(5); // pg tells of an error before it learns the new status
      seen.push(c.getTransactionStatus?.());
      await c.query('rollback');
      seen.push(c.getTransactionStatus?.());
      await knex.client.releaseConnection(c);
      return seen;
    },
  },
];
