// Which server the tests get: the one the environment names, and only if it names none, one of our own.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Client } from 'pg';
import { type EmbeddedServer, namedServer, startServer } from '../../lib/database';
import { project } from '../support/project';
import { type Lab, lab } from './support/runs';

const who = os.userInfo().username;

describe('the server that PG* variables name', () => {
  const urls: readonly [name: string, env: NodeJS.ProcessEnv, url: string][] = [
    ['PGHOST alone', { PGHOST: 'db' }, `postgresql://${who}@db:5432/${who}`],
    [
      'all of them',
      { PGHOST: 'db', PGPORT: '5433', PGUSER: 'app', PGDATABASE: 'shop_test' },
      'postgresql://app@db:5433/shop_test',
    ],
    ['a port', { PGPORT: '5433', PGUSER: 'app' }, 'postgresql://app@localhost:5433/app'],
    ['a database', { PGDATABASE: 'shop_test', PGUSER: 'app' }, 'postgresql://app@localhost:5432/shop_test'],
    [
      'an address before a name',
      { PGHOST: 'db', PGHOSTADDR: '10.0.0.7', PGUSER: 'a' },
      'postgresql://a@10.0.0.7:5432/a',
    ],
    ['IPv6', { PGHOSTADDR: '::1', PGUSER: 'a' }, 'postgresql://a@[::1]:5432/a'],
    ['a socket directory', { PGHOST: '/run/pg', PGUSER: 'a' }, 'postgresql://a@localhost:5432/a?host=%2Frun%2Fpg'],
    [
      'odd characters',
      { PGHOST: 'db', PGUSER: 'a@b/c', PGDATABASE: 'x?y#z/%' },
      'postgresql://a%40b%2Fc@db:5432/x%3Fy%23z%2F%25',
    ],
  ];
  for (const [name, env, url] of urls) {
    it(`is in the URL: ${name}`, () => assert.equal(namedServer(env)?.url, url));
  }

  it('is none where only a user or a password is set, or an empty value', () => {
    assert.equal(namedServer({ PGUSER: 'app', PGPASSWORD: 'secret', PGSSLMODE: 'require', PGHOST: '' }), undefined);
  });

  it('has no password in its URL', () => {
    assert.doesNotMatch(JSON.stringify(namedServer({ PGHOST: 'db', PGPASSWORD: 'secret' })), /secret/);
  });
});

describe('a service that PGSERVICE names', () => {
  let directory: string;
  before(() => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'rewind-service-'));
    fs.writeFileSync(
      path.join(directory, 'pg_service.conf'),
      '# comment\n[other]\nhost=wrong\n\n[shop]\r\nhost = db\r\nport=5433\nuser=app\nhost=second\n# dbname=no\ndbname=shop_test\npassword=a=b\nsslmode=require\n[last]\nhost=x\n',
    );
  });
  after(() => fs.rmSync(directory, { recursive: true }));

  it('is read from PGSERVICEFILE and from PGSYSCONFDIR, and overrides the environment', () => {
    for (const env of [
      { PGSERVICE: 'shop', PGSERVICEFILE: path.join(directory, 'pg_service.conf') },
      { PGSERVICE: 'shop', PGSERVICEFILE: path.join(directory, 'missing'), PGSYSCONFDIR: directory },
    ]) {
      assert.deepEqual(namedServer({ ...env, PGUSER: 'somebody', PGPORT: '1' }), {
        url: 'postgresql://app@db:5433/shop_test',
        env: { PGPASSWORD: 'a=b', PGSSLMODE: 'require' },
      });
    }
  });

  it('is an error with the files it was looked for in, if there is none of that name', () => {
    const env = { PGSERVICE: 'sho', PGSERVICEFILE: path.join(directory, 'pg_service.conf') };
    assert.throws(() => namedServer(env), {
      code: 'REWIND_CONFIG',
      problem: /PGSERVICE is "sho".*rewind-service-.*pg_service\.conf/,
    });
  });
});

