import assert from 'node:assert/strict';
import { type Client, DatabaseError } from 'pg';
import {
  ClientStream,
  type ClientConnection,
  errorResponse,
  frames,
  OwnRoute,
  parameters,
  Refusal,
  type Request,
} from '../../lib/wire';
import type { RawClient } from '../support/raw-client';
import { wireDatabase } from '../support/wire-database';
import { outcome, type World } from '../support/wire-world';

const { bind, close, describe: describeFrame, execute, FLUSH, parse, query, SYNC } = frames;
/** PostgreSQL 18 and later tell it. */
const withoutPath = (answer: string[]): string[] => answer.filter((line) => !line.startsWith('S search_path='));
const LATE = { code: 'RW001', message: 'the test has ended', hint: 'await it', detail: 'query 1' };

const ownEnd = (client: Client | RawClient): ClientConnection => {
  const socket =
    'socket' in client
      ? client.socket
      : (client as unknown as { connection: { stream: ClientStream } }).connection.stream;
  return (socket as ClientStream).client;
};

describe('a route', () => {
  const database = wireDatabase(`
    create table t (s text);
    create schema clone;
    create table clone.t (i int, s text);
    insert into clone.t values (1, 'in the clone')`);
  /** To another session, whose tables are others: what a clone is to the app. */
  const toClone = (world: World, client: Client | RawClient): OwnRoute =>
    new OwnRoute(ownEnd(client), () => world.open({ options: '-c search_path=clone -c application_name=clone' }));
  const use = (name: string): Buffer[] => [bind('', name), describeFrame('portal', ''), execute(''), SYNC];

  it('changes while the client is idle: what it believes to be parsed is parsed there unseen, by its own names', async () => {
    const world = database.world('own');
    const [client, raw] = [await world.client(), await world.raw()];
    const named = { name: 'all', text: 'select * from t', values: [] };
    assert.deepEqual((await client.query(named)).rows, []);
    await raw.ask(parse('a', 'select s from t'), parse('b', 'select 1'), parse('', 'select count(*) from t'), SYNC);
    const back = ownEnd(raw).route as OwnRoute;
    ownEnd(client).redirect(toClone(world, client));
    ownEnd(raw).redirect(toClone(world, raw));
    assert.deepEqual((await client.query(named)).rows, [{ i: 1, s: 'in the clone' }]);
    assert.deepEqual(withoutPath(await raw.ask(...use(''))), [
      '2',
      'T',
      'D 1',
      'C SELECT 1',
      'S application_name=clone',
      'Z I',
    ]);
    assert.deepEqual(await raw.ask(...use('a')), ['2', 'T', 'D in the clone', 'C SELECT 1', 'Z I']);
    assert.deepEqual(await raw.ask(close('statement', 'b'), parse('b', 'select 2'), SYNC), ['3', '1', 'Z I']);
    assert.deepEqual(await raw.ask(close('statement', 'a'), SYNC), ['3', 'Z I']);
    ownEnd(raw).redirect(back);
    const gone = 'E ERROR 26000 prepared statement "a" does not exist';
    assert.deepEqual(withoutPath(await raw.ask(...use('a'))), [gone, 'S application_name=', 'Z I']);
    assert.deepEqual(await raw.ask(...use('b')), ['2', 'T', 'D 2', 'C SELECT 1', 'Z I']);
    assert.deepEqual(await raw.ask(parse('a', 'select 3'), ...use('a')), ['1', '2', 'T', 'D 3', 'C SELECT 1', 'Z I']);
  });

  it('tells of a statement that can’t be parsed there when it is used', async () => {
    const world = database.world('own');
    const raw = await world.raw();
    await database.witness.query('create table public.lonely (i int)');
    await raw.ask(parse('o', 'select * from lonely'), SYNC);
    ownEnd(raw).redirect(toClone(world, raw));
    const missing = 'E ERROR 42P01 relation "lonely" does not exist';
    assert.deepEqual(withoutPath(await raw.ask(...use('o'))), [missing, 'S application_name=clone', 'Z I']);
    await database.witness.query('create table clone.lonely (i int)');
    assert.deepEqual(await raw.ask(...use('o')), ['2', 'T', 'C SELECT 0', 'Z I']);
    await database.witness.query('drop table public.lonely, clone.lonely');
  });

  it('does not change in a query, in a transaction, in a flushed or half sent segment; and tells when it can', async () => {
    const world = database.world('own');
    const raw = await world.raw();
    const end = ownEnd(raw);
    const turn = (): void => end.redirect(new Refusal(() => LATE));
    const sent: [Buffer, string, Buffer][] = [
      [query('select pg_sleep(0.02)'), '', SYNC],
      [query('begin'), 'Z', query('commit')],
      [Buffer.concat([parse('', 'select 1'), FLUSH]), '1', SYNC],
      [parse('', 'select 1'), '', SYNC],
    ];
    for (const [begin, answer, finish] of sent) {
      raw.send(begin);
      if (answer) await raw.until(answer);
      assert.throws(turn, /only be redirected while it is idle/);
      let idle = false;
      const told = end.whenIdle().then(() => (idle = true));
      await Promise.resolve();
      assert.equal(idle, false);
      raw.send(finish);
      await told;
    }
    turn();
  });

  it('that refuses: the error has all its fields, and the client goes on', async () => {
    const world = database.world('own');
    const [client, raw] = [await world.client(), await world.raw()];
    await raw.ask(parse('p', 'select 1 as x'), SYNC);
    const back = [client, raw].map((each) => ownEnd(each).route as OwnRoute);
    for (const each of [client, raw]) ownEnd(each).redirect(new Refusal(() => LATE));
    const error = await client.query('select $1::int', [1]).catch((thrown: unknown) => thrown);
    assert.ok(error instanceof DatabaseError);
    assert.deepEqual({ ...LATE, severity: 'ERROR' }, { ...LATE, ...pick(error), severity: error.severity });
    const refusal = 'E ERROR RW001 the test has ended';
    assert.deepEqual(await raw.ask(query('select 1')), [refusal, 'Z I']);
    raw.send(bind('', 'p'), FLUSH, execute(''), FLUSH, query('select 2'));
    assert.deepEqual(await raw.ask(SYNC), [refusal, 'Z I'], 'what follows an error is passed over up to the Sync');
    [client, raw].forEach((each, i) => ownEnd(each).redirect(back[i] as OwnRoute));
    assert.deepEqual(await raw.ask(bind('', 'p'), execute(''), SYNC), ['2', 'D 1', 'C SELECT 1', 'Z I']);
    assert.deepEqual((await client.query('select 2 as x')).rows, [{ x: 2 }]);
  });

  it('that refuses turns away a client that starts up', async () => {
    const world = database.world('own');
    const stream = (): ClientStream => new ClientStream(world.clients, () => new Refusal(() => LATE));
    const error = await outcome(new world.driver.Client({ ...world.settings, stream, ssl: false }).connect());
    assert.deepEqual({ ...(error as object), ...LATE, severity: 'FATAL' }, error);
  });

  it('answers without a server in a later turn of the loop, even if a test has faked nextTick', async () => {
    const world = database.world('own');
    const raw = await world.raw();
    ownEnd(raw).redirect(new Refusal(() => LATE));
    const { nextTick } = process;
    const faked: [(...given: unknown[]) => void, ...unknown[]][] = [];
    let answered = false;
    raw.socket.once('data', () => (answered = true));
    process.nextTick = (...given: (typeof faked)[number]) => void faked.push(given);
    try {
      raw.send(query('select 1'));
      assert.equal(answered, false);
      assert.equal((await raw.until('Z')).length, 2);
    } finally {
      process.nextTick = nextTick;
    }
    for (const [task, ...given] of faked) task(...given);
  });

  it('whose session ends while the client is led elsewhere has a new one when it is back', async () => {
    const world = database.world('own');
    const raw = await world.raw();
    await raw.ask(parse('n', 'select s from t'), SYNC);
    const back = ownEnd(raw).route as OwnRoute;
    const [session] = world.sessions;
    ownEnd(raw).redirect(new Refusal(() => LATE));
    const ended = new Promise((resolve) => {
      const told = session?.onEnded;
      if (session) session.onEnded = (why) => resolve(told?.(why));
    });
    await database.witness.query('select pg_terminate_backend($1)', [session?.pid]);
    await ended;
    ownEnd(raw).redirect(back);
    assert.deepEqual(await raw.ask(bind('', 'n'), execute(''), SYNC), ['2', 'C SELECT 0', 'Z I']);
  });

  it('that can’t open a session any more breaks the connection with what the driver has said', async () => {
    const world = database.world('own');
    const raw = await world.raw();
    ownEnd(raw).redirect(new OwnRoute(ownEnd(raw), () => world.open({ database: 'no_rw_test' })));
    raw.send(query('select 1'));
    assert.deepEqual(await raw.until('never'), ['E FATAL 3D000 database "no_rw_test" does not exist', 'closed']);
    const other = await world.raw();
    const broken = new Promise<Error>((resolve) => other.socket.once('error', resolve));
    ownEnd(other).redirect(new OwnRoute(ownEnd(other), () => Promise.reject(new Error('no route to host'))));
    other.send(query('select 1'));
    assert.equal((await broken).message, 'no route to host');
  });

  it('sees the segments: texts, names, raw values, limits; and may answer by itself', async () => {
    const world = database.world('own');
    const raw = await world.raw();
    const seen: unknown[] = [];
    ownEnd(raw).redirect({
      ...{ takes: 'one', copy: () => true, cancel() {}, drained() {}, leave() {} },
      run: (segment) => {
        seen.push([segment.end, segment.requests.map(said)]);
        segment.push(frames.commandComplete('MADE HERE'));
        segment.push(errorResponse({ code: 'RW002', message: 'and failed' }));
        segment.finish(frames.Status.failed);
      },
    });
    assert.deepEqual(await raw.ask(parse('n', 'select $1'), bind('p', 'n', ['v']), execute('p', 7), SYNC), [
      'C MADE HERE',
      'E ERROR RW002 and failed',
      'Z E',
    ]);
    await raw.ask(query('select 1'));
    assert.deepEqual(seen, [
      [
        'sync',
        [
          ['parse', 'n', 'select $1', '\0\0'],
          ['bind', 'p', 'n', 'v'],
          ['execute', 'p', '7'],
        ],
      ],
      ['query', [['query', 'select 1']]],
    ]);
  });
});

/** A bind is told with its values. */
function said(request: Request): string[] {
  if (request.kind === 'bind')
    return ['bind', request.portal, request.statement, ...parameters(request).map(({ value }) => String(value))];
  const { frame: _, ...rest } = request;
  return Object.values(rest).map(String);
}

function pick({ code, message, hint, detail }: DatabaseError): object {
  return { code, message, hint, detail };
}
