// Scopes, and what must not cross their ends.
import assert from 'node:assert/strict';
import { AsyncResource } from 'node:async_hooks';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import knexFactory, { type Knex } from 'knex';
import { DatabaseError } from 'pg';
import Cursor from 'pg-cursor';
import { from } from 'pg-copy-streams';
import { RewindError } from '../../lib/errors';
import {
  createSandbox,
  detached,
  watchKnex,
  watchOrigins,
  type ManagedPool,
  type Problem,
  type Sandbox,
} from '../../lib/sandbox';
import type { RollbackSandbox } from '../../lib/sandbox/sandbox';
import { scopeContext, type Scope } from '../../lib/scope';
import { createDatabase, type TestDatabase } from '../support/database';
import { err, SCHEMA, scope, sleep, vs } from './arena';

describe('the sandbox, scope by scope', () => {
  let db: TestDatabase;
  let sandbox: Sandbox;
  let knex: Knex;
  let pool: ManagedPool;
  let unwatch: () => void;
  let root: Scope;
  let strays: { problem: Problem; scope: Scope }[];

  before(async () => (db = await createDatabase(SCHEMA)));
  after(() => db.drop());

  beforeEach(() => {
    strays = [];
    const onStray = (problem: Problem, of: Scope): void => void strays.push({ problem, scope: of });
    sandbox = createSandbox({ interleaveTimeout: 200, onStray });
    unwatch = watchKnex({
      onPool: (p) => {
        if (!p.key.endsWith(db.name)) return undefined;
        pool = p;
        return () => ({ to: 'sandbox', sandbox });
      },
      onIgnored: () => {},
      onLate: onStray,
    });
    knex = knexFactory({ client: 'pg', connection: db.url, pool: { min: 0, max: 5 }, log: { warn() {} } });
    root = scope('root', '');
    sandbox.enter(root);
  });

  afterEach(async () => {
    await knex.destroy();
    await sandbox.release();
    unwatch();
    assert.deepEqual(await db.query('select v from pa'), [], 'rows were left in the database');
  });

  const enter = (kind: Scope['kind'], title: string, parent = root): Scope => {
    const entered = scope(kind, title, parent);
    sandbox.enter(entered);
    return entered;
  };
  const leave = (left: Scope): readonly Problem[] => {
    left.ended = true;
    return sandbox.leave(left);
  };
  const inTest = async <T>(title: string, body: () => Promise<T>, parent = root): Promise<T> => {
    const test = enter('test', title, parent);
    const result = await scopeContext.run(test, body);
    assert.deepEqual(leave(test).map(String), []);
    return result;
  };
  const locks = (): Promise<{ n: number }[]> =>
    db.query(
      "select count(*)::int as n from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'",
    );

  it('undoes a test when it ends', async () => {
    await inTest('one', async () => knex('pa').insert({ v: 'a' }));
    assert.equal(await inTest('two', () => vs(knex)), '');
  });

  it('shows what a suite’s hooks wrote to its tests, and undoes it with the suite', async () => {
    const suite = enter('suite', 'suite');
    await knex('pa').insert({ v: 's' });
    for (const name of ['a', 'b']) {
      await inTest(
        name,
        async () => {
          await knex('pa').insert({ v: name });
          assert.equal(await vs(knex), `${name},s`);
          assert.equal(await err(knex('pa').insert({ v: 's' })), '23505');
          assert.equal(await vs(knex), `${name},s`);
        },
        suite,
      );
    }
    await knex('pa').insert({ v: 'after hook' });
    assert.equal(await vs(knex), 'after hook,s');
    leave(suite);
    assert.equal(await vs(knex), '');
  });

  it('nests, and a failing statement in one scope spoils none outside it', async () => {
    const outer = enter('suite', 'outer');
    await knex('pa').insert({ v: '1' });
    const inner = enter('suite', 'inner', outer);
    assert.equal(await err(knex.raw('selct')), '42601');
    await knex('pa').insert({ v: '2' });
    await inTest(
      't',
      async () => {
        assert.equal(await err(knex('pa').insert({ v: '2' })), '23505');
        await knex('pa').insert({ v: '3' });
        assert.equal(await err(knex('pa').insert({ v: '3' })), '23505');
        assert.equal(await vs(knex), '1,2,3');
      },
      inner,
    );
    assert.equal(await vs(knex), '1,2');
    leave(inner);
    assert.equal(await vs(knex), '1');
    leave(outer);
  });

  it('opens nothing for scopes without queries', async () => {
    const suite = enter('suite', 'empty');
    for (let i = 0; i < 100; i++) {
      const test = enter('test', `t${i}`, suite);
      assert.equal(sandbox.hasOpened(test), false);
      leave(test);
    }
    assert.equal(sandbox.hasOpened(suite), false);
    leave(suite);
    assert.equal((sandbox as RollbackSandbox).pinned, undefined, 'it has even connected');
  });

  it('knows which scopes have anything open', async () => {
    const suite = enter('suite', 'suite');
    assert.equal(sandbox.hasOpened(suite), false);
    const test = enter('test', 'test', suite);
    await knex('pa').insert({ v: 'a' });
    assert.deepEqual([sandbox.hasOpened(suite), sandbox.hasOpened(test)], [false, true]);
    leave(test);
    leave(suite);
  });

  it('holds no transaction open after a flush', async () => {
    await inTest('one', async () => knex('pa').insert({ v: 'a' }));
    await sandbox.flush();
    assert.equal((await locks())[0]?.n, 0);
  });

  it('commits what the root holds, really', async () => {
    await knex('pa').insert({ v: 'kept' });
    enter('suite', 'entered, not opened');
    await sandbox.commit();
    assert.deepEqual(await db.query('select v from pa'), [{ v: 'kept' }]);
    assert.equal((await locks())[0]?.n, 0);
    await db.query('delete from pa');
  });

  it('gives its connection back on release, and takes one again when needed', async () => {
    await knex('pa').insert({ v: 'a' });
    await sandbox.release();
    assert.equal((await locks())[0]?.n, 0);
    assert.equal(await vs(knex), '');
    await knex('pa').insert({ v: 'b' });
    assert.equal(await vs(knex), 'b');
  });

  it('borrows the session of the one connection that is there, and gives it back', async () => {
    const seen: unknown[] = [];
    for (let i = 0; i < 3; i++) {
      await vs(knex);
      const { pinned } = sandbox as RollbackSandbox;
      const own = await db.query<{ pid: number }>(
        'select pid from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()',
        [db.name],
      );
      assert.deepEqual(own, [{ pid: pinned?.facts.pid }]);
      seen.push(pinned?.facts.pid);
      await sandbox.release();
      assert.equal((sandbox as RollbackSandbox).pinned, undefined);
    }
    assert.deepEqual(seen, [seen[0], seen[0], seen[0]]);
  });

  it('keeps the data of a suite when the instance that its connection came from is destroyed', async () => {
    const suite = enter('suite', 'suite');
    const first = knexFactory({ client: 'pg', connection: db.url, pool: { min: 0, max: 2 } });
    await first('pa').insert({ v: 's' });
    await first.destroy();
    assert.equal(await vs(knex), 's');
    leave(suite);
  });

  it('opens connections of its own with the pool’s settings', async () => {
    await vs(knex);
    const own = await pool.connect('rewind: probe');
    const { rows } = await own.query<{ name: string; db: string }>(
      "select current_setting('application_name') as name, current_database() as db",
    );
    assert.deepEqual(rows, [{ name: 'rewind: probe', db: db.name }]);
    assert.ok(own.pid > 0);
    await own.end();
    assert.ok(pool.label.includes(db.name) && !pool.label.includes('password'));
  });

  describe('late queries', () => {
    it('of an ended test are refused, the test is named, and the running test is none the wiser', async () => {
      let late: Promise<string> = Promise.resolve('');
      await inTest('the guilty one', async () => {
        late = sleep(20).then(() => err(knex('pa').insert({ v: 'late' })));
      });
      await inTest('the innocent one', async () => {
        assert.equal(await late, 'REWIND_LATE_QUERY');
        assert.equal(await vs(knex), '');
      });
      assert.equal(strays.length, 1);
      assert.equal(strays[0]?.scope.title, 'the guilty one');
      assert.match(String(strays[0]?.problem), /"the guilty one"/);
    });

    it('of a transaction that was left open are refused, and its test is told', async () => {
      const test = enter('test', 'careless');
      const trx = await scopeContext.run(test, () => knex.transaction());
      await trx('pa').insert({ v: 'a' });
      const problems = leave(test);
      assert.equal(problems.length, 1);
      assert.match(String(problems[0]), /REWIND_LEFT_OPEN.*scopes\.test\.ts/s);
      await inTest('next', async () => {
        assert.equal(await vs(knex), '');
        assert.equal(await err(trx('pa').insert({ v: 'b' })), 'REWIND_LATE_QUERY');
        const ended = err(trx.executionPromise);
        await trx.commit();
        assert.equal(await ended, 'REWIND_LATE_QUERY');
        assert.equal(await vs(knex), '');
      });
    });

    it('are told from what their client sends meanwhile for a cursor of the running test', async () => {
      const ended = enter('test', 'the guilty one');
      await vs(knex);
      leave(ended);
      ended.ended = true;
      await inTest('innocent', async () => {
        const client = await knex.client.acquireConnection();
        const cursor = client.query(new Cursor('select g from generate_series(1, 3) g'));
        const late = scopeContext.run(ended, () => err(client.query('select 1')));
        const pages = [await cursor.read(2), await cursor.read(2), await cursor.read(2)] as unknown[][];
        assert.deepEqual(
          pages.map((page) => page.length),
          [2, 1, 0],
        );
        assert.equal(await late, 'REWIND_LATE_QUERY');
        await knex.client.releaseConnection(client);
      });
    });

    it('reach the app whole: by promise, by callback, and from a transaction', async () => {
      const test = enter('test', 'careless');
      const trx = await scopeContext.run(test, () => knex.transaction());
      await trx('pa').insert({ v: 'a' });
      const client = (await trx.client.acquireConnection()) as { query(...args: unknown[]): Promise<unknown> };
      leave(test);
      const caught = async (work: () => unknown): Promise<unknown> => {
        try {
          await work();
        } catch (error) {
          return error;
        }
        return undefined;
      };
      await inTest('next', async () => {
        const errors = [
          await caught(() => trx('pa').select()),
          await caught(() => client.query('select 1')),
          await new Promise((resolve) => void client.query('select 1', resolve)),
        ];
        for (const error of errors) {
          assert.ok(error instanceof RewindError);
          assert.equal(error.code, 'REWIND_LATE_QUERY');
          assert.match(error.problem, /had left open/);
          assert.match(error.remedy, /Commit or roll back/);
          assert.equal('severity' in error, false);
        }
        assert.match((errors[1] as Error).stack ?? '', /scopes\.test\.ts/);
        // An error of the server's is still pg's.
        const server = await caught(() => knex.raw('select 1/0'));
        assert.ok(server instanceof DatabaseError && !(server instanceof RewindError));
        await trx.rollback();
      });
    });

    it('a late rollback of such a transaction is no harm', async () => {
      const test = enter('test', 'careless');
      const trx = await knex.transaction();
      await trx('pa').insert({ v: 'a' });
      leave(test);
      await trx.rollback();
      assert.equal(await vs(knex), '');
    });

    it('are not those of a server that an earlier test has started', async () => {
      const server = http.createServer((_request, response) => {
        knex('pa')
          .insert({ v: 'served' })
          .then(
            () => response.end('ok'),
            (error: Error) => response.end(error.message),
          );
      });
      const unwatchOrigins = watchOrigins();
      const agent = new http.Agent({ keepAlive: true });
      const get = (): Promise<string> =>
        new Promise((resolve, reject) => {
          http
            .get({ port: (server.address() as AddressInfo).port, agent }, (response) => {
              let body = '';
              response.on('data', (chunk) => (body += String(chunk)));
              response.on('end', () => resolve(body));
            })
            .on('error', reject);
        });
      await inTest('starts it', async () => {
        await new Promise<void>((resolve) => server.listen(0, resolve));
        assert.equal(await get(), 'ok');
      });
      await inTest('uses it', async () => {
        assert.equal(await get(), 'ok');
        assert.equal(await vs(knex), 'served');
      });
      unwatchOrigins();
      agent.destroy();
      server.close();
      assert.deepEqual(strays, []);
    });

    it('are not those of code with callbacks', async () => {
      const insert = (v: string): Promise<string> =>
        new Promise((resolve) => {
          void (knex.client as { acquireConnection(): Promise<{ query(...args: unknown[]): void }> })
            .acquireConnection()
            .then((c) => {
              c.query('select 1', () => {
                c.query('insert into pa(v) values ($1)', [v], (error: { code: string } | null) => {
                  void (knex.client as Knex.Client).releaseConnection(c);
                  resolve(error?.code ?? 'ok');
                });
              });
            });
        });
      for (const name of ['a', 'b', 'c']) await inTest(name, async () => assert.equal(await insert(name), 'ok'));
      assert.deepEqual(strays, []);
    });

    it('are not those of something started in a before hook, or detached', async () => {
      const suite = enter('suite', 'suite');
      const results: string[] = [];
      const started: (() => Promise<void>)[] = [];
      // what an interval that was set here would call
      const start = (name: string): void =>
        void started.push(
          AsyncResource.bind(async () => void results.push(`${name}: ${await err(knex('pa').select())}`)),
        );
      scopeContext.run(suite, () => start('hook'));
      await inTest('starts one', async () => detached(() => start('detached')), suite);
      leave(suite);
      await inTest('later', async () => {
        for (const tick of started) await tick();
      });
      assert.deepEqual(results, ['hook: no error', 'detached: no error']);
      assert.deepEqual(strays, []);
    });

    it('a connection kept over several tests goes on working', async () => {
      const connection = await inTest('takes it', async () => knex.client.acquireConnection());
      await inTest('uses it', async () => {
        await connection.query("insert into pa(v) values ('a')");
        assert.equal(await vs(knex), 'a');
      });
      await knex.client.releaseConnection(connection);
      assert.deepEqual(strays, []);
    });
  });

  describe('what a test leaves open', () => {
    it('a running query is cancelled, and the next test doesn’t wait for it', async () => {
      const test = enter('test', 'timed out');
      await scopeContext.run(test, async () => knex.raw('select 1'));
      const body = scopeContext.run(test, () => err(knex.raw('select pg_sleep(20)')));
      await sleep(50);
      assert.deepEqual(leave(test), []);
      const start = process.hrtime.bigint();
      await inTest('next', async () => knex('pa').insert({ v: 'a' }));
      assert.ok(process.hrtime.bigint() - start < 10_000_000_000n, 'waited for the query');
      assert.equal(await body, 'REWIND_LATE_QUERY');
    });

    it('queries that still wait are dropped', async () => {
      const test = enter('test', 'impatient');
      const trx = await knex.transaction();
      await trx('pa').insert({ v: 'a' });
      const waiting = scopeContext.run(test, () => err(knex('pa').insert({ v: 'b' })));
      await sleep(5);
      leave(test);
      assert.equal(await waiting, 'REWIND_LATE_QUERY');
      await trx.rollback();
    });

    it('a cursor is closed', async () => {
      const test = enter('test', 'cursor');
      await knex('pa').insert([{ v: 'a' }, { v: 'b' }]);
      const c = await knex.client.acquireConnection();
      const cursor = c.query(new Cursor('select * from pa'));
      await cursor.read(1);
      assert.match(String(leave(test)[0]), /REWIND_LEFT_OPEN.*a cursor or stream/s);
      assert.equal(await inTest('next', () => vs(knex)), '');
      await knex.client.releaseConnection(c);
    });

    it('a COPY is broken off', async () => {
      const test = enter('test', 'copy');
      const c = await knex.client.acquireConnection();
      const stream = c.query(from('copy pa(v) from stdin'));
      stream.on('error', () => {});
      stream.write('a\n');
      await sleep(30);
      assert.match(String(leave(test)[0]), /REWIND_LEFT_OPEN.*a COPY/s);
      assert.equal(await inTest('next', () => vs(knex)), '');
      await knex.client.releaseConnection(c);
    });

    it('a session-level advisory lock is given back', async () => {
      const test = enter('test', 'locks');
      await knex.raw('select pg_advisory_lock(1)');
      assert.match(String(leave(test)[0]), /REWIND_LEFT_OPEN.*advisory lock/s);
      await sandbox.flush();
      assert.deepEqual(
        await db.query(
          "select objid from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())",
        ),
        [],
      );
    });

    it('a lock that was given back is no problem', async () => {
      await inTest('tidy', async () => {
        await knex.raw('select pg_advisory_lock(1)');
        await knex.raw('select pg_advisory_unlock(1)');
      });
    });

    it('SET and temporary tables are gone', async () => {
      await inTest('one', async () => {
        await knex.raw("set work_mem = '9MB'");
        await knex.raw('create temp table tt(a int)');
      });
      await inTest('two', async () => {
        assert.notEqual((await knex.raw('show work_mem')).rows[0].work_mem, '9MB');
        assert.equal(await err(knex('tt').select()), '42P01');
      });
    });

    it('a statement prepared under a schema that was rolled back does not trip the next test', async () => {
      const read = (): Promise<string> =>
        err(knex.raw('select * from pa where v = ?', ['a']).options({ name: 'read pa' }));
      await inTest('alters', async () => {
        await knex.raw('alter table pa add column extra int');
        assert.equal(await read(), 'no error');
      });
      await inTest('reads', async () => assert.equal(await read(), 'no error'));
      await inTest('reads again', async () => assert.equal(await read(), 'no error'));
    });
  });

  describe('a transaction that a before hook began', () => {
    it('can be used by each test, whose part of it is undone with the test', async () => {
      const suite = enter('suite', 'suite');
      const trx = await knex.transaction();
      await trx('pa').insert({ v: 's' });
      for (const name of ['a', 'b']) {
        await inTest(
          name,
          async () => {
            await trx('pa').insert({ v: name });
            assert.equal(await vs(trx), `${name},s`);
          },
          suite,
        );
      }
      assert.equal(await vs(trx), 's');
      await trx.rollback();
      assert.deepEqual(leave(suite), []);
    });

    it('can be ended by a test', async () => {
      for (const end of ['commit', 'rollback'] as const) {
        const suite = enter('suite', 'suite');
        const trx = await knex.transaction();
        await trx('pa').insert({ v: 's' });
        await inTest(
          'ends it',
          async () => {
            await trx('pa').insert({ v: 't' });
            await trx[end]();
            assert.equal(await vs(knex), end === 'commit' ? 's,t' : '');
            await knex('pa').insert({ v: 'u' });
          },
          suite,
        );
        assert.equal(await vs(knex), end === 'commit' ? 's' : '');
        leave(suite);
      }
    });

    it('that a test makes fail is whole again in the next', async () => {
      const suite = enter('suite', 'suite');
      const trx = await knex.transaction();
      await trx('pa').insert({ v: 's' });
      await inTest('fails', async () => assert.equal(await err(trx('pa').insert({ v: 's' })), '23505'), suite);
      await inTest('goes on', async () => assert.equal(await vs(trx), 's'), suite);
      await trx.rollback();
      leave(suite);
    });
  });

  describe('a lost connection', () => {
    const kill = async (): Promise<void> => {
      const { pid } = (await knex.raw('select pg_backend_pid() as pid')).rows[0] as { pid: number };
      await db.query('select pg_terminate_backend($1)', [pid]);
      await sleep(40);
    };

    it('is named in the test it happens in; the next one starts clean', async () => {
      const test = enter('test', 'killed');
      await knex('pa').insert({ v: 'a' });
      await kill();
      assert.equal(await err(knex('pa').select()), 'REWIND_CONNECTION');
      leave(test);
      await inTest('next', async () => {
        await knex('pa').insert({ v: 'b' });
        assert.equal(await vs(knex), 'b');
      });
    });

    it('that held a suite’s data fails the rest of that suite, and nothing after it', async () => {
      const suite = enter('suite', 'suite with data');
      await knex('pa').insert({ v: 's' });
      const test = enter('test', 'killed', suite);
      await kill();
      leave(test);
      await inTest(
        'same suite',
        async () => {
          const e = (await knex('pa')
            .select()
            .then(
              () => undefined,
              (x: Error) => x,
            )) as Error;
          assert.match(e.message, /REWIND_CONNECTION.*suite with data/s);
        },
        suite,
      );
      leave(suite);
      assert.equal(await inTest('outside', () => vs(knex)), '');
    });

    it('while a statement runs is that statement’s error', async () => {
      const test = enter('test', 'killed');
      const { pid } = (await knex.raw('select pg_backend_pid() as pid')).rows[0] as { pid: number };
      const running = err(knex.raw('select pg_sleep(5)'));
      await sleep(30);
      await db.query('select pg_terminate_backend($1)', [pid]);
      assert.equal(await running, '57P01');
      leave(test);
      assert.equal(await inTest('next', () => vs(knex)), '');
    });
  });

  it('says when the transaction was ended behind its back', async () => {
    const test = enter('test', 'boundary');
    await knex('pa').insert({ v: 'a' });
    await (sandbox as RollbackSandbox).pinned?.ask('ROLLBACK');
    await err(knex('pa').select());
    assert.match(String(leave(test)[0]), /REWIND_BOUNDARY/);
    assert.equal(await inTest('next', () => vs(knex)), '');
  });

  it('tells where a savepoint of its own was taken away, and counts it as an escape', async () => {
    const test = enter('test', 'meddles');
    const before = sandbox.escapes;
    await scopeContext.run(test, async () => {
      await knex.transaction(async (t) => {
        await t('pa').insert({ v: 'a' });
        await t.raw('release savepoint rewind_t');
      });
      assert.equal(await err(knex('pa').select()), 'REWIND_BOUNDARY');
    });
    assert.equal(sandbox.escapes, before + 1);
    assert.deepEqual(
      leave(test).map((problem) => problem.message.includes('a savepoint of ours failed')),
      [true],
    );
    assert.equal(await inTest('next', () => vs(knex)), '');
  });

  it('lets a statement be kept by the server, and again after a value that can’t be written', async () => {
    const unwritable = {
      toPostgres() {
        throw new Error('can not be written');
      },
    };
    const kept = `select 1 from pg_prepared_statements where statement = 'insert into pa(v) values ($1)'`;
    const insert = (v: unknown): unknown => knex.raw('insert into pa(v) values (?)', [v as string]);
    await inTest('again and again', async () => {
      for (const v of ['a', 'b', 'c']) await insert(v);
      assert.match(await err(insert(unwritable) as Promise<unknown>), /can not be written/);
      for (const v of ['d', 'e', 'f']) await insert(v);
      assert.equal(await vs(knex), 'a,b,c,d,e,f');
      assert.notEqual((await knex.raw(kept)).rows.length, 0);
    });
    await sandbox.release();
    assert.deepEqual((await knex.raw(kept)).rows, []);
  });

  it('keeps working through thousands of statements and failures in one test', async () => {
    await inTest('many', async () => {
      for (let i = 0; i < 1500; i++) {
        await knex('pa').insert({ v: `m${i}` });
        if (i % 10 === 0) await err(knex('pa').insert({ v: `m${i}` }));
      }
      assert.equal(((await knex('pa').pluck('id')) as unknown[]).length, 1500);
      assert.ok((sandbox as RollbackSandbox).stack.depth <= 3, 'savepoints pile up');
    });
  });
});
