// The walls we lean on, in every version we say we support: first by name, then by running all behaviours on them.
import assert from 'node:assert/strict';
import type { EventEmitter } from 'node:events';
import { PassThrough } from 'node:stream';
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import { recipeOf } from '../../lib/sandbox/pg-clients';
import type { PgClient } from '../../lib/sandbox/pg-types';
import type { TarnPool } from '../../lib/sandbox/tarn-types';
import { KNEXES, PGS, repo } from '../support/project';

type Bag = Record<string, unknown>;
const load = createRequire(__filename) as (name: string) => Bag;
const own = (object: unknown, name: string): unknown => (object as Bag)[name];

describe('what the sandbox relies on', () => {
  for (const [version, name] of Object.entries(KNEXES)) {
    it(`is there in knex ${version}`, () => {
      const knex = load(name);
      const Client = knex.Client as { prototype: Bag };
      assert.equal(
        typeof Client.prototype.acquireConnection,
        'function',
        'Client#acquireConnection announces every instance',
      );
      const instance = (knex.default as (config: object) => { client: Bag })({
        client: 'pg',
        connection: { host: '/nowhere', user: 'u', database: 'd' },
      });
      const { client } = instance;
      assert.equal(client.dialect, 'postgresql');
      assert.equal(client.driverName, 'pg');
      assert.ok(client instanceof (Client as unknown as new () => object), 'a dialect inherits from Client');
      assert.ok(
        !Object.hasOwn(client, 'acquireConnection') &&
          !Object.hasOwn(Object.getPrototypeOf(client) as object, 'acquireConnection'),
        'a dialect does not override acquireConnection',
      );
      assert.ok(client.connectionSettings, 'Client#connectionSettings');
      assert.equal(typeof own(client.driver, 'Client'), 'function', 'Client#driver is pg');
      const pool = client.pool as Bag;
      for (const method of ['acquire', 'release', 'on', 'numPendingAcquires'])
        assert.equal(typeof pool[method], 'function', `client.pool.${method}`);
      assert.equal(typeof pool.max, 'number', 'client.pool.max');
      assert.ok('interval' in pool && 'used' in pool, 'who has what, and the timer that looks for idle ones');
      assert.equal(typeof client.acquireRawConnection, 'function', 'Client#acquireRawConnection makes connections');
      assert.ok(!Object.hasOwn(client, 'acquireRawConnection'), 'it is a method of a prototype');
      assert.equal(typeof client.transaction, 'function', 'Client#transaction begins transactions');
    });

    it(`tells of connections that come back to the pool of knex ${version}, and of its end`, async () => {
      const knex = (load(name).default as (config: object) => { client: Bag })({ client: 'pg', connection: {} });
      const Pool = (knex.client.pool as Bag).constructor as new (options: object) => TarnPool & {
        destroy(): Promise<unknown>;
      };
      const pool = new Pool({ min: 0, max: 1, create: () => Promise.resolve({}), destroy: () => {} });
      const told: unknown[] = [];
      pool.on('release', (resource) => told.push(resource));
      pool.on('poolDestroyRequest', () => told.push('ends'));
      for (const own of ['creator', 'validate'] as const)
        assert.equal(typeof pool[own], 'function', `a pool that an app makes itself: ${own}`);
      const client = await pool.acquire().promise;
      const waits = pool.acquire().promise;
      assert.deepEqual([pool.used.map(({ resource }) => resource), pool.numPendingAcquires()], [[client], 1]);
      pool.release(client);
      assert.equal(await waits, client);
      pool.release(client);
      assert.equal(pool.used.length, 0);
      await pool.destroy();
      assert.deepEqual(told, [client, client, 'ends']);
    });
  }

  for (const [version, name] of Object.entries(PGS)) {
    it(`is there in pg ${version}`, () => {
      const { Client } = load(name) as { Client: new (config: object) => Bag & { connect(done: () => void): void } };
      const socket = Object.assign(new PassThrough(), { connect() {}, setNoDelay() {}, setKeepAlive() {} });
      const client = new Client({ host: '/nowhere', user: 'u', database: 'd', stream: () => socket });
      assert.deepEqual(
        [client.host, client.user, client.database, typeof client.port],
        ['/nowhere', 'u', 'd', 'number'],
      );
      const connection = client.connection as Bag & EventEmitter;
      assert.equal(connection.stream, socket, 'connection.stream');
      for (const name of ['ssl', 'processID', 'connectionParameters']) assert.ok(name in client, `client.${name}`);
      assert.ok('ssl' in connection, 'connection.ssl');
      for (const method of ['connect', 'query', 'end', 'getStartupConf'])
        assert.ok(Object.hasOwn(Client.prototype as object, method), `Client#${method}: it is a client of pg's own`);
      const { Pool } = load(name) as { Pool: { prototype: object } };
      const pool = Object.getPrototypeOf(Pool.prototype) as object;
      for (const method of ['connect', 'newClient', 'query', 'end'])
        assert.ok(Object.hasOwn(pool, method), `Pool#${method}: it is the class of the package pg-pool`);
      const parse = (value: string): string => value;
      const like = { password: 'p', application_name: 'a', statement_timeout: 7, keepAlive: true };
      const types = { getTypeParser: () => parse };
      const given = { host: 'h', port: 1, user: 'u', database: 'd', connectionTimeoutMillis: 5, types, ...like };
      const original = new Client(given) as unknown as PgClient;
      const { driver, settings } = recipeOf(original);
      const again = new driver(settings);
      for (const name of ['connectionParameters', 'password', '_connectionTimeoutMillis', 'ssl'])
        assert.deepEqual(own(again, name), own(original, name), `a client can be made again: ${name}`);
      assert.equal(own(own(again, 'connection'), '_keepAlive'), true);
      assert.equal((own(again, '_types') as typeof types).getTypeParser(), parse);
      client.connect(() => {});
      for (const event of ['errorMessage', 'readyForQuery'])
        assert.ok(connection.listenerCount(event) > 0, `connection's "${event}"`);
      socket.emit('connect');
      assert.equal(socket.listenerCount('data'), 1, 'one parser');
    });
  }
});

