// @schema: tests that run on a database of their own, and may change its schema.
import assert from 'node:assert/strict';
import { Client } from 'pg';
import { createDatabase, serverUrl, urlOf } from '../support/database';
import { project } from '../support/project';
import { assertGreen, run, SPEC, together } from '../support/run';
import { MANAGED, USERS, eachWithUsers, usersOf } from '../support/users';

/** Where a query of the app's goes, and what is there. */
const LOOK = `
const where = async (q = db) => (await q.raw('select current_database() as name')).rows[0].name;
const columns = async (q = db) => Object.keys(await q('users').columnInfo()).join();
const home = new URL(process.env.DATABASE_URL).pathname.slice(1);
`;

describe('a @schema test', () => {
  const shared = together(USERS, { config: MANAGED });

  it(
    'starts from what the before hooks of its describes have left in theirs',
    shared(
      `${LOOK}
          describe('outer', () => {
            before(() => db('users').insert({ name: 'cy' }));
            after(async () => assert.equal(await names(), 'ann,bob,cy'));
            it('rolls back', async () => { assert.equal(await names(), 'ann,bob,cy'); await db('users').del(); });
            it('commits @truncate', async () => { assert.equal(await names(), 'ann,bob,cy'); await db('users').del(); });
            it('alters @schema', async () => {
              assert.equal(await names(), 'ann,bob,cy');
              await db.schema.dropTable('users', true).catch(() => db.raw('drop table users cascade'));
            });
            describe('inner', () => {
              before(() => db.schema.alterTable('users', (t) => t.string('mail').defaultTo('none')));
              beforeEach(() => db('users').insert({ name: 'dee' }));
              afterEach(async () => assert.equal(await where(), new URL(process.env.DATABASE_URL).pathname.slice(1)));
              after(async () => assert.equal(await names(), 'ann,bob,cy'));
              for (const nth of [1, 2, 3]) it('sees both ' + nth + ' @schema', async () => {
                assert.equal(await names(), 'ann,bob,cy,dee');
                assert.equal(await columns(), 'id,name,mail');
                await db('users').del();
              });
            });
            it('is outside of the inner one @schema', async () => assert.equal(await columns(), 'id,name'));
          });
          it('is outside of both @schema', async () => assert.equal(await names(), 'ann,bob'));`,
      async (outcome, database) => {
        assertGreen(outcome);
        assert.equal(outcome.passed.length, 8);
        assert.equal(await usersOf(database), 'ann,bob');
      },
    ),
  );

  it(
    'starts from the app’s database again after a describe whose after hook fails',
    shared(
      `${LOOK}
          describe('breaks @schema', () => {
            before(() => db('users').insert({ name: 'cy' }));
            after(() => { throw new Error('broken'); });
            it('sees it', async () => assert.equal(await names(), 'ann,bob,cy'));
          });
          describe('next', () => { it('does not see it @schema', async () => assert.equal(await names(), 'ann,bob')); });`,
      (outcome) => {
        assert.deepEqual(outcome.failed, { 'breaks @schema "after all" hook for "sees it"': 'broken' });
        assert.equal(outcome.passed.length, 2);
      },
    ),
  );

  it(
    'finds nothing of ours in its database, which is dropped when it has ended',
    shared(
      `${LOOK}
          it('commits @truncate', () => db('users').del());
          const seen = [];
          for (const nth of [1, 2, 3]) it('is alone ' + nth + ' @schema', async function () {
            this.timeout(20_000);
            assert.deepEqual((await db.raw("select from pg_namespace where nspname = 'rewind'")).rows, []);
            while ((await db.raw('select from pg_database where datname = any (?)', [seen])).rows.length > 0);
            seen.push(await where());
          });`,
      (outcome) => {
        assertGreen(outcome);
      },
    ),
  );

  it(
    'keeps its describe in one piece with @whole: every test of it is on a database of its own',
    shared(
      `${LOOK}
          describe('both @whole', () => {
            before(() => db('users').insert({ name: 'cy' }));
            it('would roll back', async () => { assert.notEqual(await where(), home); assert.equal(await names(), 'ann,bob,cy'); await db('users').del(); });
            it('alters @schema', async () => { assert.equal(await names(), 'ann,bob,cy'); });
            it('would commit @truncate', async () => { assert.equal(await names(), 'ann,bob,cy'); await db('users').del(); });
          });`,
      async (outcome, database) => {
        assertGreen(outcome);
        assert.equal(await usersOf(database), 'ann,bob');
      },
    ),
  );

  it(
    'is isolated at each attempt, and its failure is its own',
    shared(
      `${LOOK}
          let attempts = 0;
          it('fails once @schema', async function () {
            this.retries(1);
            assert.equal(await columns(), 'id,name');
            await db.schema.alterTable('users', (t) => t.string('mail'));
            assert.equal(++attempts, 2);
          });
          it('fails @schema', async () => { await db.raw('drop table users cascade'); await db('users'); });
          it('leaves a transaction open @schema', async () => { const trx = await db.transaction(); await trx('users').del(); });
          it('does not await @schema', () => { db.raw('select pg_sleep(0.2)').then(() => {}); });
          it('passes @schema', async () => assert.equal(await names(), 'ann,bob'));`,
      async (outcome) => {
        assert.deepEqual(
          outcome.passed.filter((title) => !(title in outcome.failed)),
          ['fails once @schema', 'does not await @schema', 'passes @schema'],
        );
        assert.match(outcome.failed['fails @schema'] ?? '', /relation "users" does not exist/);
        assert.match(
          outcome.failed['leaves a transaction open @schema'] ?? '',
          /REWIND_LEFT_OPEN.*left a transaction open/,
        );
        assert.equal(outcome.code, 2);
      },
    ),
  );
});

