// Clients of pg that an app makes and holds without a pool of pg's or Knex's: its own, or a library's that pools by itself
// (Sequelize). Nothing tells when they change hands, so a statement belongs to the scope that runs when it is sent.
import { appConnectionOf } from './app-client';
import { AppPool, type AppPoolOptions, type PoolSeam } from './app-pool';
import { likenessOf } from './customs';
import { recipeOf } from './pg-clients';
import type { ClientClass, PgClient } from './pg-types';

export class BareClients {
  /** Those that are made alike, by what they are made of. */
  private readonly managed = new Map<string, BarePool>();

  constructor(
    private readonly onPool: (pool: AppPool) => AppPool['gate'],
    private readonly options: AppPoolOptions,
  ) {}

  /** A client is about to connect. */
  take(client: PgClient): void {
    const { driver, settings } = recipeOf(client);
    this.poolOf(driver, settings, [])?.hold(client);
  }

  /** `texts`: what they are sent when they are new. */
  private poolOf(driver: ClientClass, settings: object, texts: readonly string[]): BarePool | undefined {
    const likeness = likenessOf([driver, settings, texts]);
    const known = this.managed.get(likeness);
    if (known) return known;
    const alike = (sent: readonly string[]): AppPool | undefined => this.poolOf(driver, settings, sent)?.app;
    const pool = new BarePool(driver, settings, texts, likeness, alike, this.options);
    pool.app.gate = this.onPool(pool.app);
    if (!pool.app.gate) return undefined;
    this.managed.set(likeness, pool);
    return pool;
  }
}

class BarePool implements PoolSeam {
  readonly kind = 'pg.Client';
  readonly max = Infinity;
  readonly waiting = 0;
  readonly app: AppPool;

  constructor(
    private readonly driver: ClientClass,
    private readonly settings: object,
    private readonly texts: readonly string[],
    readonly likeness: string,
    private readonly alike: (texts: readonly string[]) => AppPool | undefined,
    options: AppPoolOptions,
  ) {
    this.app = new AppPool(this, driver, () => settings, settings, options);
  }

  hold(client: PgClient): void {
    this.app.adopt(client, this.settings);
  }

  readonly bare = (texts: readonly string[]): AppPool => this.alike(texts) ?? this.app;

  /** One that does nothing just now is in nobody's way, however long it is held. */
  get taken(): readonly PgClient[] {
    return this.app.clients.filter((client) => appConnectionOf(client)?.stream.client.idle === false);
  }

  async acquire(): Promise<PgClient> {
    const client = new this.driver(this.settings);
    this.hold(client);
    await client.connect();
    for (const text of this.texts) await new Promise((resolve) => client.query(text, [], resolve));
    return client;
  }
  release(client: PgClient): void {
    void client.end();
  }
  /** Whoever has it sees it end, as if the server had ended it. */
  evict(client: PgClient): void {
    appConnectionOf(client)?.stream.client.abort({
      code: '57P01',
      message: 'terminating connection: the test that had begun a transaction on it has ended',
    });
  }
  unref(): void {}
}