describe('all behaviours @full', () => {
  const pairs = [
    ['2.5', '8.11'],
    ['3.0', '8.16'],
    ['3.1', 'newest'],
  ] as const;
  // Much of what they do is waiting: at once, they take little longer than one.
  let batteries: Promise<{ code: number | null; output: string }>[] = [];
  before(() => {
    batteries = pairs.map(([knex, pg]) => battery({ REWIND_TEST_KNEX: KNEXES[knex], REWIND_TEST_PG: PGS[pg] }));
  });
  after(() => Promise.all(batteries));
  for (const [i, [knex, pg]] of pairs.entries()) {
    it(`are the same on knex ${knex} with pg ${pg}`, async function () {
      this.timeout(900_000);
      const { code, output } = (await batteries[i]) ?? { code: undefined, output: '' };
      assert.equal(code, 0, output.slice(-6000));
    });
  }
});

function battery(env: NodeJS.ProcessEnv): Promise<{ code: number | null; output: string }> {
  const args = [
    '--no-config',
    '-r',
    path.join(__dirname, 'versions.cjs'),
    '-r',
    'ts-node/register',
    '--extension',
    'ts',
    '-t',
    '30000',
    '--reporter',
    'dot',
  ];
  const child = spawn(
    process.execPath,
    [path.join(repo, 'node_modules/mocha/bin/mocha.js'), ...args, path.join(__dirname, 'battery.test.ts')],
    {
      cwd: repo,
      env: { ...process.env, ...env },
    },
  );
  return new Promise((resolve, reject) => {
    let output = '';
    child.stdout.on('data', (d: Buffer) => (output += d.toString()));
    child.stderr.on('data', (d: Buffer) => (output += d.toString()));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output }));
  });
}
