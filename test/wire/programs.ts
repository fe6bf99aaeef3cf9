// Programs of an app. What each returns is all that the app can see; it must not depend on where the connections lead.
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Client, QueryConfig } from 'pg';
import copy from 'pg-copy-streams';
import Cursor from 'pg-cursor';
import QueryStream from 'pg-query-stream';
import { frames } from '../../lib/wire';
import { cancelRequest } from '../../lib/wire/startup';
import { outcome, type World } from '../support/wire-world';

type Program = (world: World) => Promise<unknown>;

export const TABLES = `
  create table t (id serial primary key, n bigint, s text, j jsonb, a int[], b bytea, d timestamptz, u int unique check (u < 1000000));
  create table k (id int primary key)`;

const { SYNC, FLUSH, query, parse, bind, execute, describe, close } = frames;
const PEOPLE = 'select g from generate_series(1, 5) g';
const one = (text: string): Buffer[] => [parse('', text), bind('', ''), execute('')];

/** Every event that says something of an answer, in order. */
function record(client: Client): unknown[] {
  const events: unknown[] = [];
  const { connection } = client as unknown as { connection: Client };
  const on = (event: string, name: string): void =>
    void (connection as NodeJS.EventEmitter).on(event, (message?: Record<string, unknown>) =>
      events.push([event, message?.[name]]),
    );
  on('readyForQuery', 'status');
  on('commandComplete', 'text');
  on('parameterStatus', 'parameterValue');
  on('notice', 'message');
  on('errorMessage', 'message');
  on('end', '');
  client.on('notification', ({ channel, payload }) => events.push(['notification', channel, payload]));
  client.on('error', (error) => events.push(['error', error.message]));
  client.on('end', () => events.push('end'));
  return events;
}

const sequence = async (client: Client, asked: readonly (string | QueryConfig)[]): Promise<unknown[]> => {
  const outcomes: unknown[] = [];
  for (const query of asked) outcomes.push(await outcome(client.query(query)));
  return outcomes;
};
const extended = (text: string): QueryConfig => ({ text, values: [], queryMode: 'extended' }) as QueryConfig;
const collect = (chunks: Buffer[]): Writable =>
  new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      done();
    },
  });

/** Until the server runs it: seen from outside. */
export async function untilActive(world: World, text: string): Promise<number> {
  for (;;) {
    const found = await world.database.query<{ pid: number }>(
      `select pid from pg_stat_activity where state = 'active' and query = $1`,
      [text],
    );
    if (found[0]) return found[0].pid;
  }
}

