// One suite that uses every mode, on every combination of the peers that the README promises.
import assert from 'node:assert/strict';
import { type TestDatabase, createDatabase } from '../support/database';
import { KNEXES, MOCHAS, PGS } from '../support/project';
import { assertGreen, run } from '../support/run';
import { full } from '../support/tiers';

const SPECS = {
  'a.spec.js': `
    before(() => db('users').insert({ name: 'root' }));
    describe('mixed', () => {
      before(() => db('users').insert({ name: 'fixture' }));
      beforeEach(() => db('users').insert({ name: 'each' }));
      it('commits @truncate', async () => { assert.equal(await names(), 'ann,each,fixture,root'); await db.raw('truncate users'); });
      it('transacts', async () => {
        await db.transaction(async (trx) => { await trx('users').insert({ name: 'in' }); await trx.transaction(async (inner) => { await inner('users').del(); throw new Error('no'); }).catch(() => {}); });
        await assert.rejects(async () => db('users').insert({ name: 'ann' }), { code: '23505' });
        assert.equal(await names(), 'ann,each,fixture,in,root');
      });
      it('rolls back', async () => assert.equal(await names(), 'ann,each,fixture,root'));
      it('commits again @truncate', async () => assert.equal(await names(), 'ann,each,fixture,root'));
    });
    it('needs nothing @nodb', () => {});
    it('is left alone @unmanaged', async () => assert.equal(await names(), 'ann,root'));`,
  'b.spec.js': `it('comes before suites', async () => assert.equal(await names(), 'ann,root'));`,
};
const ORDER = [
  'needs nothing @nodb',
  'comes before suites',
  'mixed transacts',
  'mixed rolls back',
  'mixed commits @truncate',
  'mixed commits again @truncate',
  'is left alone @unmanaged',
];

describe('every mode', () => {
  let database: TestDatabase;
  beforeEach(async () => {
    database = await createDatabase(`create table users (name text primary key); insert into users values ('ann')`);
  });
  afterEach(() => database.drop());

  const knexes = Object.keys(KNEXES) as (keyof typeof KNEXES)[];
  const pgs = Object.keys(PGS) as (keyof typeof PGS)[];
  for (const mocha of Object.keys(MOCHAS) as (keyof typeof MOCHAS)[]) {
    for (const [i, knex] of knexes.entries()) {
      const pg = pgs[i % pgs.length] ?? 'newest';
      it(`works on mocha ${mocha}, knex ${knex}, pg ${pg}${full(knex !== (mocha === '12' ? '2.5' : '3.3'))}`, async () => {
        const outcome = await run(SPECS, { database, mocha, knex, pg });
        assertGreen(outcome);
        assert.deepEqual(outcome.ran, ORDER);
        assert.match(
          outcome.stderr,
          /rewind: 3 rolled back · 1 without database · 2 committed, undone .* · 1 left alone/,
        );
      });
    }
  }
});
