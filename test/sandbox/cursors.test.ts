// Cursors are read page by page: a million rows need no more memory than a page of them.
import assert from 'node:assert/strict';
import v8 from 'node:v8';
import vm from 'node:vm';
import Cursor from 'pg-cursor';
import QueryStream from 'pg-query-stream';
import { Arena } from './arena';
import { acquired } from './behaviours/acquired';

v8.setFlagsFromString('--expose-gc');
const collect = vm.runInNewContext('gc') as () => void;
const used = (): number => {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

interface Open {
  read(rows: number): Promise<unknown[]>;
  close(): Promise<void>;
}

const rowsOf = (count: number, size: number): string =>
  `select g, repeat(chr(65 + g % 26), ${size}) as filler from generate_series(1, ${count}) g`;
const MANY = rowsOf(1_000_000, 100);
const MEGABYTE = 1024 * 1024;

describe('a cursor over many rows, in a rolled-back test', () => {
  let arena: Arena;
  before(async () => (arena = await Arena.open()));
  after(() => arena.close());

  /** Reads all, and returns how many rows came and by how much the memory in use has grown. */
  async function measure(pages: AsyncIterable<number>): Promise<{ rows: number; grown: number }> {
    let [rows, grown, count] = [0, 0, 0];
    const before = used();
    for await (const page of pages) {
      rows += page;
      if (count++ % 20 === 0) grown = Math.max(grown, used() - before);
    }
    return { rows, grown };
  }

  async function inTest(read: Parameters<Arena['boxed']>[0]): Promise<{ rows: number; grown: number }> {
    const { result, problems } = await arena.boxed(read, 120_000);
    assert.deepEqual(problems, []);
    return result as { rows: number; grown: number };
  }

  const cases = [
    ['a hundred megabytes', rowsOf(50_000, 2000), 50_000],
    ['a million rows @full', MANY, 1_000_000],
  ] as const;
  for (const [what, sql, count] of cases)
    it(`by pg-cursor, needs no memory for ${what}`, async () => {
      const { rows, grown } = await inTest(({ knex }) =>
        acquired(knex, async (c) => {
          const cursor = c.query(new Cursor(sql) as Open);
          const read = async function* (): AsyncGenerator<number> {
            for (let page = await cursor.read(1000); page.length > 0; page = await cursor.read(1000)) yield page.length;
          };
          const measured = await measure(read());
          await cursor.close();
          return measured;
        }),
      );
      assert.equal(rows, count);
      assert.ok(grown < 20 * MEGABYTE, `grew by ${Math.round(grown / MEGABYTE)} MB`);
    }).timeout(120_000);

  it('by Knex and pg-query-stream, needs no memory for a million rows @full', async () => {
    for (const kind of ['knex', 'query-stream']) {
      const { rows, grown } = await inTest(({ knex }) =>
        acquired(knex, async (c) => {
          const stream = (kind === 'knex'
            ? knex.raw(MANY).stream({ batchSize: 5000 } as never)
            : c.query(new QueryStream(MANY))) as unknown as AsyncIterable<unknown>;
          const read = async function* (): AsyncGenerator<number> {
            let seen = 0;
            for await (const _row of stream) if (++seen % 5000 === 0) yield 5000;
          };
          return measure(read());
        }),
      );
      assert.equal(rows, 1_000_000);
      assert.ok(grown < 20 * MEGABYTE, `${kind} grew by ${Math.round(grown / MEGABYTE)} MB`);
    }
  }).timeout(240_000);
});
