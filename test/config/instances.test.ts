import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import type { Knex } from 'knex';
import type { Pool } from 'pg';
import { type RewindConfig, resolveInstances, resolvePools, validateConfig } from '../../lib/config';
import { foreignKind, isKnex, isPool } from '../../lib/config/knex-seam';
import { KNEXES, PGS } from '../support/project';

const load = createRequire(__filename);
const knexOf = (copy: string, config: object = { client: 'pg' }): Knex =>
  (load(copy) as { knex: (config: object) => Knex }).knex(config);
const poolOf = (copy: string): Pool => new (load(copy) as { Pool: new () => Pool }).Pool();

const instances = async (knex: RewindConfig['knex']): ReturnType<typeof resolveInstances> =>
  resolveInstances(validateConfig({ knex }, 'test'));
const pools = async (given: RewindConfig['pools']): Promise<readonly Pool[]> =>
  resolvePools(validateConfig({ pools: given }, 'test'));

const knex = knexOf('knex');
const other = knexOf('knex');

describe('the Knex instances of a config', () => {
  for (const copy of Object.values(KNEXES)) {
    it(`are recognised in every form, and stay the same objects (${copy})`, async () => {
      const one = knexOf(copy);
      const two = knexOf(copy);
      const both = { main: one, audit: two };
      const forms: [RewindConfig['knex'], Record<string, Knex>][] = [
        [one, { default: one }],
        [Promise.resolve(one), { default: one }],
        [() => one, { default: one }],
        [async () => one, { default: one }],
        [both, both],
        [Promise.resolve(both), both],
        [() => both, both],
        [async () => both, both],
      ];
      for (const [form, expected] of forms) {
        const found = (await instances(form)) ?? {};
        assert.deepEqual(Object.keys(found), Object.keys(expected));
        for (const [name, instance] of Object.entries(expected)) assert.ok(found[name] === instance);
      }
    });

    it(`are told from those of other databases (${copy})`, () => {
      assert.equal(foreignKind(knexOf(copy)), undefined);
      assert.equal(foreignKind(knexOf(copy, { client: 'postgres' })), undefined);
      assert.match(foreignKind(knexOf(copy, { client: 'cockroachdb' })) ?? '', /CockroachDB/);
      for (const [dialect, says] of [
        ['redshift', /Redshift/],
        ['pgnative', /pg-native/],
        ['mysql', /for mysql/],
      ] as const) {
        const Client = load(`${copy}/lib/dialects/${dialect}`) as new () => object;
        class WithoutDriver extends Client {
          _driver(): object {
            return {};
          }
        }
        assert.match(foreignKind(knexOf(copy, { client: WithoutDriver })) ?? '', says);
      }
      const Bare = load(`${copy}/lib/client`) as new () => object;
      assert.match(foreignKind(knexOf(copy, { client: class extends Bare {} })) ?? '', /no dialect/);
    });
  }

  it('are none where the config says nothing', async () => {
    assert.equal(await resolveInstances(validateConfig({}, 'test')), undefined);
  });

  it("keep a client of the app's own that extends Knex's", async () => {
    const Client = load('knex/lib/dialects/postgres') as new () => object;
    class Own extends Client {}
    const one = knexOf('knex', { client: Own });
    assert.ok((await instances(one))?.['default'] === one);
  });

  it('may be in the namespace of an ES module', async () => {
    const namespace = Object.assign(Object.create(null) as Record<string, Knex>, { knex, other });
    await assert.rejects(instances(namespace), /not something built on Knex: give its `\.knex`/);
    const named = Object.assign(Object.create(null) as Record<string, Knex>, { main: knex, other });
    assert.deepEqual(Object.keys((await instances(named)) ?? {}), ['main', 'other']);
  });

  it('are not a transaction', async () => {
    const transaction = Object.assign(() => {}, { client: knex.client as object, isTransaction: true });
    await assert.rejects(instances(transaction as unknown as Knex), /`knex` is a transaction, not the instance/);
  });

  it('are not what is built on Knex', async () => {
    const bookshelf = (load('bookshelf') as (k: Knex) => object)(knex);
    await assert.rejects(instances(bookshelf as unknown as Knex), /not something built on Knex: give its `\.knex`/);
  });

  it('may come from a function once a circle of modules is closed', async () => {
    await assert.rejects(instances({}), /not an empty object[^]*circle[^]*give a function/);
  });

  it('are awaited only when they are used: a promise that is rejected meanwhile does not end the process', async () => {
    const config = validateConfig({ knex: Promise.reject(new Error('no database yet')) }, 'test');
    await new Promise((resolve) => setTimeout(resolve, 20));
    await assert.rejects(resolveInstances(config), /the promise `knex` was rejected: no database yet/);
  });
});

describe('the pools of a config', () => {
  for (const copy of Object.values(PGS)) {
    it(`are recognised in every form (${copy})`, async () => {
      const one = poolOf(copy);
      const two = poolOf(copy);
      assert.deepEqual(await pools(one), [one]);
      assert.deepEqual(await pools([one, two]), [one, two]);
      assert.deepEqual(await pools(() => one), [one]);
      assert.deepEqual(await pools(async () => [one, two]), [one, two]);
      assert.deepEqual(await pools([]), []);
      assert.ok(!isPool(new (load(copy) as { Client: new () => object }).Client()));
      assert.ok(!isKnex(one));
    });
  }

  it('go into `pools`, not into `knex`', async () => {
    await assert.rejects(instances(poolOf('pg') as unknown as Knex), /not a pg\.Pool: those go into `pools`/);
    await assert.rejects(pools(knex as unknown as Pool), /`pools` has to be a `pg\.Pool`.*, not a Knex instance/);
  });
});
