// What a restore looks at must not grow with the database. Told by the pages that the server reads for it, not by a clock.
import assert from 'node:assert/strict';
import type { Snapshot } from '../../lib/snapshot';
import type { Query } from '../../lib/sql';
import { serverUrl } from '../support/database';
import { type Ground, contents, differences, ground, own } from './support';

const FEW = 10;
const MANY = 300;
/** Relations whose counters are read together: see relations.ts. */
const GROUP = 32;
/** Pages of our own bookkeeping: a row for each sequence, and one for each group. */
const SLACK = 40;

interface Plan {
  readonly 'QUERY PLAN': readonly { readonly Plan: Record<'Shared Hit Blocks' | 'Shared Read Blocks', number> }[];
}

describe('a restore, in a database of few tables and of many', function () {
  this.timeout(120_000);

  /** Pages read where nothing was written; where others have written; where one table was touched. */
  async function pagesRead(tables: number): Promise<Record<'calm' | 'untouched' | 'touched', number>> {
    const schema = Array.from(
      { length: tables },
      (_, i) =>
        `create table t${i} (id serial primary key, name text); insert into t${i} (name) values ('ann'), ('bob')`,
    );
    const place: Ground = await ground({ server: serverUrl(), role: 'superuser' }, schema.join(';'));
    try {
      const sent: string[] = [];
      let query: Query | undefined;
      const snapshot: Snapshot = await place.snapshot({
        connect: async () => {
          const connection = await own(place.url);
          query = connection.query;
          return { ...connection, query: (sql, values) => (sent.push(sql), connection.query(sql, values)) };
        },
      });
      await snapshot.take();
      const baseline = await contents(place.observer);
      const elsewhere = `select pg_logical_emit_message(false, 'elsewhere', '')`;
      const write = `update t${tables - 1} set name = 'cy' where id = 1; select nextval('t0_id_seq')`;

      const least = async (happens: string): Promise<number> => {
        const pages: number[] = [];
        // The first ones make plans, and fill the session's caches.
        for (let i = 0; i < 8; i++) {
          await place.observer.query(happens);
          sent.splice(0);
          await snapshot.restore();
          assert.equal(sent.length, 1, 'a restore is one statement');
          await place.observer.query(happens);
          const explained = await query?.<Plan>(`explain (analyze, buffers, format json) ${sent[0] ?? ''}`);
          const plan = explained?.rows[0]?.['QUERY PLAN'][0]?.Plan;
          assert.ok(plan, 'the server tells what it has read');
          pages.push(plan['Shared Hit Blocks'] + plan['Shared Read Blocks']);
        }
        assert.deepEqual(differences(baseline, await contents(place.observer)), []);
        return Math.min(...pages);
      };
      const read = { touched: await least(write), untouched: await least(elsewhere), calm: await least('select') };
      await snapshot.close();
      return read;
    } finally {
      await place.drop();
    }
  }

  it('reads no more pages where nothing was written, and elsewhere only one for each sequence and group of counters', async () => {
    const [few, many] = [await pagesRead(FEW), await pagesRead(MANY)];
    const sequences = MANY - FEW;
    const groups = Math.ceil(MANY / GROUP);
    const told = `${FEW} tables: ${JSON.stringify(few)}, ${MANY} tables: ${JSON.stringify(many)}`;
    assert.equal(many.calm, few.calm, told);
    assert.ok(many.untouched - few.untouched <= sequences + groups + SLACK, told);
    assert.ok(many.touched - few.touched <= sequences + groups + GROUP + SLACK, told);
  });
});