/** Of a driver. Their connections may also share a server connection. */
export const ordinary: Record<string, Program> = {
  'simple and extended queries, with their fields, tags, notices and errors': async (world) => {
    const client = await world.client();
    const events = record(client);
    const big = [
      '9007199254740993',
      'ü\u{1F600}',
      { a: [1, null] },
      [1, 2, null],
      Buffer.from([0, 1, 255]),
      new Date(0),
    ];
    const outcomes = await sequence(client, [
      'select 1 as x, now() is not null as y',
      { text: 'select $1::int + 1 as x', values: [41] },
      '',
      extended(''),
      '-- nothing',
      "select 1 a; select 2 b; insert into t (s) values ('x') returning id",
      'select 1; select 1/0; select 2',
      { text: 'insert into t (n, s, j, a, b, d) values ($1, $2, $3, $4, $5, $6) returning *', values: big },
      "do $$ begin raise notice 'hello %', 1; raise warning 'careful' using hint = 'look', detail = 'there'; end $$",
      'nonsense here',
      extended('select * from nowhere'),
      { text: 'select $1::int', values: ['x'] },
      'insert into t (u) values (1), (1)',
      'insert into t (u) values (1000000)',
      { text: 'select 1 as a, 2 as a', rowMode: 'array' } as QueryConfig,
      { text: 'select $1::bytea b, $2::int4 i', values: [Buffer.from('hi'), 7], binary: true } as QueryConfig,
      "set application_name to 'me'",
      "select set_config('application_name', 'you', false)",
      'drop table if exists zzz',
      "do $$ begin perform 1/0; exception when division_by_zero then raise exception 'wrapped' using errcode = 'P0042'; end $$",
    ]);
    return { outcomes, events };
  },

  'large values and many rows': async (world) => {
    const client = await world.client();
    const long = 'y'.repeat(300_000);
    const { rows } = await client.query('select $1::text as x, $2::bytea as b', [long, Buffer.alloc(400_000, 7)]);
    const many = await client.query("select g, repeat('y', g % 300) y from generate_series(1, 2000) g");
    return [rows[0].x === long, rows[0].b.equals(Buffer.alloc(400_000, 7)), many.rows];
  },

  'one name on two clients, and statements that fail': async (world) => {
    const [a, b] = [await world.client(), await world.client()];
    const outcomes: unknown[] = [];
    for (let i = 0; i < 3; i++) {
      outcomes.push(await outcome(a.query({ name: 'x', text: 'select $1::int + 1 as r', values: [i] })));
      outcomes.push(await outcome(b.query({ name: 'x', text: 'select $1::text || $2 as q', values: ['a', `${i}`] })));
      outcomes.push(await outcome(b.query({ name: 'y', text: 'select $1::int + 1 as r', values: [i] })));
    }
    const divide = (by: number): QueryConfig => ({ name: 'div', text: 'select 1 / $1::int as r', values: [by] });
    outcomes.push(
      await sequence(a, [
        { name: 'bad', text: 'select * from nowhere', values: [] },
        { name: 'bad', text: 'select 5 as ok', values: [] },
        divide(0),
        divide(1),
        divide(0),
        divide(1),
      ]),
    );
    return outcomes;
  },

  'cursors and query streams, with other queries between': async (world) => {
    const [a, b, c] = [await world.client(), await world.client(), await world.client()];
    await b.query('insert into t (u) select g from generate_series(1, 10) g');
    const seen: unknown[] = [];
    const cursor = a.query(new Cursor('select u from t order by u'));
    seen.push(await cursor.read(3), await outcome(b.query('insert into t (u) values (0)')));
    seen.push(
      await outcome(b.query('select 1/0')),
      await cursor.read(3),
      await outcome(b.query('insert into t (u) values (3)')),
    );
    seen.push(await cursor.read(30), await cursor.read(3));
    await cursor.close();
    const failing = a.query(new Cursor('select 1/(5-g) as x from generate_series(1,10) g'));
    seen.push(await outcome(failing.read(3)), await outcome(failing.read(3)), await outcome(a.query('select 1 as y')));
    const early = a.query(new Cursor('select g from generate_series(1,10) g'));
    seen.push(await early.read(2));
    await early.close();
    seen.push(await outcome(a.query('select 2 as y')), await outcome(a.query(new Cursor('select nope')).read(1)));
    const stream = (client: Client, rows: number, batchSize: number): AsyncIterable<{ g: number }> =>
      client.query(new QueryStream(`select g from generate_series(1, ${rows}) g`, [], { batchSize }));
    let [n, m] = [0, 0];
    await Promise.all([
      (async () => {
        for await (const _ of stream(a, 300, 10))
          if (++n % 100 === 0) await c.query('insert into t (s) values ($1)', [n]);
      })(),
      (async () => {
        for await (const _ of stream(b, 200, 7)) m++;
      })(),
    ]);
    for await (const { g } of stream(a, 1000, 5)) if (g === 7) break;
    return [...seen, n, m, await outcome(a.query({ text: PEOPLE, rows: 2 } as QueryConfig))];
  },

  'COPY both ways, with errors, broken off': async (world) => {
    const [a, b] = [await world.client(), await world.client()];
    const seen: unknown[] = [];
    const into = (text: string, from: Iterable<string>): Promise<unknown> =>
      outcome(pipeline(Readable.from(from), a.query(copy.from(text))));
    const out = async (text: string): Promise<unknown> => {
      const chunks: Buffer[] = [];
      const stream = a.query(copy.to(text));
      await pipeline(stream, collect(chunks));
      return [stream.rowCount, Buffer.concat(chunks).toString()];
    };
    const lines = Array.from({ length: 3000 }, (_, i) => `${i}\t${'s'.repeat(i % 120)}\n`);
    seen.push(
      await into('copy t (u, s) from stdin', lines),
      await out('copy (select u, s from t order by u) to stdout'),
    );
    seen.push(await into('copy t (u, s) from stdin', ['70000\tx\n', 'bad\tx\n', '70001\tx\n']));
    seen.push(await outcome(a.query('select count(*)::int from t')));
    seen.push(
      await into(
        'copy t (u, s) from stdin',
        (function* () {
          yield '80000\tx\n';
          throw new Error('the source broke');
        })(),
      ),
    );
    seen.push(await into('copy nowhere from stdin', ['1\n']), await outcome(out('copy nowhere to stdout')));
    seen.push(await outcome(b.query('select count(*)::int from t where u >= 70000')));
    seen.push(await outcome(a.query('copy t from stdin')), await outcome(a.query('select 1 as x')));
    return seen;
  },

  'pipelined queries': async (world) => {
    const [client, other] = [await world.client({ pipeline: true }), await world.client()];
    const asked = [
      'select 1 a',
      { text: 'insert into t (u) values ($1) returning u', values: [1] },
      { text: 'insert into t (u) values ($1)', values: [1] },
      { text: 'insert into t (u) values ($1)', values: [2] },
      { name: 'n', text: 'select $1::int x', values: [1] },
      { name: 'n', text: 'select $1::int x', values: [2] },
      'select 1/0',
      'select u from t order by u',
    ];
    const sent = asked.map((config) => outcome(client.query(config)));
    return [await Promise.all(sent), await outcome(other.query('select 7 as q'))];
  },

  'a statement is canceled by a second connection, and only that client’s': async (world) => {
    const [a, b] = [await world.client(), await world.raw()];
    const { processID, secretKey } = a as unknown as { processID: number; secretKey: number };
    const slow = outcome(a.query({ text: 'select pg_sleep(10)', values: [] }));
    await untilActive(world, 'select pg_sleep(10)');
    const killer = await world.socket();
    killer.resume();
    const closed = new Promise((resolve) => killer.once('close', resolve));
    killer.write(cancelRequest(processID, frames.int32(secretKey)));
    await closed;
    return [await slow, await outcome(a.query('select 1 as x')), await b.ask(query('select 2'))];
  },

  'a callback that throws takes no other answer with it': async (world) => {
    const [a, b] = [await world.client(), await world.client()];
    const thrown = new Promise((resolve) => {
      const before = process.listeners('uncaughtException');
      process.removeAllListeners('uncaughtException');
      process.once('uncaughtException', (error) => {
        for (const listener of before) process.on('uncaughtException', listener);
        resolve(error.message);
      });
    });
    a.query('select 1 as x', () => {
      throw new Error('of the app');
    });
    return [await thrown, await outcome(b.query('select 2 as x'))];
  },
};

