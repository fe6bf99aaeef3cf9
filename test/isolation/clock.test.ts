// Tests that replace the clock. sinon 22 takes `process.nextTick` too, without which no socket opens and none is closed.
import assert from 'node:assert/strict';
import { eachWithUsers, MANAGED } from '../support/users';
import { frailNetworkTo } from '../support/frail-network';
import { assertGreen, run } from '../support/run';
import { full } from '../support/tiers';

describe('a test with a fake clock', function () {
  this.timeout(60_000);
  const given = eachWithUsers();

  const CLOCK = `
    const faked = [[globalThis, 'setTimeout'], [globalThis, 'setInterval'], [globalThis, 'setImmediate'], [process, 'nextTick']]
      .map(([holder, name]) => ({ holder, name, real: holder[name] }));
    const stand = () => { for (const { holder, name } of faked) holder[name] = () => ({ ref() {}, unref() {} }); };
    const stood = async (work) => {
      stand();
      try {
        await work();
      } finally {
        for (const { holder, name, real } of faked) holder[name] = real;
      }
    };
  `;
  for (const [what, other] of Object.entries({
    alone: '',
    'while databases are cloned': `it('changes the schema @schema', () => db.schema.dropTable('notes'));`,
    'before a committing one': `it('commits @truncate', () => db('users').del());`,
  }))
    it(`queries on, ${what}`, async () => {
      // Over TCP: a unix socket opens without a clock.
      const network = await frailNetworkTo(given.database);
      try {
        assertGreen(
          await run(
            {
              'a.spec.js': `${CLOCK}
              it('first', () => stood(async () => {
                await db('users').insert({ name: 'cy' });
                assert.equal(await names(), 'ann,bob,cy');
              }));
              it('second', () => stood(async () => {
                await db.transaction(async (trx) => {
                  await trx('users').insert({ name: 'dee' });
                  await assert.rejects(() => trx.transaction((inner) => inner('users').insert({ name: 'ann' })), { code: '23505' });
                });
                await assert.rejects(async () => db('users').insert({ name: 'ann' }), { code: '23505' });
                assert.equal(await names(), 'ann,bob,dee');
              }));
              ${other}`,
            },
            { database: given.database, config: MANAGED, env: { DATABASE_URL: network.url } },
          ),
        );
      } finally {
        network.close();
      }
    });

  for (const tag of ['', ' @truncate'])
    it(`that it leaves installed is named with the test where the run stands still for it${tag}${full(tag !== '')}`, async () => {
      const network = await frailNetworkTo(given.database);
      try {
        const outcome = await run(
          {
            'a.spec.js': `${CLOCK}
              it('gives it back', () => stood(async () => assert.equal(await names(), 'ann,bob')));
              it('leaves it${tag}', async () => { await db('users').del(); stand(); });
              it('comes after${tag}', () => {});
              it('commits @truncate', () => db('users').del());`,
          },
          {
            database: given.database,
            config: `{ knex: require('./db'), hookTimeout: 3000 }`,
            env: { DATABASE_URL: network.url, REWIND_VERIFY: '' },
          },
        );
        const failures = Object.values(outcome.failed).join('\n');
        assert.match(failures, /REWIND_STUCK: mocha-rewind has waited in vain /, outcome.output);
        assert.ok(
          failures.includes(
            `A fake clock may be why: setTimeout, setImmediate and process.nextTick are not Node's since "leaves it${tag}".`,
          ),
          failures,
        );
        assert.match(failures, /has to give it back in an afterEach hook/);
        assert.notEqual(outcome.code, 0);
      } finally {
        network.close();
      }
    });
});
