// The property: a random program of 2 to 4 workers gives in the sandbox what it gives on a real pool, step by step and in
// the end. REWIND_TEST_ROUNDS and REWIND_TEST_SEED choose how many, and which.
import assert from 'node:assert/strict';
import type { Knex } from 'knex';
import { Arena, scope } from './arena';
import { scopeContext } from '../../lib/scope';
import { rounds } from '../support/tiers';
import { program, runProgram } from './programs';

const SEED = Number(process.env.REWIND_TEST_SEED ?? Date.now() % 1_000_000);

/**
 * Knex calls a transaction's callback even where its SAVEPOINT failed, and rejects at the same time (transaction.js,
 * _onAcquire): two flows of one worker then race, on a real pool as well (seed 665222 has two ends there, one in 40 runs).
 * What such a worker saw and left is not compared.
 */
const races = (log: readonly unknown[]): boolean => log.some((x) => /^error 25P02|already complete/.test(String(x)));

/** Each worker writes values with its number at their end. */
const rowsOfOthers = (end: unknown, racing: ReadonlySet<number>): string[] =>
  (end as [string[]])[0].filter((v) => !racing.has(Number(v.split('_')[1])));

type Outcome = Awaited<ReturnType<typeof runProgram>>;

/**
 * How often a program may run on the real pool until it does what it did in the sandbox. Where Knex races, a connection
 * can come back to the real pool with its transaction open; whose statement runs in that, and is lost, differs from run to
 * run (seeds 714971 and 971037: in one of three).
 */
const REAL_RUNS = 20;

/** Returns how many steps were compared. */
function assertSame(seen: Outcome, real: Outcome, hint: string): number {
  let compared = 0;
  const racing = new Set<number>();
  for (const [i, log] of real.logs.entries()) {
    const other = seen.logs[i] ?? [];
    if (races(log) || races(other)) {
      racing.add(i + 1);
      continue;
    }
    assert.deepEqual(other, log, `worker ${i + 1}; ${hint}`);
    compared += log.length;
  }
  if (racing.size === 0) assert.deepEqual(seen.end, real.end, hint);
  else assert.deepEqual(rowsOfOthers(seen.end, racing), rowsOfOthers(real.end, racing), hint);
  return compared;
}

describe(`random programs (seed ${SEED})`, () => {
  let arena: Arena;
  let plain: Knex;
  let boxed: Knex;
  before(async () => {
    arena = await Arena.open();
    plain = arena.env(true).makeKnex({ pool: { max: 8 } });
    boxed = arena.env(false).makeKnex({ pool: { max: 8 } });
  });
  after(() => arena.close());

  for (const [count, mark] of rounds(60, 150))
    it(`do in the sandbox what they do on a real pool, ${count} of them${mark}`, async function () {
      this.timeout(0);
      let compared = 0;
      for (let seed = SEED; seed < SEED + count; seed++) {
        const given = program(seed);
        const test = scope('test', `program ${seed}`, arena.root);
        arena.sandbox.enter(test);
        const seen = await scopeContext.run(test, () => runProgram(boxed, given));
        test.ended = true;
        const problems = arena.sandbox.leave(test);
        const hint = `REWIND_TEST_SEED=${seed} REWIND_TEST_ROUNDS=1; program: ${JSON.stringify(given)}`;
        assert.deepEqual(problems.map(String), [], hint);
        for (let left = REAL_RUNS; ; left--) {
          await plain.raw('truncate pa, ch, now_immediate');
          const real = await runProgram(plain, given);
          try {
            compared += assertSame(seen, real, hint);
            break;
          } catch (difference) {
            if (left === 0) throw difference;
            await plain.destroy();
            plain.initialize();
          }
        }
        if (seed % 20 === 0) {
          await arena.sandbox.flush();
          assert.deepEqual(await arena.boxedDb.query('select v from pa'), [], `rows were really committed; ${hint}`);
        }
      }
      if (count >= 100) assert.ok(compared > count * 10, 'hardly anything was compared');
    });
});
