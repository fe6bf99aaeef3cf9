import assert from 'node:assert/strict';
import { random } from '../support/rechunk';
import { wireDatabase } from '../support/wire-database';
import type { Way } from '../support/wire-world';
import { ordinary, ordinaryFrames, sessionFrames, sessions, TABLES } from './programs';

const SEED = Number(process.env.WIRE_SEED ?? Math.floor(Math.random() * 2 ** 31));
/** The longest piece: from single bytes to more than a socket reads at once. Of each row, one a program. */
const LONGEST = [
  [1, 2, 7],
  [40, 900, 70_000],
] as const;

describe(`whatever the chunks are, both ways (WIRE_SEED=${SEED})`, () => {
  const database = wireDatabase(TABLES);
  const own = { ...sessions, ...sessionFrames };
  const chosen = [
    'simple and extended queries, with their fields, tags, notices and errors',
    'one name on two clients, and statements that fail',
    'names that are parsed early, used late, twice, closed or unknown',
    'portals with a row limit, by Flush, with other clients between',
    'an error in a flushed part is the answer to all up to the Sync',
    'cursors and query streams, with other queries between',
    'COPY by the extended protocol: a Sync ahead of the data is passed over',
    'pipelined queries',
    'frames of several segments in one write, and a goodbye behind them',
    'transactions, with the status after each statement',
    'ParameterStatus and notifications come where a server sends them',
  ];

  for (const title of chosen) {
    it(title, async () => {
      const program = ({ ...ordinary, ...ordinaryFrames, ...own } as typeof ordinary)[title];
      assert.ok(program);
      const run = async (way: Way, longest?: number): Promise<unknown> => {
        await database.witness.query('truncate t, k restart identity');
        const world = database.world(way);
        if (longest) world.rechunked = { next: random(SEED + longest), longest };
        const seen = await program(world);
        await world.close();
        return seen;
      };
      const direct = await run('direct');
      const pick = random(SEED + title.length);
      for (const way of title in own ? (['own'] as const) : (['own', 'shared'] as const)) {
        for (const row of LONGEST) {
          const longest = row[pick(row.length)];
          assert.deepEqual(await run(way, longest), direct, `${way}, pieces of at most ${longest} bytes`);
        }
      }
    });
  }
});
