import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { Client } from 'pg';
import {
  Answer,
  type Batch,
  type BatchOwner,
  type ClientStream,
  frames,
  type Outcome,
  ServerConnection,
} from '../../lib/wire';
import { urlOf } from '../support/database';
import { random, Rechunked } from '../support/rechunk';
import { wireDatabase } from '../support/wire-database';
import { untilActive } from './programs';

const { bind, execute, parse, query, readRow, SYNC } = frames;
const one = (text: string): Buffer[] => [parse('', text), bind('', ''), execute('')];

/** Runs it, and gives what the owner is told. */
function told(server: ServerConnection, batch: Batch): Promise<Outcome & { answer: string }> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    const owner: BatchOwner = {
      push: (bytes) => parts.push(bytes),
      done: (outcome) => resolve({ ...outcome, answer: types(...parts, ...(outcome.tail ? [outcome.tail] : [])) }),
      lost: ({ response, error }) => reject(error ?? new Error(response ? response.toString() : 'closed')),
    };
    server.run(batch, owner);
  });
}

function types(...chunks: readonly Buffer[]): string {
  const bytes = Buffer.concat(chunks);
  let letters = '';
  for (let at = 0; at < bytes.length; at += 1 + bytes.readInt32BE(at + 1))
    letters += String.fromCharCode(bytes[at] ?? 0);
  return letters;
}