describe('a @schema test', () => {
  const given = eachWithUsers();
  const { usersNow } = given;
  /** Databases beside the one under test. */
  const clones = async (): Promise<string[]> => {
    const client = new Client({ connectionString: serverUrl() });
    await client.connect();
    const sql = 'select datname as name from pg_database where starts_with(datname, $1) order by 1';
    const { rows } = await client.query<{ name: string }>(sql, [`${given.database.name}_`]);
    await client.end();
    return rows.map(({ name }) => name);
  };
  afterEach(async () => assert.deepEqual(await clones(), [], 'every clone is dropped'));

  it('changes the schema of a database of its own, which no other test sees', async () => {
    const outcome = await run(
      {
        'a.spec.js': `${LOOK}
          it('alters @schema', async () => {
            assert.notEqual(await where(), home);
            await db.schema.alterTable('users', (t) => t.string('mail'));
            await db.transaction((trx) => trx('users').insert({ name: 'cy', mail: 'c@example.com' }));
            assert.equal(await names(), 'ann,bob,cy');
          });
          it('starts without it, and drops a table @schema', async () => {
            assert.equal(await columns(), 'id,name');
            assert.equal(await names(), 'ann,bob');
            await db.schema.dropTable('notes');
          });
          it('commits in the app’s own database @truncate', async () => {
            assert.equal(await where(), home);
            await db('users').insert({ name: 'dee' });
          });
          it('rolls back there', async () => {
            assert.equal(await where(), home);
            assert.equal(await columns(), 'id,name');
            assert.equal(await names(), 'ann,bob');
            await db('users').del();
          });`,
      },
      { database: given.database, config: MANAGED },
    );
    assertGreen(outcome);
    assert.deepEqual(
      outcome.ran.map((title) => title.split(' ').at(-1)),
      ['there', '@truncate', '@schema', '@schema'],
    );
    assert.match(outcome.stderr, /rewind: 1 rolled back · 1 committed, undone .* · 2 on databases of their own/);
    assert.equal(await usersNow(), 'ann,bob');
  });

  it('needs no config: the instance is found when it takes its first connection', async () => {
    const outcome = await run(
      {
        'a.spec.js': `${LOOK}
          it('alters @schema', () => db.schema.alterTable('users', (t) => t.string('mail')));
          it('starts without it @schema', async () => assert.equal(await columns(), 'id,name'));
          it('rolls back', async () => assert.equal(await names(), 'ann,bob'));`,
      },
      { database: given.database },
    );
    assertGreen(outcome);
  });

  it('is tagged in code, by a describe, by a rule, or by a word of the config, too @full', async () => {
    const outcome = await run(
      {
        'a.spec.js': `${LOOK}
          const { schema } = require('mocha-rewind');
          const alter = async () => { assert.equal(await columns(), 'id,name'); await db.schema.alterTable('users', (t) => t.string('mail')); };
          schema.it('in code', alter);
          describe('by its describe @schema', () => { it('alters', alter); });
          it('migrates by a rule', alter);
          it('by a word @ddl', alter);`,
      },
      {
        database: given.database,
        config: `{ knex: require('./db'), tags: { schema: 'ddl' }, rules: [{ title: /^migrates/, mode: 'schema' }] }`,
      },
    );
    assertGreen(outcome);
    assert.match(outcome.stderr, /rewind: 4 on databases of their own/);
  });

  it('sees what root-level hooks wrote, and leaves it to them', async () => {
    for (const others of [
      '',
      `it('commits @truncate', () => db('users').del()); it('rolls back', () => db('users').del());`,
    ]) {
      const outcome = await run(
        {
          'a.spec.js': `${LOOK}
            before(() => db('users').insert({ name: 'cy' }));
            beforeEach(() => db('users').insert({ name: 'dee' }));
            after(async () => assert.equal(await names(), 'ann,bob,cy'));
            for (const nth of [1, 2]) it('sees it ' + nth + ' @schema', async () => {
              assert.notEqual(await where(), home);
              assert.equal(await names(), 'ann,bob,cy,dee');
              await db.raw('drop table users cascade');
            });
            ${others}`,
        },
        { database: given.database, config: MANAGED },
      );
      assertGreen(outcome);
      assert.equal(await usersNow(), 'ann,bob');
    }
  });

  it('leads every way to the database there: instances, a pg.Pool, DATABASE_URL unless a test sets it, an instance that is destroyed', async () => {
    const outcome = await run(
      {
        'a.spec.js': `${LOOK}
          const { pool, second } = require('./all');
          const { execFileSync } = require('node:child_process');
          const child = () => execFileSync(process.execPath, ['-e', "process.stdout.write(new URL(process.env.DATABASE_URL).pathname)"]).toString().slice(1);
          it('alters @schema', async () => {
            const name = await where();
            assert.notEqual(name, home);
            assert.equal(await where(second), name);
            assert.equal((await pool.query('select current_database() as name')).rows[0].name, name);
            assert.equal(child(), name);
            const own = require('knex').knex({ client: 'pg', connection: process.env.DATABASE_URL });
            assert.equal(await where(own), name);
            await own.destroy();
            const late = require('knex').knex({ client: 'pg', connection: process.env.HOME_URL });
            assert.equal(await where(late), name);
            await late.destroy();
            made = require('knex').knex({ client: 'pg', connection: process.env.DATABASE_URL });
            await made('users').del();
          });
          let made;
          it('takes an instance along that was made from the URL of a clone @schema', async () => {
            assert.equal(await where(made), await where());
            assert.equal(await names(made), 'ann,bob');
          });
          it('may set DATABASE_URL itself @schema', () => { process.env.DATABASE_URL = 'postgres://localhost/other'; });
          it('finds it as it was set @schema', () => {
            assert.equal(child(), 'other');
            process.env.DATABASE_URL = process.env.HOME_URL;
          });
          for (const mode of ['@rollback', '@dirty']) it('is back ' + mode, async () => {
            assert.equal(await where(), home);
            assert.equal(await where(second), home);
            assert.equal((await pool.query('select current_database() as name')).rows[0].name, home);
            assert.equal(child(), home);
            if (made) assert.equal(await where(made), home);
          });`,
      },
      {
        database: given.database,
        config: `{ pools: () => require('./all').pool }`,
        files: {
          'all.js': `const url = process.env.DATABASE_URL;
            module.exports = {
              second: require('knex').knex({ client: 'pg', connection: url }),
              pool: new (require('pg').Pool)({ connectionString: url }),
            };`,
        },
        env: { HOME_URL: given.database.url },
      },
    );
    assertGreen(outcome);
  });

  it('has a clone of each database', async () => {
    const other = await createDatabase('create table logs (line text)');
    try {
      const outcome = await run(
        {
          'a.spec.js': `
            const audit = require('knex').knex({ client: 'pg', connection: process.env.AUDIT_URL });
            for (const nth of [1, 2]) it('drops both ' + nth + ' @schema', async () => {
              await db.raw('drop table users cascade');
              await audit.schema.dropTable('logs');
            });
            it('has both', async () => { await db('users'); await audit('logs'); });`,
        },
        { database: given.database, env: { AUDIT_URL: other.url } },
      );
      assertGreen(outcome);
      const left = await other.query('select from pg_database where starts_with(datname, $1)', [`${other.name}_`]);
      assert.equal(left.length, 0);
    } finally {
      await other.drop();
    }
  });

  it('can be run in parallel workers @full', async () => {
    const file = `${LOOK}
      it('rolls back', () => db('users').del());
      it('alters @schema', async () => { assert.notEqual(await where(), home); await db.schema.alterTable('users', (t) => t.string('mail')); });
      it('starts without it @schema', async () => assert.equal(await columns(), 'id,name'));`;
    const outcome = await run(
      { 'a.spec.js': file, 'b.spec.js': file, 'c.spec.js': file },
      { database: given.database, config: MANAGED, args: ['--parallel', '--jobs', '2'] },
    );
    assertGreen(outcome);
    assert.equal(outcome.passed.length, 9);
  });

  it('waits for no clone, where there are other tests to run meanwhile', async () => {
    const outcome = await run(
      {
        'a.spec.js': `
          it('rolls back', () => db.raw('select pg_sleep(1)'));
          for (const nth of [1, 2]) it('alters ' + nth + ' @schema', () => db('users').del());
          after(function () {
            for (const { title, rewind } of this.test.parent.tests.concat(...this.test.parent.suites.map((s) => s.tests))) {
              if (title.includes('@schema')) process.stderr.write(title + ': ' + rewind.clone.ready + '\\n');
            }
          });`,
      },
      { database: given.database, config: MANAGED },
    );
    assertGreen(outcome);
    assert.match(outcome.stderr, /alters 1 @schema: true\nalters 2 @schema: true/);
  });

  it('is named when its role may not create databases, and no test runs', async () => {
    const role = `${given.database.name}_role`;
    await given.database.query(`create role ${role} login`);
    await given.database.query(`alter database ${given.database.name} owner to ${role}`);
    await given.database.query(`grant all on all tables in schema public to ${role}`);
    const url = new URL(given.database.url);
    url.username = role;
    try {
      const outcome = await run(
        {
          'a.spec.js': `it('rolls back', () => db('users')); describe('a table', () => { it('is dropped @schema', () => db.raw('drop table notes')); });`,
        },
        { database: given.database, config: MANAGED, env: { DATABASE_URL: url.href } },
      );
      assert.notEqual(outcome.code, 0);
      assert.deepEqual(outcome.passed, []);
      const told = Object.values(outcome.failed).join();
      assert.match(
        told,
        /REWIND_CONNECTION: .*"a table is dropped @schema" needs.*permission denied to create database/,
      );
      assert.match(told, /CREATEDB/);
    } finally {
      await given.database.query(`alter database ${given.database.name} owner to current_user`);
      await given.database.query(`drop owned by ${role}`);
      await given.database.query(`drop role ${role}`);
    }
  });

  it('says who is connected where nobody may be', async function () {
    this.timeout(90_000);
    const guest = new Client({ connectionString: given.database.url, application_name: 'a guest' });
    await guest.connect();
    try {
      const outcome = await run(
        { 'a.spec.js': `it('alters @schema', () => db('users'));` },
        { database: given.database, config: MANAGED },
      );
      assert.notEqual(outcome.code, 0);
      assert.match(
        Object.values(outcome.failed).join(),
        /REWIND_CONNECTION: .*"alters @schema" needs.*\(.*, a guest\)/,
      );
    } finally {
      await guest.end();
    }
  });

  it('leaves databases behind where its run is killed, and the next such run drops them', async () => {
    const p = project({
      files: {
        'db.js': `module.exports = require('knex').knex({ client: 'pg', connection: process.env.DATABASE_URL });`,
        'rewind.config.js': `module.exports = ${MANAGED}`,
        'a.spec.js': `${SPEC} it('dies @schema', async () => { await db.raw('drop table notes'); if (process.env.DIE) process.kill(process.pid, 'SIGKILL'); });`,
      },
    });
    const env = { DATABASE_URL: given.database.url };
    const args = ['--require', 'mocha-rewind/register', 'a.spec.js'];
    try {
      const { finished } = p.start(args, { ...env, DIE: '1' });
      await finished;
      assert.notDeepEqual(await clones(), []);
      // A run that is going on holds a lease: its databases are left alone.
      const [alive, lease] = ['0a1b2c3d', new Client({ connectionString: urlOf('postgres') })];
      const theirs = `${given.database.name}_rewind_${alive}_0`;
      await given.database.query(`create database ${theirs}`);
      await given.database.query(
        `comment on database ${theirs} is 'mocha-rewind clones of ${given.database.name}, lease ${alive}'`,
      );
      await lease.connect();
      await lease.query(`set application_name = 'mocha-rewind lease ${alive}'`);
      try {
        const second = await p.mocha(args, env);
        assert.equal(second.code, 0, second.output);
        assert.deepEqual(await clones(), [theirs]);
      } finally {
        await lease.end();
      }
      const third = await p.mocha(args, env);
      assert.equal(third.code, 0, third.output);
    } finally {
      p.remove();
    }
  });
});
