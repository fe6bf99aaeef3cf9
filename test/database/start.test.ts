// Starting a server: when, how often, where its files are, and what is said if it does not start.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { Client } from 'pg';
import { startServer } from '../../lib/database';
import { serverIdentity } from '../../lib/database/identity';
import { makeRunDirectory } from '../../lib/database/places';
import { ServerRun } from '../../lib/database/server-run';
import { fake, noting, realBinaries, runsOf } from './support/binaries';
import { type Lab, assertNoTrace, isLinux, lab, otherUser, processesOf } from './support/runs';
import { full } from '../support/tiers';

const PASSES = { 'passes.js': `it('passes', async () => { await (await client()).end(); });` };
describe('the embedded server starts', () => {
  let l: Lab;
  let real: string;
  let calls: string;
  const initdbs = (): number => fs.readFileSync(calls, 'utf8').split('\n').filter(Boolean).length;
  beforeEach(() => {
    l = lab(PASSES);
    real = realBinaries(l.temp);
    calls = path.join(l.temp, 'calls');
  });
  afterEach(() => l.remove());

  it('once per run, from a cluster that is made only once', async () => {
    const env = { REWIND_PG_BIN: noting(path.join(l.temp, 'bin'), real, calls) };
    for (const expected of [1, 1]) {
      const ended = await l.run(['passes.js'], { env });
      assert.equal(ended.code, 0, ended.output);
      assert.equal(initdbs(), expected);
      assertNoTrace(ended);
    }
  });

  it('in runs that race for the first cluster @full', async () => {
    const env = { REWIND_PG_BIN: noting(path.join(l.temp, 'bin'), real, calls) };
    const all = await Promise.all([1, 2, 3].map(() => l.run(['passes.js'], { env })));
    for (const ended of all) {
      assert.equal(ended.code, 0, ended.output);
      assertNoTrace(ended);
    }
    assert.equal(new Set(all.map((ended) => ended.seen[0]?.directory)).size, 3);
    const cache = path.join(l.temp, `mocha-rewind-cache-${process.getuid?.()}`);
    const kept = fs.readdirSync(cache).filter((name) => !name.startsWith('binaries-'));
    assert.equal(kept.length, 1, kept.join());
    assert.equal((await l.run(['passes.js'], { env })).code, 0);
  });

  for (const [what, harm] of [
    ['was cut off', (file: string): void => fs.truncateSync(file, fs.statSync(file).size / 2)],
    ['is empty', (file: string): void => fs.truncateSync(file, 0)],
    ['holds something else', (file: string): void => fs.writeFileSync(file, 'nonsense')],
  ] as const) {
    it(`with a new cluster where the kept one ${what}${full(what !== 'is empty')}`, async () => {
      const env = { REWIND_PG_BIN: noting(path.join(l.temp, 'bin'), real, calls) };
      await l.run(['passes.js'], { env });
      const cache = path.join(l.temp, `mocha-rewind-cache-${process.getuid?.()}`);
      const kept = fs.readdirSync(cache).find((name) => name.endsWith('.tar')) ?? '';
      harm(path.join(cache, kept));
      const ended = await l.run(['passes.js'], { env });
      assert.equal(ended.code, 0, ended.output);
      assert.equal(initdbs(), 2);
      assertNoTrace(ended);
      await l.run(['passes.js'], { env });
      assert.equal(initdbs(), 2);
    });
  }

  for (const mocha of ['10', '11'] as const) {
    it(`under mocha ${mocha}, also with --parallel @full`, async () => {
      const older = lab({ ...PASSES, 'more.js': `it('passes too', () => {});` }, { mocha });
      try {
        for (const args of [[], ['--parallel', '--jobs', '2']]) {
          const ended = await older.run([...args, 'passes.js', 'more.js']);
          assert.equal(ended.code, 0, ended.output);
          assert.equal(new Set(ended.seen.map((seen) => seen.directory)).size, 1, ended.output);
          assertNoTrace(ended);
        }
      } finally {
        older.remove();
      }
    });
  }

  it('once for all runs of --watch @full', async () => {
    const watching = l.start(['--watch', 'passes.js']);
    const { directory } = await watching.sees();
    await watching.says('1 passing');
    await watching.says('waiting for changes');
    const file = path.join(l.project.dir, 'passes.js');
    fs.writeFileSync(file, `${fs.readFileSync(file, 'utf8')}\nit('passes again', () => {});`);
    await watching.says('2 passing');
    watching.child.kill('SIGINT');
    const ended = await watching.finished;
    assert.deepEqual([...new Set(ended.seen.map((seen) => seen.directory))], [directory], ended.output);
    assert.ok(ended.seen.length >= 2);
    assertNoTrace(ended);
  });
});

