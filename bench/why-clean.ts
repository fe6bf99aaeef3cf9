// What cleaning costs: the same suite with nothing cleaned at all, rolled back, really committed and restored, and with the
// usual hook that empties every table. For docs/why-clean.md. Real mocha processes, the contestants in turn, in each round in
// another order.
//
//   npm run build && DATABASE_URL=postgresql://… npx ts-node bench/why-clean.ts [tests=200] [tables=20] [rounds=9]
import { type TestDatabase, createDatabase } from '../test/support/database';
import { project } from '../test/support/project';

const [TESTS = 200, TABLES = 20, ROUNDS = 9] = process.argv.slice(2).map(Number);
const ROWS = 20;

interface Contestant {
  readonly name: string;
  /** Mode of all tests; undefined: without the plugin. */
  readonly mode?: 'rollback' | 'truncate' | 'unmanaged';
  readonly hook?: string;
}

const tables = Array.from({ length: TABLES }, (_, i) => `t${i}`);
const seed = tables
  .map((t) => `insert into ${t} (name) select 'row ' || n from generate_series(1, ${ROWS}) n`)
  .join('; ');

const CONTESTANTS: readonly Contestant[] = [
  { name: 'nothing cleaned, without mocha-rewind' },
  { name: 'nothing cleaned (`unmanaged`)', mode: 'unmanaged' },
  { name: 'rolled back (`rollback`)', mode: 'rollback' },
  { name: 'committed, restored (`truncate`)', mode: 'truncate' },
  {
    name: 'by hand: TRUNCATE of all tables, seeds again',
    hook: `beforeEach(() => db.raw(\`truncate ${tables.join(', ')} restart identity; ${seed}\`));`,
  },
];

const SCHEMA = `${tables
  .map(
    (t, i) =>
      `create table ${t} (id serial primary key, name text not null, parent_id int references t${Math.max(0, i - 1)})`,
  )
  .join('; ')}; ${seed}`;

const spec = (hook = ''): string => `
const assert = require('node:assert/strict');
const db = require('./db');
${hook}
after(() => db.destroy());
for (let i = 0; i < ${TESTS}; i++) {
  it('test ' + i, async () => {
    const table = 't' + (i % ${TABLES});
    const [{ id }] = await db(table).insert({ name: 'new ' + i }).returning('id');
    assert.equal((await db(table).where({ id }).first()).name, 'new ' + i);
    assert.ok((await db(table).count().first()).count > ${ROWS});
  });
}`;

/** Milliseconds of one run, as Mocha counts them: hooks and tests, without starting the process and loading files. */
async function run({ mode, hook }: Contestant, database: TestDatabase): Promise<number> {
  const p = project({
    files: {
      'db.js': `module.exports = require('knex')({ client: 'pg', connection: process.env.DATABASE_URL, pool: { min: 0, max: 4 } });`,
      'rewind.config.json': { default: mode ?? 'rollback' },
      'a.spec.js': spec(hook),
    },
  });
  try {
    const plugin = mode ? ['--require', 'mocha-rewind/register'] : [];
    const { code, stdout, output } = await p.mocha([...plugin, '--reporter', 'json', 'a.spec.js'], {
      DATABASE_URL: database.url,
    });
    if (code !== 0) throw new Error(output);
    const { stats } = JSON.parse(stdout.slice(stdout.indexOf('{\n  "stats"'))) as { stats: { duration: number } };
    return stats.duration;
  } finally {
    p.remove();
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

async function main(): Promise<void> {
  const times = new Map(CONTESTANTS.map((contestant) => [contestant, [] as number[]]));
  let settings = '';
  for (let round = 0; round < ROUNDS; round++) {
    for (let i = 0; i < CONTESTANTS.length; i++) {
      const contestant = CONTESTANTS[(i + round) % CONTESTANTS.length]!;
      // A database of its own each time: what the last contestant left must not cost the next one anything.
      const database = await createDatabase(SCHEMA);
      try {
        const [found] = await database.query<Record<string, string>>(
          `select current_setting('server_version') as version, current_setting('fsync') as fsync`,
        );
        settings = `PostgreSQL ${found?.['version']}, fsync ${found?.['fsync']}`;
        times.get(contestant)?.push(await run(contestant, database));
      } finally {
        await database.drop();
      }
    }
  }
  const base = median(times.get(CONTESTANTS[0]!) ?? []);
  console.log(
    `${TESTS} tests of 1 insert and 2 selects, ${TABLES} tables of ${ROWS} rows, median of ${ROUNDS} runs; ${settings}\n`,
  );
  console.log('| | run, ms | against nothing cleaned | ms per test |\n|---|---|---|---|');
  for (const [{ name }, all] of times) {
    const ms = median(all);
    console.log(`| ${name} | ${ms} | ${(ms / base).toFixed(2)} × | ${((ms - base) / TESTS).toFixed(2)} |`);
  }
}

void main();
