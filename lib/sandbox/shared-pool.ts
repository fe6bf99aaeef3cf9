// A tarn pool that an app makes itself, and that Knex instances share (Knex 3.3: `connectionPool`). Where its clients lead,
// and how they are made, only its `create` knows: they are taken over one by one, just before they connect.
import { RewindError } from '../errors';
import { appConnectionOf } from './app-client';
import type { AppPool } from './app-pool';
import { clientsMadeIn, isPgClient, recipeOf } from './pg-clients';
import type { ClientClass, PgClient } from './pg-types';
import type { TarnPool } from './tarn-types';

/** Makes the manager of the pool, by what its first client is made with; undefined: it is to be left alone. */
type Manage = (driver: ClientClass, settings: object) => AppPool | undefined;

export class SharedPool {
  private managed: AppPool | 'left alone' | undefined;
  /** What `create` has made past us. */
  private readonly strangers = new WeakSet<object>();

  constructor(
    private readonly pool: TarnPool,
    private readonly manage: Manage,
  ) {
    const { creator, validate } = pool;
    if (!creator || !validate) return;
    pool.validate = (client) => (client.__knex__disposed === undefined ? validate.call(pool, client) : false);
    pool.creator = async () => {
      const made = await clientsMadeIn(
        () =>
          new Promise<unknown>((resolve, reject) => {
            const given = creator.call(pool, (error, one) => (error ? reject(error as Error) : resolve(one)));
            Promise.resolve(given).then((one) => one && resolve(one), reject);
          }),
        (client) => this.take(client),
      );
      if (typeof made === 'object' && made !== null && !appConnectionOf(made)) this.strangers.add(made);
      return made;
    };
  }

  private take(client: PgClient): void {
    const { settings } = recipeOf(client);
    const managed = this.managerFor(client);
    if (managed !== 'left alone' && managed.isFor(settings)) managed.adopt(client, settings);
  }

  private managerFor(client: PgClient): AppPool | 'left alone' {
    if (this.managed) return this.managed;
    const { driver, settings } = recipeOf(client);
    return (this.managed = this.manage(driver, settings) ?? 'left alone');
  }

  /** Finds out where its clients lead before anybody uses one. */
  async meet(): Promise<void> {
    if (this.managed) return;
    const client = await this.known(() => this.pool.acquire().promise);
    this.managerFor(client);
    this.pool.release(client);
  }

  /** Somebody asks for a connection. Where that leads is known once there has been one. */
  async acquire(take: () => Promise<PgClient>): Promise<PgClient> {
    let first = this.managed ? undefined : await this.known(take);
    const managed = first ? this.managerFor(first) : this.managed;
    if (managed === undefined || managed === 'left alone') return first ?? take();
    try {
      return await managed.acquire(async () => {
        const client = first ?? (await this.known(take));
        first = undefined;
        return client;
      });
    } finally {
      if (first) this.pool.release(first);
    }
  }

  /** One that is ours, or was there before we came. */
  private async known(take: () => Promise<PgClient>): Promise<PgClient> {
    const client = await take();
    if (this.managed === 'left alone' || (isPgClient(client) && !this.strangers.has(client))) return client;
    this.pool.release(client);
    throw new RewindError('REWIND_CONFIG', {
      problem:
        'A Knex instance on a pool of your own (`connectionPool`) was given a connection that mocha-rewind can not lead: ' +
        (isPgClient(client)
          ? `to database "${client.database}" at ${client.host}:${client.port}, which was connected outside of the pool’s \`create\`, or leads elsewhere than the first one.`
          : 'its `create` makes something else than a client of the package "pg".'),
      remedy:
        'Let `create` make and connect a `new pg.Client(…)` for one database, or name the instances to manage in the config (`knex`).',
    });
  }
}