describe('mocha-rewind/embedded', () => {
  let server: EmbeddedServer;
  let l: Lab;
  before(async () => {
    server = startServer();
    l = lab({});
    l.project.write({
      'asks.js': `
        const { Client } = require('pg');
        const { knex } = require('knex');
        console.log('URL ' + process.env.DATABASE_URL);
        it('asks', async () => {
          const c = new Client({ connectionString: process.env.DATABASE_URL });
          await c.connect();
          const { rows } = await c.query('select current_user as user, current_database() as database');
          await c.end();
          const k = knex({ client: 'pg', connection: process.env.DATABASE_URL });
          const again = await k.raw('select current_user as user, current_database() as database');
          await k.destroy();
          console.log('ANSWER ' + JSON.stringify([rows[0], again.rows[0]]));
        });`,
    });
    const c = new Client({ connectionString: server.url });
    await c.connect();
    await c.query(`create role app login password 's3cret'`);
    await c.query('create database shop_test');
    // From now on everybody needs a password.
    fs.writeFileSync(path.join(server.directory, 'data', 'pg_hba.conf'), 'local all all scram-sha-256\n');
    await c.query('select pg_reload_conf()');
    await c.end();
  });
  after(async () => {
    l.remove();
    await server.stop();
  });

  const noServerOfOurs = (): void =>
    assert.deepEqual(
      fs.readdirSync(l.temp).filter((name) => name.startsWith('mocha-rewind')),
      [],
      'it has started, or tried to start, a server',
    );

  it('keeps its hands off where DATABASE_URL is set', async () => {
    const url = server.url.replace('postgres@', 'app:s3cret@').replace('/test?', '/shop_test?');
    const ended = await l.run(['asks.js'], { env: { DATABASE_URL: url, PGHOST: 'elsewhere' } });
    assert.equal(ended.code, 0, ended.output);
    assert.match(ended.output, new RegExp(`^URL ${url.replaceAll('?', '\\?')}$`, 'm'));
    noServerOfOurs();
  });

  it('shows the app the server that PG* variables name, with the password where pg finds it, but not in the URL', async () => {
    const env = { PGHOST: server.directory, PGUSER: 'app', PGPASSWORD: 's3cret', PGDATABASE: 'shop_test' };
    const ended = await l.run(['asks.js'], { env });
    assert.equal(ended.code, 0, ended.output);
    assert.match(
      ended.output,
      /ANSWER \[\{"user":"app","database":"shop_test"\},\{"user":"app","database":"shop_test"\}\]/,
    );
    assert.doesNotMatch(ended.output, /s3cret/);
    noServerOfOurs();
  });

  it('does the same for a service, in --parallel workers too', async () => {
    l.project.write({
      'service.conf': `[shop]\nhost=${server.directory}\nuser=app\npassword=s3cret\ndbname=shop_test\n`,
      'more.js': `it('passes', () => {});`,
    });
    const env = { PGSERVICE: 'shop', PGSERVICEFILE: path.join(l.project.dir, 'service.conf') };
    const ended = await l.run(['--parallel', '--jobs', '2', 'asks.js', 'more.js'], { env });
    assert.equal(ended.code, 0, ended.output);
    assert.match(
      ended.output,
      /ANSWER \[\{"user":"app","database":"shop_test"\},\{"user":"app","database":"shop_test"\}\]/,
    );
    assert.doesNotMatch(ended.output, /s3cret/);
    noServerOfOurs();
  });

  it('ends the run with one message, said once, if the service is not there', async () => {
    for (const mocha of ['10', '11', '12'] as const) {
      const p = project({ mocha, files: { 'a.js': `console.log('LOADED');` } });
      const env = { DATABASE_URL: '', PGSERVICE: 'nowhere' };
      const ended = await p.mocha(['--require', 'mocha-rewind/embedded', 'a.js'], env);
      p.remove();
      assert.equal(ended.code, 1, ended.output);
      assert.equal(ended.output.split('REWIND_CONFIG: PGSERVICE is "nowhere"').length, 2, ended.output);
      assert.doesNotMatch(ended.output, /LOADED/);
    }
  });
});
