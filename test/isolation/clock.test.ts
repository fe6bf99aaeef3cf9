// Tests that replace the clock. sinon 22 takes `process.nextTick` too, without which no socket opens and none is closed.
import { eachWithUsers, MANAGED } from '../support/users';
import { frailNetworkTo } from '../support/frail-network';
import { assertGreen, run } from '../support/run';

describe('a test with a fake clock', function () {
  this.timeout(60_000);
  const given = eachWithUsers();

  const CLOCK = `
    const faked = [[globalThis, 'setTimeout'], [globalThis, 'setInterval'], [globalThis, 'setImmediate'], [process, 'nextTick']]
      .map(([holder, name]) => ({ holder, name, real: holder[name] }));
    const stood = async (work) => {
      for (const { holder, name } of faked) holder[name] = () => ({ ref() {}, unref() {} });
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
});