describe('a server connection', () => {
  const database = wireDatabase('create table t (u int unique)');
  it('runs statements of ours ahead under the same Sync: nothing of them is shown, and their rows are ours', async () => {
    const server = await database.world('own').open();
    for (let i = 0; i < 2; i++) {
      const rows: unknown[] = [];
      const batch = server.batch();
      batch.own("select $1 || ' is ours', null", ['this'], (row) => rows.push(readRow(row)));
      batch.ownOnce("do $$ begin raise notice 'not for the client'; end $$").own('set work_mem = 64');
      if (i === 0) for (const text of one('show work_mem')) batch.show(text, answerOf(text));
      else batch.query('show work_mem');
      if (i === 0) batch.sync(true);
      const outcome = await told(server, batch);
      assert.equal(outcome.answer, i === 0 ? '12DCZ' : 'TDCZ');
      assert.deepEqual([outcome.failed, outcome.status, rows], [undefined, 0x49, [['this is ours', null]]]);
    }
    await server.quit();
  });

  it('tells when one of ours fails: what stands behind it does not run, a Query included, and nobody hangs', async () => {
    const server = await database.world('own').open();
    const batches = [
      server.batch().own('select 1').own('select 1/0').query('insert into t values (1) returning u'),
      server.batch().query("select 'next'"),
      showAll(server.batch().own('select 2/0'), one('insert into t values (1)')).sync(true),
      showAll(server.batch(), one("select 'last'")).sync(true),
    ];
    const outcomes = await Promise.all(batches.map((batch) => told(server, batch)));
    assert.deepEqual(
      outcomes.map(({ answer, failed, status, error }) => [
        answer,
        failed,
        status,
        error && frames.stringAt(error, 5)[0],
      ]),
      [
        ['', 'own', 0x49, 'SERROR'],
        ['TDCZ', undefined, 0x49, undefined],
        ['Z', 'own', 0x49, 'SERROR'],
        ['12DCZ', undefined, 0x49, undefined],
      ],
    );
    assert.equal((await database.witness.query('select from t')).rowCount, 0);
    void server.quit();
  });

  it('runs a Query behind statements of ours as if it stood alone: it commits, a COPY too', async () => {
    const server = await database.world('own').open();
    const ahead = (): Batch => server.batch().own('select 1').own('select 2');
    const inserted = await told(server, ahead().query('insert into t values (1)'));
    assert.deepEqual([inserted.answer, inserted.status], ['CZ', 0x49]);
    const copied = new Promise<Outcome>((resolve) => {
      server.run(ahead().query('copy t from stdin'), {
        push: () => {},
        copyIn: () => {
          server.copy(frames.frame(0x64, Buffer.from('2\n')));
          return server.copy(frames.frame(0x63));
        },
        done: resolve,
        lost: () => {},
      });
    });
    assert.equal((await copied).status, 0x49);
    assert.equal((await database.witness.query('select from t')).rowCount, 2);
    await database.witness.query('truncate t');
    void server.quit();
  });

  it('gives answers made here in their turn, and not behind an error', async () => {
    const server = await database.world('own').open();
    const made = frames.commandComplete('MADE');
    const mixed = showAll(server.batch().answer(made), one('select 1')).answer(made).sync(true);
    const failing = showAll(server.batch().answer(made), one('select 1/0')).answer(made).sync(true);
    const local = server.batch().answer(made);
    const outcomes = await Promise.all([mixed, failing, local].map((batch) => told(server, batch)));
    assert.deepEqual(
      outcomes.map(({ answer }) => answer),
      ['C12DCCZ', 'C1EZ', 'C'],
    );
    void server.quit();
  });

  it('parses a text once for all clients; in another search path, or after it was told to forget, anew', async () => {
    const world = database.world('shared');
    const [a, b] = [await world.raw(), await world.raw()];
    const paths = new Map<unknown, string>();
    const route = world.sharedRoute;
    route.view.searchPathOf = (client) => paths.get(client) ?? '';
    const count = async (): Promise<number> => {
      const answer = await a.ask(
        query("select count(*) from pg_prepared_statements where statement = 'table pg_class'"),
      );
      return Number(answer.find((line) => line.startsWith('D'))?.slice(2));
    };
    await a.ask(parse('x', 'table pg_class'), SYNC);
    await b.ask(parse('y', 'table pg_class'), bind('', 'y'), SYNC);
    assert.equal(await count(), 1);
    paths.set((b.socket as ClientStream).client, 'other');
    await b.ask(bind('', 'y'), SYNC);
    assert.equal(await count(), 2);
    route.server?.names.forget();
    assert.deepEqual(await a.ask(bind('', 'x'), SYNC), ['2', 'Z I']);
    assert.equal(await count(), 1, 'what is forgotten is closed');
  });

  it('knows that DISCARD ALL has dropped its names', async () => {
    const server = await database.world('own').open();
    await told(server, server.batch().own('select 1').sync(false));
    await told(server, server.batch().query('discard all'));
    assert.equal((await told(server, server.batch().own('select 1').sync(false))).failed, undefined);
    void server.quit();
  });

  it('sends what is rewritten, and runs statements of ours around a fetch', async () => {
    const world = database.world('shared');
    const [a, b] = [await world.raw(), await world.raw()];
    const route = world.sharedRoute;
    route.view.textOf = ({ text }) => text.replace('now()', "timestamp '2020-01-01'");
    assert.deepEqual(await a.ask(...one('select now()'), SYNC), [
      '1',
      '2',
      'D 2020-01-01 00:00:00',
      'C SELECT 1',
      'Z I',
    ]);
    a.send(parse('', 'select 10/(3-g) from generate_series(1, 3) g'), bind('', ''), execute('', 1), frames.FLUSH);
    assert.deepEqual(await a.until('s'), ['1', '2', 'D 5', 's']);
    route.ahead = ['SAVEPOINT around'];
    route.behind = ['RELEASE SAVEPOINT around'];
    a.send(execute('', 1), frames.FLUSH);
    assert.deepEqual(await a.until('s'), ['D 10', 's']);
    route.behind = [];
    a.send(execute('', 1), frames.FLUSH);
    assert.deepEqual(await a.until('E'), ['E ERROR 22012 division by zero']);
    assert.deepEqual(await a.ask(SYNC), ['Z I']);
    assert.deepEqual((await b.ask(query('select 1'))).at(-1), 'Z I');
    const left = await b.ask(query("select count(*) from pg_cursors where name <> ''"));
    assert.ok(left.includes('D 0'), 'portals are closed when their transaction ends');
  });

  it('cancels what runs; a statement that still waits gets an error of ours', async () => {
    const world = database.world('shared');
    const [a, b] = [await world.raw(), await world.raw()];
    const route = world.sharedRoute;
    a.send(query('select pg_sleep(10)'));
    b.send(query('select 1'));
    await untilActive(world, 'select pg_sleep(10)');
    assert.equal(a.key?.pid, b.key?.pid);
    route.cancel((b.socket as ClientStream).client);
    assert.deepEqual(await b.until('Z'), ['E ERROR 57014 canceling statement due to user request', 'Z I']);
    await route.server?.cancel();
    assert.deepEqual((await a.until('Z')).slice(-2), ['E ERROR 57014 canceling statement due to user request', 'Z I']);
  });

  it('tells each who waits for it what the server said when it ended', async () => {
    const server = await database.world('own').open();
    const running = [told(server, server.batch().query('select pg_sleep(10)'))];
    running.push(told(server, server.batch().own('select 1').query('select 2'))); // not sent before the first is answered
    await untilActive(database.world('own'), 'select pg_sleep(10)');
    await database.witness.query('select pg_terminate_backend($1)', [server.pid]);
    const waiting = [...running, told(server, server.batch().query('select 3'))];
    for (const each of waiting)
      await assert.rejects(each, /57P01.*terminating connection due to administrator command/);
    await assert.rejects(told(server, server.batch().query('select 4')), /57P01/);
  });

  it('keeps the process alive while a job runs, and only then', async () => {
    const server = await database.world('own').open();
    const alive = (): number =>
      process.getActiveResourcesInfo().filter((name) => /^(Pipe|TCPSocket)Wrap$/.test(name)).length;
    const before = alive();
    const running = told(server, server.batch().query('select pg_sleep(0.05)'));
    assert.equal(alive(), before + 1);
    await running;
    assert.equal(alive(), before);
    void server.quit();
  });

  it('gives a driver whole frames between batches, whatever the chunks are, and has the session again', async () => {
    const client = new Client({ connectionString: urlOf(database.name) });
    await client.connect();
    await client.query('listen between');
    const opened = client as unknown as { connection: { stream: Socket }; processID: number };
    const { stream } = opened.connection;
    const parsers = stream.listeners('data') as ((bytes: Buffer) => void)[];
    stream.removeAllListeners('data');
    const heard: (string | undefined)[] = [];
    client.on('error', () => {}); // it is not ended as pg would end it
    client.on('notification', ({ payload }) => heard.push(payload));
    const server = new ServerConnection({
      socket: new Rechunked(stream, random(7), 9),
      ...{ parameters: [], pid: opened.processID, secret: Buffer.alloc(4), dial: () => stream },
    });
    server.between = server.onUnasked = (frame) => parsers.forEach((parse) => parse(frame));
    for (let i = 0; i < 20; i++) {
      const { rows } = await client
        .query(`set application_name to 'a${i}'; select pg_notify('between', '${i}')`)
        .then((results) => (results as unknown as { rows: object[] }[])[1] ?? { rows: [] });
      assert.equal(rows.length, 1);
      assert.equal(server.parameters.get('application_name'), `a${i}`);
      await told(server, server.batch().query(`select pg_notify('between', 'batch ${i}')`));
    }
    await client.query('begin');
    assert.equal(server.status, frames.Status.open);
    await client.query('commit');
    assert.equal(heard.length, 40);
    stream.destroy();
  });

  it('reads no further than its client does', async () => {
    const world = database.world('own');
    const raw = await world.raw();
    const { socket } = raw;
    const counted = world.sockets[0] as { bytesRead: number };
    socket.pause();
    raw.send(query("select repeat('x', 4000) from generate_series(1, 4000)"));
    let read = -1;
    while (read !== counted.bytesRead || read < 1000) {
      read = counted.bytesRead;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.ok(read < 4_000_000, `${read} bytes were read for a client that reads none`);
    socket.resume();
    assert.equal((await raw.until('Z')).filter((line) => line.startsWith('D')).length, 4000);
  });

  it('breaks with a sentence when the server sends what is no frame', async () => {
    const socket = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
    const server = new ServerConnection({ socket, parameters: [], pid: 1, secret: SYNC, dial: () => socket });
    const lost = assert.rejects(told(server, server.batch().query('select 1')), /invalid message length/);
    socket.push(Buffer.from('Z\xff\xff\xff\xff', 'latin1'));
    await lost;
    assert.equal(server.ended?.error?.message, 'invalid message length');
  });
});

function answerOf(frame: Buffer): (typeof Answer)['parse' | 'bind' | 'execute'] {
  return frame[0] === 0x50 ? Answer.parse : frame[0] === 0x42 ? Answer.bind : Answer.execute;
}
function showAll(batch: Batch, sent: readonly Buffer[]): Batch {
  for (const frame of sent) batch.show(frame, answerOf(frame));
  return batch;
}