describe('the embedded server starts', () => {
  let l: Lab;
  before(() => (l = lab(PASSES)));
  after(() => l.remove());

  it('for a program, as often as it likes, and ends when told to', async () => {
    const first = startServer();
    const second = startServer();
    assert.notEqual(first.url, second.url);
    await first.stop();
    assert.deepEqual(processesOf(first.directory), []);
    assert.equal(fs.existsSync(first.directory), false);
    const client = new Client({ connectionString: second.url });
    await client.connect();
    assert.equal((await client.query('select 1')).rowCount, 1);
    await client.end();
    await Promise.all([second.stop(), second.stop()]);
    assert.equal(fs.existsSync(second.directory), false);
  });

  it('before the next plugin does: its factory and its top level may connect', async () => {
    l.project.write({
      'factory.js': `const { Client } = require('pg');
        exports.mochaHooks = async () => {
          const c = new Client({ connectionString: process.env.DATABASE_URL });
          await c.connect(); await c.end(); console.log('FACTORY'); return {};
        };`,
      'top.mjs': `import pg from 'pg';
        const c = new pg.Client({ connectionString: process.env.DATABASE_URL });
        await c.connect(); await c.end(); console.log('TOP');`,
      'module.mjs': `import pg from 'pg';
        const c = new pg.Client({ connectionString: process.env.DATABASE_URL });
        await c.connect(); await c.end(); console.log('SPEC');
        it('passes', () => {});`,
    });
    const ended = await l.run(['--require', './factory.js', '--require', './top.mjs', 'module.mjs', 'passes.js']);
    assert.equal(ended.code, 0, ended.output);
    for (const said of ['FACTORY', 'TOP', 'SPEC']) assert.match(ended.output, new RegExp(`^${said}$`, 'm'));
    assertNoTrace(ended);
  });

  it('and answers as production would: UTF-8, sorted as people sort, upper case beyond ASCII', async () => {
    l.project.write({
      'locale.js': `const { Client } = require('pg');
        it('answers', async () => {
          const c = new Client({ connectionString: process.env.DATABASE_URL });
          await c.connect();
          const { rows } = await c.query(\`select current_setting('server_version_num')::int as version,
            current_setting('server_encoding') as encoding, current_setting('cluster_name') as cluster,
            current_database() as database, 'a' < 'B' and 'B' < 'c' as sorted, upper('é') = 'É' as upper,
            current_setting('TimeZone') as zone\`);
          await c.end();
          console.log('ROW ' + JSON.stringify(rows[0]));
        });`,
    });
    const ended = await l.run(['locale.js']);
    const row = JSON.parse(/^ROW (.*)$/m.exec(ended.output)?.[1] ?? '{}') as Record<string, unknown>;
    const icu = Number(row.version) >= 150000;
    const { version: _, ...rest } = row;
    assert.deepEqual(rest, {
      encoding: 'UTF8',
      cluster: 'mocha-rewind-embedded',
      database: 'test',
      sorted: icu,
      upper: icu,
      zone: 'UTC',
    });
  });

  it('with nothing of our environment: its processes may be another user’s', async function () {
    if (!isLinux) this.skip();
    l.project.write({
      'environ.js': `it('looks', () => {
        const fs = require('node:fs');
        const directory = new URL(process.env.DATABASE_URL).searchParams.get('host');
        const pid = fs.readFileSync(directory + '/data/postmaster.pid', 'utf8').split('\\n')[0];
        console.log('ENVIRON ' + fs.readFileSync('/proc/' + pid + '/environ', 'utf8').replaceAll('\\0', ' '));
      });`,
    });
    const ended = await l.run(['environ.js'], { env: { API_TOKEN: 'hush', PGOPTIONS: '-c work_mem=1MB' } });
    assert.match(ended.output, /ENVIRON .*PATH=/);
    assert.doesNotMatch(ended.output, /hush|work_mem/);
  });
});

describe('the embedded server’s files', () => {
  let l: Lab;
  before(() => (l = lab(PASSES)));
  after(() => l.remove());

  /** With a /dev/shm of its own, mounted with these options. */
  const withShm = (options: string): string[] => {
    const script = `mount -t tmpfs -o ${options} none /dev/shm && exec "$@"`;
    return ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, 'sh'];
  };

  for (const [what, options] of [
    ['has too little room, as in Docker', 'size=64m,mode=1777'],
    ['can’t be written to', 'ro'],
  ] as const) {
    it(`are in the temp directory where /dev/shm ${what}${full(options === 'ro')}`, async function () {
      const [command = '', ...rest] = withShm(options);
      if (spawnSync(command, [...rest, 'true']).status !== 0) {
        console.log('      skipped: no mount namespace for this user');
        return this.skip();
      }
      const ended = await l.run(undefined, { under: withShm(options) });
      assert.equal(ended.code, 0, ended.output);
      assert.equal(path.dirname(ended.seen[0]?.directory ?? ''), l.temp);
      assertNoTrace(ended);
    });
  }

  it('are where the server’s user can enter, if TMPDIR is closed to it', async () => {
    const closed = path.join(l.temp, 'closed');
    fs.mkdirSync(closed, { mode: 0o700 });
    const ended = await l.run(undefined, { env: { TMPDIR: closed } });
    assert.equal(ended.code, 0, ended.output);
    assertNoTrace(ended);
  });

  it('are not where a socket’s path would be too long', () => {
    const saved = process.env.TMPDIR;
    process.env.TMPDIR = path.join(l.temp, 'x'.repeat(90));
    fs.mkdirSync(process.env.TMPDIR);
    try {
      const directory = makeRunDirectory(serverIdentity(), '/nonexistent');
      fs.rmdirSync(directory);
      assert.equal(path.dirname(directory), '/tmp');
    } finally {
      if (saved === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = saved;
    }
  });
});

