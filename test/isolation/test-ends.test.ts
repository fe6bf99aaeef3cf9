// When a test ends: what it has begun and not awaited may end in its scope, and is told; nobody else is disturbed.
import assert from 'node:assert/strict';
import { run, type RunOptions } from '../support/run';
import { eachWithUsers, MANAGED } from '../support/users';

const SLEEP = `const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));\n`;

/** In both ways of isolation, twice, and each time the data is looked at by a test of its own. */
const inBothModes = (tests: string): string => `${SLEEP}
  const http = require('node:http');
  for (const tag of ['', ' @truncate']) describe('each' + tag, () => {
    const clean = (n) => it('finds the seeded users ' + n, async () => { assert.equal(await names(), 'ann,bob'); });
    ${tests}
  });`;

describe('a test that has not awaited all that it has begun', () => {
  const given = eachWithUsers();
  const on = (specs: Readonly<Record<string, string>>, options: Partial<RunOptions> = {}): ReturnType<typeof run> =>
    run(specs, { database: given.database, config: MANAGED, ...options });

  it('is waited for: its queries, transactions and requests end in its own scope, and the next test is clean', async () => {
    const { failed, passed, code, output } = await on({
      'a.spec.js': inBothModes(`
        const add = (name) => db('users').insert({ name });
        it('forgets a query', () => { add('forgotten').then(() => {}); });
        clean(1);
        it('forgets several, one after the other', () => { void (async () => { for (const n of [1, 2, 3, 4]) await add('chained ' + n); })(); });
        clean(2);
        it('forgets a transaction', () => { void db.transaction(async (trx) => { await trx('users').insert({ name: 'a' }); await sleep(30); await trx('users').insert({ name: 'b' }); }); });
        clean(3);
        it('answers when one of several has failed', async () => {
          const found = Promise.all([db.raw('select 1').then(() => { throw new Error('404'); }), db.raw('select pg_sleep(0.05)')]);
          assert.equal(await found.catch((error) => error.message), '404');
        });
        it('gives up on a query, of Knex', async () => {
          await assert.rejects(async () => db.raw('select pg_sleep(0.2)').timeout(20), { name: 'KnexTimeoutError' });
        });
        clean(4);
        it('closes a stream early', async () => {
          for await (const row of db.raw('select * from generate_series(1, 1000)').stream()) { assert.ok(row); break; }
        });
        clean(5);
        describe('of a server', () => {
          let server;
          const did = [];
          const port = () => server.address().port;
          before((done) => {
            server = http.createServer(async (request, response) => {
              await add('r1').then(() => did.push('r1'), (error) => did.push(error.message));
              await sleep(40);
              await add('r2').then(() => did.push('r2'), (error) => did.push(error.message));
              response.end('ok');
            }).listen(0, done);
          });
          after((done) => { server.closeAllConnections(); server.close(done); });
          it('does not wait for an answer', async () => { http.get({ port: port() }).on('error', () => {}); await sleep(20); });
          clean(6);
          it('has had all of it done', () => assert.deepEqual(did, ['r1', 'r2']));
        });
        const get = (url) => new Promise((resolve, reject) => http.get(url, async (answer) => { let text = ''; for await (const part of answer) text += part; resolve(text); }).on('error', reject));
        let kept;
        const base = async () => {
          kept ??= await new Promise((resolve) => { const s = http.createServer(async (q, r) => { await add('web ' + q.url); r.end('201'); }).listen(0, () => resolve(s)); });
          kept.unref();
          return 'http://localhost:' + kept.address().port;
        };
        for (const n of [1, 2, 3]) it('asks the server that the first of them has started ' + n, async () => {
          assert.equal(await get(await base() + '/' + n), '201');
          assert.equal(await names(), 'ann,bob,web /' + n);
        });
        after(() => kept.closeAllConnections());`),
    });
    assert.deepEqual(failed, {}, output);
    assert.deepEqual([passed.length, code], [34, 0], output);
    assert.match(
      output,
      /rewind: \d+ tests did not await all that they had begun, which was waited for: "each .*" \("/,
    );
    assert.equal(await given.usersNow(), 'ann,bob');
  });

  it('fails for a transaction in which nothing happens any more, and for each of them if the config says so', async () => {
    const specs = {
      'a.spec.js': inBothModes(`
        it('passes', async () => { await db('users').insert({ name: 'cy' }); });
        it('forgets a query', () => { db.raw('select pg_sleep(0.05)').then(() => {}); });
        it('leaves a transaction open', async () => { const trx = await db.transaction(); await trx('users').insert({ name: 'cy' }); });
        clean(1);
        it('asks when it has ended', () => { setTimeout(() => db('users').insert({ name: 'late' }).catch(() => {}), 60); });
        it('waits for that', async () => { await sleep(100); assert.equal(await names(), 'ann,bob'); });`),
    };
    const noted = await on(specs, { config: `{ knex: require('./db'), drain: 200 }` });
    assert.deepEqual(
      Object.keys(noted.failed).sort(),
      ['each @truncate leaves a transaction open', 'each leaves a transaction open'],
      noted.output,
    );
    for (const message of Object.values(noted.failed))
      assert.match(message, /REWIND_LEFT_OPEN: .*transaction.*a\.spec\.js:\d+/);
    assert.match(noted.output, /2 queries of tests that had ended came too late: "insert into .* was sent by "each/);
    assert.notEqual(noted.code, 0);
    const strict = await on(specs, { config: `{ knex: require('./db'), drain: 200, unawaited: 'fail' }` });
    for (const tag of ['', ' @truncate']) {
      assert.match(
        strict.failed[`each${tag} forgets a query`] ?? '',
        /REWIND_LEFT_OPEN: .*"select pg_sleep\(0.05\)"/,
        strict.output,
      );
      assert.ok(`each${tag} leaves a transaction open` in strict.failed);
      assert.ok(strict.passed.includes(`each${tag} passes`) && strict.passed.includes(`each${tag} waits for that`));
    }
    assert.match(Object.values(strict.failed).join(), /REWIND_LATE_QUERY: .*asks when it has ended/);
    assert.equal(await given.usersNow(), 'ann,bob');
  });

  it('is canceled where its body times out, before its own hooks and the next test ask for anything', async () => {
    const { failed, passed, output } = await on({
      'a.spec.js': inBothModes(`
        afterEach(async () => { await db.raw('select 1'); });
        it('waits in vain', async () => { await db.raw('select pg_sleep(60)'); }).timeout(100);
        clean(1);`),
    });
    assert.deepEqual(Object.keys(failed).sort(), ['each @truncate waits in vain', 'each waits in vain'], output);
    for (const message of Object.values(failed)) assert.match(message, /^Timeout of 100ms exceeded/, message);
    assert.equal(passed.length, 2, output);
  });
});

describe('code that outlives tests', () => {
  const given = eachWithUsers();
  const on = (specs: Readonly<Record<string, string>>, options: Partial<RunOptions> = {}): ReturnType<typeof run> =>
    run(specs, { database: given.database, config: MANAGED, ...options });

  it('polls from load on, or from a hook, a test or detached() on, and disturbs neither set-up nor tests', async () => {
    const { failed, passed, code, output } = await on(
      {
        'a.spec.js': `${SLEEP}
          const { detached } = require('mocha-rewind');
          const errors = [];
          let stop = false;
          const poll = async () => { while (!stop) { await db.raw('select pg_sleep(0.005), count(*) from users').catch((error) => errors.push(error.message)); await sleep(5); } };
          const timer = setInterval(() => db('notes').first().catch((error) => errors.push(error.message)), 5);
          before(() => void poll());
          before(() => detached(() => void poll()));
          let other;
          after(async () => { stop = true; clearInterval(timer); clearInterval(other); await sleep(50); assert.deepEqual([...new Set(errors)], []); });
          for (const tag of ['', ' @truncate']) for (let i = 0; i < 8; i++) it('test ' + i + tag, async () => {
            other ??= setInterval(() => db('notes').first().catch((error) => errors.push(error.message)), 7);
            await db('users').insert({ name: 'x' });
            await sleep(i * 3);
            assert.equal(await names(), 'ann,bob,x');
          });`,
      },
      {
        config: `{ knex: require('./db'), migrate: async (knex) => { for (let i = 0; i < 20; i++) await knex.raw('create table if not exists made_' + i + ' (id int)'); } }`,
      },
    );
    assert.deepEqual(failed, {}, output);
    assert.deepEqual([passed.length, code], [16, 0], output);
  });

  it('has a transaction that runs over the end of a test rolled back, and is told to begin it again', async () => {
    const { failed, passed, code, output } = await on(
      {
        'a.spec.js': `${SLEEP}
          const told = [];
          let begun, go;
          const opened = new Promise((resolve) => (begun = resolve));
          const goesOn = new Promise((resolve) => (go = resolve));
          let worker;
          before(() => { worker = (async () => {
            await sleep(20);
            const trx = await db.transaction();
            await trx('users').insert({ name: 'outer' });
            begun();
            await goesOn;
            await trx('users').insert({ name: 'more' }).catch((error) => told.push([error.code, error.hint]));
            await trx.rollback().catch(() => {});
            await db('users').insert({ name: 'again' });
          })(); });
          it('ends while it is open', () => opened);
          it('is clean', async () => {
            assert.equal(await names(), 'ann,bob');
            go();
            await worker;
            assert.equal(told[0][0], '40001');
            assert.match(told[0][1], /again/);
            assert.equal(await names(), 'again,ann,bob');
          });`,
      },
      { config: `{ knex: require('./db'), drain: 100 }` },
    );
    assert.deepEqual(failed, {}, output);
    assert.deepEqual([passed.length, code], [2, 0], output);
    assert.match(output, /code that outlives tests ran into a test's end/);
  });
});
