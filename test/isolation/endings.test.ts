// What is left of a run that is ended from outside, or ends itself, in each phase: a red exit code, nobody who goes on,
// and a database that the next run finds, or makes, clean.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { type Finished, project } from '../support/project';
import { SPEC, assertGreen, run } from '../support/run';
import { MANAGED, eachWithUsers } from '../support/users';
import { full } from '../support/tiers';

const TAGS: Readonly<Record<string, string>> = { rollback: '', truncate: ' @truncate', schema: ' @schema' };
const PARALLEL = ['--parallel', '--jobs', '2'];

/** The rows are written, by whichever mode; the file `up` says so. */
const UP = `const up = () => require('node:fs').writeFileSync('up', '');
const write = async () => { await db('users').where({ name: 'ann' }).del(); await db('users').insert({ name: 'cy' }); };
const forever = () => new Promise(() => { setInterval(() => {}, 1000); });
`;

interface Ending {
  readonly mode: keyof typeof TAGS;
  readonly args?: readonly string[];
  /** Sent to the main process as soon as the test has written. */
  readonly signal?: NodeJS.Signals;
  /** What the test does when it has written, where nobody sends a signal. */
  readonly body?: string;
  /** In place of the test. */
  readonly spec?: (tag: string) => string;
  readonly says?: RegExp;
}

const at = (mode: string, how: string): string => `${how}, in a ${mode} test`;

const ENDINGS: Readonly<Record<string, Ending>> = {
  ...Object.fromEntries(
    (['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGKILL'] as const).flatMap((signal, i) => {
      const modes = ['truncate', 'schema', 'rollback', 'truncate'];
      const [serial = '', parallel = ''] = [modes[i], modes[(i + 1) % 4]];
      return [
        [at(serial, signal), { mode: serial, signal }],
        [at(parallel, `${signal} of --parallel`), { mode: parallel, signal, args: PARALLEL }],
      ];
    }),
  ),
  ...Object.fromEntries(
    Object.keys(TAGS).map((mode) => [
      at(mode, 'process.exit(0)'),
      { mode, body: 'process.exit(0)', says: /the run stopped before its end, in "is ended/ },
    ]),
  ),
  'process.exit(0) in a worker': { mode: 'truncate', body: 'process.exit(0)', args: PARALLEL },
  'process.exit(0) in the hook of a committing suite': {
    mode: 'truncate',
    spec: (tag) =>
      `describe('S${tag}', () => { before(async () => { await write(); process.exit(0); }); it('a', () => {}); });`,
    says: /the run stopped before its end, in "S @truncate"/,
  },
  'process.exit(0) while a spec file is loaded': {
    mode: 'truncate',
    spec: (tag) => `it('a${tag}', write); process.exit(0);`,
    says: /the run stopped before its end, before it had begun/,
  },
  'SIGKILL of a worker': { mode: 'truncate', body: `process.kill(process.pid, 'SIGKILL')`, args: PARALLEL },
  'a worker that is cut off': { mode: 'schema', body: 'process.disconnect()', args: PARALLEL },
};

/** For `test:full`: each signal and each mode are in the others. */
const WAITS = /--parallel|worker|cut off|SIGHUP|SIGKILL|in the hook|is loaded|exit\(0\), in a (?:truncate|rollback)/;

describe('a run that is ended by', function () {
  this.timeout(120_000);
  const given = eachWithUsers();

  const end = async (ending: Ending): Promise<Finished> => {
    const tag = TAGS[ending.mode] ?? '';
    const own =
      ending.spec?.(tag) ??
      `it('is ended${tag}', async () => { await write(); up(); ${ending.body ?? ''}; await forever(); }).timeout(60_000);`;
    const p = project({
      files: {
        'db.js': `module.exports = require('knex').knex({ client: 'pg', connection: process.env.DATABASE_URL });`,
        'rewind.config.js': `module.exports = ${MANAGED}`,
        'a.spec.js': SPEC + UP + own,
        'b.spec.js': `it('is another file', () => {});`,
      },
    });
    try {
      const args = ['--require', 'mocha-rewind/register', ...(ending.args ?? []), 'a.spec.js', 'b.spec.js'];
      const { child, finished } = p.start(args, { DATABASE_URL: given.database.url });
      const limit = setTimeout(() => child.kill('SIGKILL'), 60_000);
      const { signal } = ending;
      if (signal) {
        let over = false;
        void finished.then(() => (over = true));
        while (!over && !fs.existsSync(path.join(p.dir, 'up'))) await new Promise((r) => setTimeout(r, 20));
        child.kill(signal);
      }
      const result = await finished;
      clearTimeout(limit);
      return result;
    } finally {
      p.remove();
    }
  };

  /** Clients that are still connected to it, or to a clone of it. */
  const connected = async (): Promise<unknown[]> =>
    given.database.query(
      `select datname, application_name, query from pg_stat_activity
       where datname like '${given.database.name}%' and pid <> pg_backend_pid() and backend_type = 'client backend'`,
    );

  for (const [what, ending] of Object.entries(ENDINGS)) {
    it(`${what}${full(WAITS.test(what))}`, async () => {
      const ended = await end(ending);
      assert.ok(ended.code !== 0, ended.output);
      if (ending.signal === 'SIGKILL') assert.equal(ended.signal, 'SIGKILL');
      if (ending.says) assert.match(ended.stderr, ending.says);
      for (let i = 0; (await connected()).length > 0 && i < 100; i++) await new Promise((r) => setTimeout(r, 50));
      assert.deepEqual(await connected(), [], 'nobody goes on');

      assertGreen(
        await run(
          {
            'a.spec.js': `for (const tag of ['', ' @truncate', ' @schema']) it('is clean' + tag, async () => assert.equal(await names(), 'ann,bob'));`,
          },
          { database: given.database, config: MANAGED, args: ending.args ?? [] },
        ),
      );
      assert.equal(await given.usersNow(), 'ann,bob');
      const left = await given.database.query(
        `select datname from pg_database where datname like '${given.database.name}\\_%'`,
      );
      assert.deepEqual(left, [], 'no clone is left');
    });
  }
});