describe('an embedded server that does not start', () => {
  let l: Lab;
  beforeEach(() => (l = lab(PASSES)));
  afterEach(() => l.remove());

  const assertNothingLeft = (bin: string): void => {
    const runs = runsOf(bin);
    assert.ok(runs.length > 0, 'it was tried');
    for (const directory of runs) {
      assert.equal(fs.existsSync(directory), false);
      assert.deepEqual(processesOf(directory), []);
    }
  };

  it('is an error with its log, and leaves nothing', async () => {
    const bin = fake(path.join(l.temp, 'bin'), { serve: 'echo "FATAL:  no luck today" >&2; exit 1' });
    const ended = await l.run(undefined, { env: { REWIND_PG_BIN: bin } });
    assert.equal(ended.code, 1, ended.output);
    assert.match(
      ended.output,
      /REWIND_SERVER: The embedded PostgreSQL 16\.3 .*did not start\. Its log:\n +FATAL: {2}no luck today/,
    );
    assert.equal(ended.output.split('REWIND_SERVER').length, 2, ended.output);
    assertNothingLeft(bin);
  });

  it('is tried once more with a new cluster, and not for ever @full', async () => {
    const bin = fake(path.join(l.temp, 'bin'));
    await l.run(undefined, { env: { REWIND_PG_BIN: bin } });
    assert.equal(runsOf(bin).length, 1, 'a new cluster');
    const again = await l.run(undefined, { env: { REWIND_PG_BIN: bin } });
    assert.equal(runsOf(bin).length, 3, `the kept one, a new one: ${again.output}`);
    assertNothingLeft(bin);
  });

  it('is an error with what initdb said, and leaves nothing', async () => {
    const bin = fake(path.join(l.temp, 'bin'), { initdb: 'echo "initdb: error: no disk" >&2; exit 1' });
    const ended = await l.run(undefined, { env: { REWIND_PG_BIN: bin } });
    assert.equal(ended.code, 1, ended.output);
    assert.match(ended.output, /REWIND_SERVER: .*initdb failed:\n +initdb: error: no disk/);
    assertNothingLeft(bin);
  });

  it('is given up on, and killed if it does not listen @full', async () => {
    const bin = fake(path.join(l.temp, 'bin'), { serve: 'exec sleep 300' });
    const run = new ServerRun(serverIdentity());
    assert.equal(run.start(path.join(bin, 'postgres'), 200), false);
    assert.notDeepEqual(processesOf(run.directory), []);
    await run.end();
    assert.equal(fs.existsSync(run.directory), false);
    // The keeper's last act is to remove the directory: it may need another moment to exit.
    while (processesOf(run.directory).length > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  });

  it('leaves no keeper, though its directory was taken away meanwhile', async () => {
    const bin = fake(path.join(l.temp, 'bin'), { serve: 'exec sleep 300' });
    const run = new ServerRun(serverIdentity());
    assert.equal(run.start(path.join(bin, 'postgres'), 200), false);
    assert.notDeepEqual(processesOf(run.directory), []);
    fs.rmSync(run.directory, { recursive: true });
    await run.end();
    while (processesOf(run.directory).length > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  });

  it('is an error where somebody else has taken the cache’s place', async function () {
    const other = otherUser();
    const cache = path.join(l.temp, `mocha-rewind-cache-${process.getuid?.()}`);
    const squats: (() => void)[] = [
      () => fs.symlinkSync(l.project.dir, cache),
      () => fs.writeFileSync(cache, ''),
      () => (fs.mkdirSync(cache), fs.chmodSync(cache, 0o777)),
    ];
    if (typeof other === 'object')
      squats.push(() => (fs.mkdirSync(cache), fs.chownSync(cache, other.uid ?? 0, other.gid ?? 0)));
    for (const squat of squats) {
      fs.rmSync(cache, { recursive: true, force: true });
      squat();
      const ended = await l.run();
      assert.equal(ended.code, 1, ended.output);
      assert.match(
        ended.output,
        /REWIND_SERVER: .*mocha-rewind-cache-\d+ is not a directory that only this user can write to/,
      );
    }
  });
});
