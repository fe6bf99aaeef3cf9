import assert from 'node:assert/strict';
import { frames } from '../../lib/wire';
import { RawClient, startupMessage } from '../support/raw-client';
import { wireDatabase } from '../support/wire-database';
import type { Way, World } from '../support/wire-world';

const { int32, query } = frames;
const code = (value: number): Buffer => Buffer.concat([int32(8), int32(value)]);
const [SSL, GSS] = [code(80877103), code(80877104)];

describe('a client starts up', () => {
  const database = wireDatabase('');
  const settings = (world: World): Record<string, string> => ({
    user: world.settings.user as string,
    database: database.name,
  });
  const bare = async (way: Way): Promise<{ world: World; client: RawClient }> => {
    const world = database.world(way);
    return { world, client: new RawClient(await world.socket()) };
  };
  const bytesOf = async (way: Way, asked: Buffer): Promise<string> => {
    const socket = await database.world(way).socket();
    socket.write(asked);
    return new Promise((resolve) => socket.once('data', (chunk: Buffer) => resolve(chunk.toString('latin1'))));
  };

  it('after it has asked for TLS and for GSSAPI, which are declined as by a server without them', async () => {
    for (const asked of [SSL, GSS]) assert.equal(await bytesOf('own', asked), 'N');
    const { world, client } = await bare('own');
    const { socket } = client;
    const answers: string[] = [];
    socket.removeAllListeners('data');
    socket.on('data', (chunk: Buffer) => answers.push(chunk.toString('latin1', 0, 1)));
    socket.write(SSL);
    socket.write(Buffer.concat([GSS, startupMessage(settings(world))]));
    while (answers.length < 3) await new Promise((resolve) => socket.once('data', resolve));
    assert.deepEqual(answers, ['N', 'N', 'R']);
  });

  it('and is told what a direct connection is told', async () => {
    const told = async (way: Way): Promise<string[]> => {
      const { world, client } = await bare(way);
      client.send(startupMessage({ ...settings(world), client_encoding: 'UTF8' }));
      return (await client.until('Z')).sort();
    };
    assert.deepEqual(await told('own'), await told('direct'));
    assert.deepEqual(await told('shared'), await told('direct'));
  });

  it('asking for protocol 3.2 and for options of it, and goes on with 3.0', async () => {
    const { world, client } = await bare('own');
    const negotiated: Buffer[] = [];
    client.socket.once('data', (chunk: Buffer) => negotiated.push(chunk));
    client.send(startupMessage({ ...settings(world), '_pq_.later': 'x' }, (3 << 16) | 2));
    assert.equal((await client.until('Z')).at(-1), 'Z I');
    const expected = frames.frame(0x76, int32(3 << 16), int32(1), '_pq_.later');
    assert.deepEqual(negotiated[0], expected);
    assert.equal(client.key?.secret.length, 4);
    assert.deepEqual((await client.ask(query('select 1 as x'))).slice(1), ['D 1', 'C SELECT 1', 'Z I']);
  });

  it('or is refused with a sentence, and cut off', async () => {
    const user = { user: 'somebody' };
    const notPostgres = (start: string): string =>
      `invalid length of startup packet: this end speaks PostgreSQL's protocol, and the client began with ${JSON.stringify(start)}`;
    for (const [sent, ...expected] of [
      [Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'), '08P01', notPostgres('GET / HTTP/1.1\r\n')],
      [Buffer.from([0x16, 3, 1, 2, 0, 1]), '08P01', notPostgres('\x16\x03\x01\x02\x00\x01')],
      [startupMessage(user, 2 << 16), '0A000', 'unsupported frontend protocol 2.0: server supports 3.0'],
      [startupMessage({ database: 'x' }), '28000', 'no PostgreSQL user name specified in startup packet'],
      [
        startupMessage({ ...user, replication: 'database' }),
        '0A000',
        'replication is not supported on a managed connection',
      ],
    ] as const) {
      const { client } = await bare('own');
      client.send(sent);
      assert.deepEqual(await client.until('never'), [`E FATAL ${expected.join(' ')}`, 'closed']);
    }
  });

  it('and is cut off when it sends what the protocol does not have', async () => {
    for (const [sent, sentence] of [
      [frames.frame(0x46), '0A000 function call messages (PQfn) are not supported on a managed connection'],
      [frames.frame(0x70, 'a password'), '08P01 invalid frontend message type "p"'],
      [Buffer.from('Q\x7f\xff\xff\xff', 'latin1'), '08P01 invalid message length'],
      [frames.frame(0x51, Buffer.from('no zero')), '08P01 invalid string in message'],
    ] as const) {
      const world = database.world('own');
      const client = await world.raw();
      client.send(sent);
      assert.deepEqual(await client.until('never'), [`E FATAL ${sentence}`, 'closed']);
      assert.deepEqual([...world.clients], []);
    }
  });

  it('only to cancel: with another’s secret nothing happens, and it is cut off without an answer', async () => {
    const { world, client: killer } = await bare('own');
    const client = await world.raw();
    const { pid, secret } = client.key as { pid: number; secret: Buffer };
    const wrong = Buffer.from(secret.map((byte) => byte ^ 1));
    client.send(query('select 1 from pg_sleep(0.05)'));
    killer.send(Buffer.concat([int32(16), int32(80877102), int32(pid), wrong]));
    assert.deepEqual(await killer.until('never'), ['closed']);
    assert.equal((await client.until('Z')).includes('D 1'), true);
  });
});