/** Of bare frames. Their connections may also share a server connection. */
export const ordinaryFrames: Record<string, Program> = {
  'names that are parsed early, used late, twice, closed or unknown': async (world) => {
    const [a, b] = [await world.raw(), await world.raw()];
    return [
      await a.ask(parse('', 'select 1 as a'), describe('statement', ''), SYNC),
      await b.ask(parse('', 'select 2 as b'), describe('statement', ''), SYNC),
      await a.ask(bind('', ''), describe('portal', ''), execute(''), SYNC),
      await b.ask(bind('', ''), execute(''), SYNC),
      await a.ask(parse('', 'select nope'), SYNC),
      await a.ask(bind('', ''), execute(''), SYNC),
      await b.ask(bind('', ''), execute(''), SYNC),
      await a.ask(parse('n', 'select 3'), SYNC),
      await a.ask(parse('n', 'select 4'), SYNC),
      await b.ask(parse('n', 'select 3'), SYNC),
      await a.ask(bind('', 'n'), execute(''), SYNC),
      await a.ask(describe('statement', 'n'), SYNC),
      await a.ask(close('statement', 'n'), SYNC),
      await a.ask(describe('statement', 'n'), SYNC),
      await a.ask(bind('', 'n'), execute(''), SYNC),
      await b.ask(bind('', 'n'), execute(''), SYNC),
      await a.ask(execute('nix'), SYNC),
      await a.ask(describe('portal', 'nix'), SYNC),
      await a.ask(close('portal', 'nix'), close('statement', 'nix'), SYNC),
      await a.ask(close('statement', 'n'), parse('n', 'select 5'), bind('', 'n'), execute(''), SYNC),
      await a.ask(parse('m', 'select 6'), parse('m', 'select 7'), SYNC),
      await a.ask(bind('', 'm'), execute(''), SYNC),
      await a.ask(SYNC),
      await a.ask(parse('', ''), bind('', ''), describe('portal', ''), execute(''), SYNC),
      await a.ask(query('')),
    ];
  },

  'a simple Query drops the statement without a name, its own only': async (world) => {
    const [a, b] = [await world.raw(), await world.raw()];
    return [
      await a.ask(parse('', 'select 7'), SYNC),
      await b.ask(parse('', 'select 8'), SYNC),
      await a.ask(query('select 9')),
      await a.ask(bind('', ''), execute(''), SYNC),
      await b.ask(bind('', ''), execute(''), SYNC),
    ];
  },

  'a statement is parsed although a later step of its segment fails, and is not if an earlier one does': async (
    world,
  ) => {
    const a = await world.raw();
    const divide = [bind('', 'late', ['0']), execute('')];
    return [
      await a.ask(parse('late', 'select 1 / $1::int'), ...divide, SYNC),
      await a.ask(bind('', 'late', ['1']), execute(''), SYNC),
      await a.ask(...one('select 1/0'), parse('early', 'select 2'), close('statement', 'late'), SYNC),
      await a.ask(bind('', 'early'), execute(''), SYNC),
      await a.ask(bind('', 'late', ['1']), execute(''), SYNC),
    ];
  },

  'many executions in one segment, and an error in the middle': async (world) => {
    const a = await world.raw();
    const insert = (u: number): Buffer[] => one(`insert into t (u) values (${u})`);
    return [
      await a.ask(...insert(1), ...insert(2), SYNC),
      await a.ask(...insert(3), ...one('select 1/0'), ...insert(4), SYNC),
      await a.ask(...one('select u from t order by u'), SYNC),
    ];
  },

  'portals with a row limit, by Flush, with other clients between': async (world) => {
    const [a, b] = [await world.raw(), await world.raw()];
    const seen: unknown[] = [];
    a.send(parse('', PEOPLE), describe('statement', ''), FLUSH);
    seen.push(await a.until('T'));
    a.send(bind('', ''), execute('', 2), FLUSH);
    seen.push(await a.until('s'), await b.ask(query('select 5')), await b.ask(...one('select 1/0'), SYNC));
    a.send(execute('', 2), FLUSH);
    seen.push(await a.until('s'), await b.ask(...one("insert into t (s) values ('b')"), SYNC));
    a.send(execute('', 2), FLUSH);
    seen.push(await a.until('C'), await a.ask(SYNC));
    seen.push(await a.ask(parse('', PEOPLE), bind('p', ''), execute('p', 2), execute('p', 2), execute('p', 2), SYNC));
    seen.push(await a.ask(execute('p', 2), SYNC), await a.ask(bind('p', ''), execute('p'), SYNC));
    return seen;
  },

  'an error in a flushed part is the answer to all up to the Sync': async (world) => {
    const a = await world.raw();
    const seen: unknown[] = [];
    a.send(parse('', 'select nope'), FLUSH);
    seen.push(await a.until('E'));
    a.send(parse('', 'select 1'), FLUSH, parse('named', 'select 2'), FLUSH, query('select 3'));
    seen.push(await a.ask(SYNC), await a.ask(bind('', 'named'), SYNC), await a.ask(...one('select 4'), SYNC));
    return seen;
  },

  'COPY by the extended protocol: a Sync ahead of the data is passed over': async (world) => {
    const a = await world.raw();
    const seen: unknown[] = [];
    const begin = async (): Promise<void> => {
      a.send(...one('copy k from stdin'), SYNC);
      seen.push(await a.until('G'));
    };
    const data = (text: string): Buffer => frames.frame(0x64, Buffer.from(text));
    const done = frames.frame(0x63);
    await begin();
    seen.push(await a.ask(data('1\n'), SYNC, data('2\n'), FLUSH, done, SYNC));
    await begin();
    seen.push(await a.ask(data('3\n'), frames.copyFail('enough'), SYNC));
    await begin();
    a.send(data('nonsense\n'));
    seen.push(await a.ask(done, SYNC), await a.ask(query('select count(*) from k')));
    return seen;
  },

  'frames of several segments in one write, and a goodbye behind them': async (world) => {
    const a = await world.raw();
    a.send(...one('select 1'), SYNC, query('select 2'), parse('x', 'select 3'), SYNC, bind('', 'x'), execute(''), SYNC);
    a.send(...one('select 1/0'), SYNC, query('select 5'), frames.TERMINATE);
    return a.until('never');
  },
};

