// Roles that may do less than a superuser, as on managed services.
import assert from 'node:assert/strict';
import { dropRoles } from '../support/database';
import { project } from '../support/project';
import { type Outcome, type RunOptions, assertGreen, run } from '../support/run';
import { MANAGED, eachWithUsers } from '../support/users';

const SPECS = {
  'a.spec.js': `
it('inserts', async () => { await db('users').insert({ name: 'cy' }); assert.equal(await names(), 'ann,bob,cy'); });
it('commits @truncate', async () => { await db('users').insert({ name: 'cy' }); });
it('is clean', async () => assert.equal(await names(), 'ann,bob'));
it('is clean afterwards @truncate', async () => assert.equal(await names(), 'ann,bob'));`,
};

describe('a role without superuser', () => {
  const given = eachWithUsers();
  const { usersNow } = given;
  let owner: string;
  let app: string;

  /** `owner` owns the tables, and nothing else; `app` may read and write them. */
  beforeEach(async () => {
    const id = given.database.name.slice(-10);
    [owner, app] = [`rw_owner_${id}`, `rw_app_${id}`];
    await given.database.query(`
      create role ${owner} login; create role ${app} login;
      alter table users owner to ${owner}; alter table notes owner to ${owner};
      grant usage on schema public to ${owner}, ${app};
      grant select, insert, update, delete on all tables in schema public to ${app};
      grant usage on all sequences in schema public to ${app}`);
  });
  afterEach(() => dropRoles([owner, app]));

  const urlAs = (role: string): string => {
    const url = new URL(given.database.url);
    url.username = role;
    return url.href;
  };
  const runAs = (role: string, options: Partial<RunOptions> = {}): Promise<Outcome> =>
    run(SPECS, { database: { ...given.database, url: urlAs(role) }, config: MANAGED, ...options });

  it('that may only read and write rolls back, and is told by which grants its committing tests could run', async () => {
    const first = await runAs(app);
    assert.equal(first.code, 2, first.output);
    assert.deepEqual(first.passed, ['inserts', 'is clean']);
    assert.deepEqual(Object.keys(first.failed), ['commits @truncate', 'is clean afterwards @truncate']);
    for (const told of Object.values(first.failed)) {
      assert.match(told, /REWIND_PRIVILEGE: .*"?rw_app_\w+"? .*public\.notes, public\.users/);
    }
    assert.equal(await usersNow(), 'ann,bob');
    const grants = first.failed['commits @truncate']?.match(/GRANT [^;,]+(?=[;,])/g) ?? [];
    assert.equal(grants.length, 2, first.failed['commits @truncate']);
    for (const grant of grants) await given.database.query(grant);
    assertGreen(await runAs(app));
    assert.equal(await usersNow(), 'ann,bob');
  });

  it('that owns the tables, but may make no schema in the database, is told that', async () => {
    const { code, passed, failed } = await runAs(owner);
    assert.equal(code, 2);
    assert.deepEqual(passed, ['inserts', 'is clean']);
    assert.match(
      failed['commits @truncate'] ?? '',
      /REWIND_PRIVILEGE: .* may not make a schema.*\n.*GRANT CREATE ON DATABASE rw_test_\w+ TO rw_owner_\w+;/,
    );
    assert.doesNotMatch(failed['commits @truncate'] ?? '', /owns none/);
  });

  it('is restored by the owner’s, where the config names an instance of both', async () => {
    await given.database.query(`grant create on database ${given.database.name} to ${owner}`);
    const outcome = await runAs(app, {
      config: `{ knex: { app: require('./db'), owner: require('./owner') } }`,
      files: {
        'owner.js': `module.exports = require('knex').knex({ client: 'pg', connection: '${urlAs(owner)}', pool: { min: 0, max: 2 } });`,
      },
    });
    assertGreen(outcome);
    assert.equal(await usersNow(), 'ann,bob');
  });

  it('that meets a snapshot of another role’s is told whose it is, by commands too', async () => {
    assertGreen(await run(SPECS, { database: given.database, config: MANAGED }));
    await given.database.query(`grant create on database ${given.database.name} to ${owner}`);
    const { code, passed, output } = await runAs(owner);
    assert.notEqual(code, 0);
    assert.deepEqual(passed, []);
    const told = /REWIND_PRIVILEGE: Schema \W*rewind\W* .*belongs to \S+, and rw_owner_\w+ /;
    assert.match(output, told);
    const p = project({ files: {} });
    try {
      for (const command of ['status', 'remove']) {
        const ended = await p.cli([command], { DATABASE_URL: urlAs(owner) });
        assert.equal(ended.code, 1, ended.output);
        assert.match(ended.output, told);
      }
    } finally {
      p.remove();
    }
  });

  it('as managed services give it, is told by name which tables it can’t restore', async () => {
    await given.database.query(`
      alter role ${owner} createdb createrole bypassrls; grant pg_monitor, pg_signal_backend to ${owner};
      grant create on database ${given.database.name} to ${owner};
      create table audit (what text); grant insert on audit to ${owner}`);
    const outcome = await runAs(owner);
    assertGreen(outcome);
    assert.match(outcome.output, /not restored: public\.audit \(owned by another role\)/);
    assert.equal(await usersNow(), 'ann,bob');
  });
});
