// What killed runs and killed keepers leave behind is gone with the next start, and nothing else is.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { serverIdentity } from '../../lib/database/identity';
import { giveTo, makeRunDirectory } from '../../lib/database/places';
import { claim, sweepRunDirectories } from '../../lib/database/sweep';
import { type Ended, type Lab, assertNoTrace, assertNoTraceSoon, isLinux, lab, processesOf } from './support/runs';

const SPECS = {
  'passes.js': `it('passes', async () => { await (await client()).end(); });`,
  'waits.js': `it('waits', async function () { this.timeout(0); await client(); console.log('READY'); await forever(); });`,
  // Long enough for the sweep to have looked at everything.
  'lingers.js': `it('lingers', () => new Promise((resolve) => setTimeout(resolve, 500)));`,
};
const identity = serverIdentity();

/** Children first: a keeper's shell that is left when its parent dies finds its input ended, and ends the server in time. */
function kill(directory: string, which: (line: string) => boolean): void {
  const pids = processesOf(directory)
    .filter(which)
    .map((line) => Number.parseInt(line, 10))
    .sort((a, b) => b - a);
  for (const pid of pids) process.kill(pid, 'SIGKILL');
}
const isKeeper = (line: string): boolean => line.includes('mocha-rewind-keeper');

async function answers(directory: string): Promise<boolean> {
  const client = new Client({ host: directory, user: 'postgres', database: 'test' });
  client.on('error', () => {});
  try {
    await client.connect();
    await client.end();
    return true;
  } catch {
    return false;
  }
}

describe('the next start', () => {
  let l: Lab;
  before(() => (l = lab(SPECS)));
  after(() => l.remove());

  /** A run of which nobody is left to clean up. */
  async function killedRun(alsoKilled: (line: string) => boolean): Promise<Ended> {
    const { child, says, sees, finished } = l.start(['waits.js']);
    await says('READY');
    const { directory } = await sees();
    kill(directory, (line) => isKeeper(line) || alsoKilled(line));
    child.kill('SIGKILL');
    return finished;
  }

  it('ends a server whose process and keeper were killed @full', async () => {
    // Any other start on this machine may be the next one, and end it at once: then it has to be done again.
    let killed: Ended;
    let tries = 0;
    do killed = await killedRun(() => false);
    while (!(await answers(killed.seen[0]?.directory ?? '')) && ++tries < 5);
    assert.ok(tries < 5, 'the server goes on without its keeper');
    assertNoTrace(await l.run(['lingers.js']));
    await assertNoTraceSoon(killed);
  });

  it('removes the directory and the shared memory of a run that was killed as a whole', async () => {
    const killed = await killedRun(() => true);
    assert.ok(fs.existsSync(killed.seen[0]?.directory ?? ''), 'the directory is still there');
    assertNoTrace(await l.run(['lingers.js']));
    await assertNoTraceSoon(killed);
  });

  it('leaves a run alone whose process lives, though its keeper was killed @full', async () => {
    const running = l.start(['waits.js']);
    await running.says('READY');
    const { directory } = await running.sees();
    kill(directory, isKeeper);
    assertNoTrace(await l.run(['lingers.js']));
    assert.ok(await answers(directory));
    running.child.kill('SIGKILL');
    const killed = await running.finished;
    assertNoTrace(await l.run(['lingers.js']));
    await assertNoTraceSoon(killed);
  });
});

describe('a run whose keeper was killed @full', () => {
  it('ends its server itself', async () => {
    const l = lab(SPECS);
    const running = l.start(['lingers.js']);
    kill((await running.sees()).directory, isKeeper);
    const ended = await running.finished;
    assert.equal(ended.code, 0, ended.output);
    assertNoTrace(ended);
    l.remove();
  });
});

describe('a run whose server was killed', () => {
  it('says so with the log, and leaves nothing', async () => {
    const l = lab(SPECS);
    const running = l.start(['lingers.js']);
    process.kill((await running.sees()).postmaster, 'SIGKILL');
    const ended = await running.finished;
    assert.match(ended.stderr, /REWIND_SERVER: the embedded PostgreSQL ended before its time/);
    assertNoTrace(ended);
    l.remove();
  });
});

describe('sweeping', () => {
  const made: string[] = [];
  const make = (): string => {
    const directory = makeRunDirectory(identity);
    made.push(directory);
    return directory;
  };
  /** Leaves the socket in the state in which a killed process leaves it. */
  const claimAndDie = (directory: string): void => {
    const script = `require('node:net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`;
    spawnSync(process.execPath, ['-e', script, path.join(directory, 'owner')]);
  };
  after(() => {
    for (const directory of made) fs.rmSync(directory, { recursive: true, force: true });
  });

  async function gone(directory: string): Promise<boolean> {
    for (let tries = 0; tries < 100 && fs.existsSync(directory); tries += 1) await sleep(50);
    return !fs.existsSync(directory);
  }

  it('takes a directory whose owner is dead, and none that is in use or just being made', async () => {
    const [used, fresh, old, dead] = [make(), make(), make(), make()];
    const claimed = claim(used);
    claimAndDie(dead);
    const hourAgo = Date.now() / 1000 - 3600;
    fs.utimesSync(old, hourAgo, hourAgo);
    const stale = await sweepRunDirectories(identity);
    // Another run on this machine may have been quicker.
    assert.ok(!stale.includes(used) && !stale.includes(fresh));
    assert.ok((await gone(old)) && (await gone(dead)));
    assert.ok(fs.existsSync(used) && fs.existsSync(fresh));
    claimed.release();
  });

  it('ends no process that merely has the number of a server that is gone', async () => {
    const innocent = spawn('sleep', ['60'], { ...identity, stdio: 'ignore' });
    const directory = make();
    fs.mkdirSync(path.join(directory, 'data'));
    fs.writeFileSync(path.join(directory, 'data', 'postmaster.pid'), `${innocent.pid}\n`);
    for (const name of ['data', 'data/postmaster.pid']) giveTo(identity, path.join(directory, name));
    claimAndDie(directory);
    await sweepRunDirectories(identity);
    assert.ok(await gone(directory));
    assert.equal(innocent.signalCode, null);
    assert.ok(innocent.kill());
  });

  it('follows no link, and takes nothing that belongs to another user', async function () {
    if (process.getuid?.() !== 0 || !isLinux) this.skip();
    const foreign = make();
    fs.chownSync(foreign, 0, 0); // root's own directories are none of ours: our servers run as somebody else
    claimAndDie(foreign);
    const target = make();
    const link = `${target}-link`;
    fs.symlinkSync(target, link);
    made.push(link);
    claimAndDie(target);
    const stale = await sweepRunDirectories(identity);
    assert.ok(!stale.includes(foreign) && !stale.includes(link));
    assert.ok(fs.existsSync(foreign));
  });
});
