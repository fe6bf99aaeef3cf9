// What the ways of bench/rollback.ts have in common. Each test: 1 insert and 1 select.
import knexFactory, { type Knex } from 'knex';
import type { Client } from 'pg';
import { createSandbox, watchKnex, type Sandbox } from '../lib/sandbox';
import { scopeContext, type Scope } from '../lib/scope';

/** Where the server is; `host` may be the directory of its socket. */
export interface Place {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

export const root: Scope = {
  kind: 'root',
  title: '',
  file: undefined,
  mode: 'rollback',
  parent: undefined,
  ended: false,
  timedOut: false,
};

let serial = process.pid * 1_000_000;
export const value = (): string => `x${serial++}`;
export const read = async (knex: Knex | Knex.Transaction, table: string): Promise<unknown> =>
  knex(table).where({ v: 's5' }).first();
export const two = async (knex: Knex | Knex.Transaction, table: string): Promise<void> => {
  await knex(table).insert({ v: value() });
  await read(knex, table);
};

export function connectTo(place: Place, commit: 'on' | 'off'): Knex {
  const afterCreate = (c: Client, done: (error: Error | null, c: Client) => void): void =>
    void c.query(`set synchronous_commit = ${commit}`, (e) => done(e, c));
  return knexFactory({ client: 'pg', connection: { ...place }, pool: { min: 0, max: 5, afterCreate } });
}

/** Puts instances into sandboxes; each before its first query. */
export function managing(): { manage(knex: Knex): Sandbox; unwatch(): void } {
  const managed = new Map<unknown, Sandbox>();
  const unwatch = watchKnex({
    onPool: (pool) => {
      const sandbox = managed.get(pool.knexClient);
      return sandbox && (() => ({ to: 'sandbox', sandbox }));
    },
    onIgnored: () => {},
  });
  const manage = (knex: Knex): Sandbox => {
    const sandbox = createSandbox();
    managed.set(knex.client, sandbox);
    sandbox.enter(root);
    return sandbox;
  };
  return { manage, unwatch };
}

export async function inTest(sandbox: Sandbox, parent: Scope, body: () => Promise<unknown>): Promise<void> {
  const test: Scope = { ...root, kind: 'test', title: 'test', parent };
  sandbox.enter(test);
  await scopeContext.run(test, body);
  test.ended = true;
  sandbox.leave(test);
}
