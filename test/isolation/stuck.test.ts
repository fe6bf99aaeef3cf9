// A server that stops answering, and work that stands still: hooks of ours have no time limit of Mocha's.
import assert from 'node:assert/strict';
import { type FrailNetwork, frailNetworkTo } from '../support/frail-network';
import { type Outcome, assertGreen, run } from '../support/run';
import { MANAGED, eachWithUsers } from '../support/users';

const CONFIG = `{ knex: require('./db'), hookTimeout: 1500 }`;

describe('a server that stops answering', function () {
  this.timeout(120_000);
  const given = eachWithUsers();
  let network: FrailNetwork;
  beforeEach(async () => (network = await frailNetworkTo(given.database)));
  afterEach(() => network.close());

  const runs = (spec: string, config = CONFIG): Promise<Outcome> =>
    run(
      { 'a.spec.js': network.tools + spec },
      { database: given.database, config, env: { DATABASE_URL: network.url, REWIND_VERIFY: '' } },
    );
  const assertNextRunIsClean = async (): Promise<void> => {
    assertGreen(
      await run(
        { 'a.spec.js': `it('starts clean @truncate', async () => assert.equal(await names(), 'ann,bob'));` },
        { database: given.database, config: MANAGED },
      ),
    );
    assert.equal(await given.usersNow(), 'ann,bob');
  };

  it('before a restore: the test fails, those after it fail at once, and the process ends', async () => {
    const outcome = await runs(`
      it('commits @truncate', async () => { await db('users').insert({ name: 'cy' }); await goDead(); });
      it('is not run @truncate', () => { throw new Error('it was'); });
      describe('S @truncate', () => { before(() => {}); it('is not run either', () => { throw new Error('it was'); }); });`);
    const messages = Object.values(outcome.failed);
    assert.equal(messages.length, 3, outcome.output);
    for (const message of messages) {
      assert.match(message, /^REWIND_STUCK: mocha-rewind has waited in vain after "commits @truncate", for 1\.5 s\./);
    }
    assert.equal(outcome.code, 3);
    await assertNextRunIsClean();
  });

  it('before a rollback: the run fails at its end, which comes @full', async () => {
    const outcome = await runs(`
      it('writes', async () => { await db('users').insert({ name: 'cy' }); await goDead(); });
      it('asks', async function () { this.timeout(500); await names(); });`);
    assert.match(outcome.failed['asks'] ?? '', /^Timeout of 500ms exceeded|^REWIND_STUCK/, outcome.output);
    assert.match(Object.values(outcome.failed).join('\n'), /REWIND_STUCK: mocha-rewind has waited in vain/);
    assert.notEqual(outcome.code, 0);
    await assertNextRunIsClean();
  });

  it('before the first test: no test is run @full', async () => {
    const outcome = await runs(
      `it('is not run @truncate', () => { throw new Error('it was'); });`,
      `(() => { ${network.tools} return { knex: require('./db'), hookTimeout: 1500, seed: goDead }; })()`,
    );
    assert.match(
      Object.values(outcome.failed).join('\n'),
      /^REWIND_STUCK: mocha-rewind has waited in vain before the first test/,
      outcome.output,
    );
    assert.deepEqual(outcome.ran, []);
    assert.equal(outcome.code, 1);
    await assertNextRunIsClean();
  });
});

describe('a seed that takes longer than the limit @full', function () {
  const given = eachWithUsers();

  it('is not cut short', async () => {
    const seed = `async (k) => { await new Promise((r) => setTimeout(r, 2000)); await k('users').insert({ name: 'cy' }); }`;
    const outcome = await run(
      { 'a.spec.js': `it('finds it @truncate', async () => assert.equal(await names(), 'ann,bob,cy'));` },
      { database: given.database, config: `{ knex: require('./db'), hookTimeout: 300, seed: ${seed} }` },
    );
    assertGreen(outcome);
  });
});

describe('a restore that takes longer than the limit @full', function () {
  const given = eachWithUsers();

  it('is not cut short while the server works on it', async () => {
    const migrate = `async (k) => {
      await k.raw("create or replace function slow() returns boolean volatile language plpgsql as $$ begin perform pg_sleep(1); return true; end $$");
      await k.raw("alter table users drop constraint if exists slow, add constraint slow check (slow())");
    }`;
    const outcome = await run(
      {
        'a.spec.js': `
          it('deletes @truncate', async () => { await db('users').where({ name: 'bob' }).del(); });
          it('finds it @truncate', async () => assert.equal(await names(), 'ann,bob'));`,
      },
      { database: given.database, config: `{ knex: require('./db'), hookTimeout: 300, migrate: ${migrate} }` },
    );
    assertGreen(outcome);
  });
});