/** Of a driver. Each connection needs a session of its own. */
export const sessions: Record<string, Program> = {
  'transactions, with the status after each statement': async (world) => {
    const client = await world.client();
    const events = record(client);
    const texts = [
      ...['begin', 'insert into t (u) values (1)', 'savepoint a', 'insert into t (u) values (1)', 'select 1', 'begin'],
      ...['rollback to a', 'select count(*)::int from t', 'release a', 'commit', 'commit', 'rollback', 'savepoint q'],
      ...[
        'start transaction isolation level serializable',
        'select 1/0',
        'commit',
        'begin; insert into t (u) values (7)',
      ],
      ...[
        'rollback and chain',
        'insert into t (u) values (8)',
        'commit',
        'insert into t (u) values (30); commit; select 1/0',
      ],
      ...['select u from t order by u'],
    ];
    const simple = await sequence(client, texts);
    await client.query('truncate t');
    const longer = await sequence(client, texts.filter((text) => !text.includes(';')).map(extended));
    return { simple, longer, events };
  },

  'the backend is terminated, in a query and while idle': async (world) => {
    const seen: unknown[] = [];
    for (const busy of [true, false]) {
      const client = await world.client();
      const events = record(client);
      const { rows } = await client.query('select pg_backend_pid() as pid');
      const running = busy ? outcome(client.query('select pg_sleep(10)')) : undefined;
      if (busy) await untilActive(world, 'select pg_sleep(10)');
      const ended = new Promise((resolve) => client.once('end', resolve));
      await world.witness.query('select pg_terminate_backend($1)', [rows[0].pid]);
      seen.push(await running);
      await ended;
      seen.push(events, ((await outcome(client.query('select 1'))) as Error).message);
    }
    return seen;
  },

  'a client that ends, or breaks, in a query: what it has sent still runs': async (world) => {
    const [a, b] = [await world.client(), await world.client()];
    await world.witness.query('select pg_advisory_lock(7)');
    const waiting = (u: number): string => `insert into t (u) select ${u} from pg_advisory_xact_lock_shared(7)`;
    const [ended, broken] = [outcome(a.query(waiting(1))), outcome(b.query(waiting(2)))];
    await untilActive(world, waiting(1));
    await untilActive(world, waiting(2));
    const end = a.end();
    (b as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
    await world.witness.query('select pg_advisory_unlock(7)');
    const seen = [((await ended) as Error).message, ((await broken) as Error).message];
    await end;
    for (;;) {
      const { rows } = await world.witness.query('select u from t order by u');
      if (rows.length === 2) return [...seen, rows];
    }
  },

  'errors of connecting': async (world) => {
    const refused: unknown[] = [];
    for (const wrong of [{ database: 'no_rw_test' }, { user: 'no_rw_role' }, { host: '127.0.0.1', port: 1 }]) {
      const client = new world.driver.Client(world.config(wrong));
      const events = record(client);
      refused.push(await outcome(client.connect()), events);
    }
    return refused;
  },
};

/** Of bare frames. Each connection needs a session of its own. */
export const sessionFrames: Record<string, Program> = {
  'a transaction within a segment, and portals that live as long as it': async (world) => {
    const a = await world.raw();
    const insert = (u: number): Buffer[] => one(`insert into t (u) values (${u})`);
    return [
      await a.ask(...one('begin'), ...insert(5), ...one('commit'), SYNC),
      await a.ask(...one('begin'), ...insert(6), SYNC),
      await a.ask(...one('savepoint a'), ...insert(6), ...one('rollback'), SYNC),
      await a.ask(...one('select 1'), SYNC),
      await a.ask(...one('rollback to a'), ...one('select u from t order by u'), SYNC),
      await a.ask(...one('commit'), SYNC),
      await a.ask(query('begin')),
      await a.ask(parse('', PEOPLE), bind('p', ''), execute('p', 2), SYNC),
      await a.ask(query('select 77')),
      await a.ask(execute('p', 2), SYNC),
      await a.ask(bind('p', ''), SYNC),
      await a.ask(query('rollback')),
      await a.ask(execute('p', 2), SYNC),
      await a.ask(query('create temp table d (x int unique deferrable initially deferred)')),
      await a.ask(...one('insert into d values (1), (1)'), SYNC), // fails at the Sync
      await a.ask(...one('select count(*) from d'), SYNC),
    ];
  },

  'ParameterStatus and notifications come where a server sends them': async (world) => {
    const [a, b] = [await world.raw(), await world.raw()];
    const seen = [
      await a.ask(query("set application_name to 'one'; select 1")),
      await a.ask(...one("set datestyle to 'SQL, DMY'"), ...one('select 2'), SYNC),
      await a.ask(query("begin; set local application_name to 'two'")),
      await a.ask(query('rollback')),
      await a.ask(query('listen c')),
      await a.ask(query("notify c, 'own'; select 3")),
      await b.ask(query("notify c, 'of another'")),
    ];
    return [...seen, await a.until('A')];
  },

  'DISCARD ALL and DEALLOCATE': async (world) => {
    const a = await world.raw();
    const use = [bind('', 'n'), execute(''), SYNC];
    return [
      await a.ask(parse('n', 'select 1'), SYNC),
      await a.ask(query('discard all')),
      await a.ask(...use),
      await a.ask(parse('n', 'select 2'), SYNC),
      await a.ask(query('deallocate n')),
      await a.ask(...use),
      await a.ask(parse('n', 'select 3'), ...use),
    ];
  },

  'a client that breaks in a transaction, or in a COPY, takes it with it': async (world) => {
    const [a, b] = [await world.raw(), await world.raw()];
    await a.ask(query('begin; insert into t (u) values (1)'));
    b.send(query('copy t (u) from stdin'));
    await b.until('G');
    b.send(frames.frame(0x64, Buffer.from('2\n')));
    a.socket.destroy();
    b.socket.destroy();
    await world.witness.query('begin; lock t; commit'); // once neither holds it any more
    return (await world.witness.query('select u from t')).rows;
  },
};
