// Ways out of the transaction that holds a rolled-back test: its test fails, and the next one starts on the same data.
import assert from 'node:assert/strict';
import { run } from '../support/run';
import { MANAGED, eachWithUsers } from '../support/users';

/** `past` sends what our parser can't read and the server can: with that setting, `\\'` does not end a string. */
const PAST = `
const past = async (sql, { client: from } = db) => {
  const client = await from.acquireConnection();
  try {
    await client.query('set standard_conforming_strings to off');
    await client.query("select 'it\\\\'s'; " + sql);
  } finally { await from.releaseConnection(client); }
};
const add = (name) => db('users').insert({ name });
const clean = (n) => it('finds the same data ' + n, async () => assert.equal(await names(), 'ann,bob'));
`;

const COMMITTING = `
it('commits @truncate', async () => { assert.equal(await names(), 'ann,bob'); await add('cy'); });`;

describe('an escape from the sandbox', () => {
  const given = eachWithUsers();

  it('fails its test, is repaired, and is not seen by the next', async () => {
    const { failed, passed, output, code } = await run(
      {
        'a.spec.js': `${PAST}
          describe('suite', () => {
            it('commits at its end', async () => { await add('cy'); await past('commit'); });
            clean(1);
            it('commits, and goes on', async () => { await add('dee'); await past('commit'); await add('eve'); await add('flo'); });
            clean(2);
            it('commits after a read', async () => { await add('dee'); await names(); await past('commit'); await names(); await add('eve'); });
            clean(3);
            it('rolls back', async () => { await add('dee'); await past('rollback'); });
            clean(4);
            it('commits in a transaction', () => db.transaction(async (trx) => { await trx('users').insert({ name: 'gus' }); await past('commit', trx); }));
            clean(5);
            it('commits and begins', async () => { await add('hal'); await past('commit; begin'); await add('ida'); });
            clean(6);
            it('commits in a savepoint', async () => { await add('hal'); await add('ida'); await past('commit and chain'); });
            clean(7);
            it('lets an error pass', async () => { await add('jim'); await past('commit; select 1/0').catch(() => {}); });
            clean(8);
          });
          ${COMMITTING}`,
      },
      { database: given.database, config: MANAGED },
    );
    assert.notEqual(code, 0);
    for (const title of [
      'commits at its end',
      'commits, and goes on',
      'commits after a read',
      'rolls back',
      'commits in a transaction',
      'commits and begins',
      'commits in a savepoint',
      'lets an error pass',
    ]) {
      assert.match(failed[`suite ${title}`] ?? '', /REWIND_BOUNDARY/, `${title}\n${output}`);
    }
    assert.equal(passed.filter((title) => /finds the same|@truncate/.test(title)).length, 9, output);
    assert.match(
      failed['suite commits at its end'] ?? '',
      /"suite commits at its end" ended the transaction that isolates it, and rows were really committed to .*: public\.users \(1 rows new or changed, 0 gone or changed\)\. They have been restored\./,
    );
    assert.doesNotMatch(output, /REWIND_LEAK/);
    assert.equal(await given.usersNow(), 'ann,bob');
  });

  it('is none that only looks like one, or that the server refuses', async () => {
    const { failed, passed, output } = await run(
      {
        'a.spec.js': `${PAST}
          it('commits in a string', async () => { await db.raw("begin; insert into users (name) values ('cy'); commit; select 1"); });
          clean(1);
          it('commits in a DO block', async () => { await add('cy'); await db.raw("do $$ begin insert into users (name) values ('dee'); commit; end $$"); });
          clean(2);
          it('commits in a procedure', async () => {
            await db.raw("create procedure p() language plpgsql as $$ begin insert into users (name) values ('cy'); commit; end $$");
            await db.raw('call p()').catch(() => {});
          });
          clean(3);
          it('kills its connection', async () => { await add('cy'); await db.raw('select pg_terminate_backend(pg_backend_pid())').catch(() => {}); });
          clean(4);
          it('is killed from outside', async () => {
            await add('cy');
            const { rows: [{ pid }] } = await db.raw('select pg_backend_pid() as pid');
            const { Client } = require('pg');
            const other = new Client(process.env.DATABASE_URL);
            await other.connect();
            await other.query('select pg_terminate_backend($1, 5000)', [pid]);
            await other.end();
            await add('dee');
          });
          clean(5);`,
      },
      { database: given.database, config: MANAGED },
    );
    assert.match(failed['commits in a DO block'] ?? '', /REWIND_UNSUPPORTED/, output);
    assert.match(failed['commits in a procedure'] ?? '', /REWIND_UNSUPPORTED/, output);
    assert.match(failed['is killed from outside'] ?? '', /REWIND_CONNECTION|terminat/, output);
    assert.equal(passed.filter((title) => title.startsWith('finds the same')).length, 5, output);
    assert.ok(passed.includes('commits in a string'), output);
    assert.equal(await given.usersNow(), 'ann,bob');
  });
});
