import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Client, ClientConfig } from 'pg';
import type { Segment } from '../../lib/wire';
import { wireDatabase } from '../support/wire-database';
import type { World } from '../support/wire-world';

describe('the async context', () => {
  const database = wireDatabase('');
  const flow = new AsyncLocalStorage<string>();

  /** Clients that share a session, each used first in another context than later. */
  const clients = async (world: World, more?: ClientConfig): Promise<Client[]> =>
    Promise.all(['x', 'y'].map((name) => flow.run(name, () => world.client(more))));

  it('of a callback is that of its query, also on a session that others use', async () => {
    for (const way of ['own', 'shared'] as const) {
      const [a, b] = (await clients(database.world(way))) as [Client, Client];
      const heard: [string, string | undefined][] = [];
      const ask = (client: Client, name: string): Promise<void> =>
        new Promise((resolve) => {
          flow.run(name, () =>
            client.query(`select '${name}'`, () => resolve(void heard.push([name, flow.getStore()]))),
          );
        });
      for (const round of [1, 2]) await Promise.all([ask(a, `a${round}`), ask(b, `b${round}`)]);
      assert.equal(heard.length, 4);
      for (const [asked, answered] of heard) assert.equal(answered, asked, way);
    }
  });

  it('of a segment is that of the write; a driver’s end may say another, where the driver queues by itself', async () => {
    const world = database.world('shared');
    const route = world.sharedRoute;
    const run = route.run.bind(route);
    const seen: string[] = [];
    route.run = (segment: Segment) => {
      const [request] = segment.requests;
      const text = request?.kind === 'query' ? request.text : '';
      seen.push(`${text} in ${segment.context.runInAsyncScope(() => flow.getStore())}`);
      run(segment);
    };
    const [a, piped] = [(await clients(world))[0], (await clients(world, { pipeline: true }))[0]];
    const ask = (client: Client | undefined, name: string): Promise<unknown> =>
      flow.run(name, async () => client?.query(`select ${name.length}`));
    for (const name of ['one', 'two']) await ask(a, name);
    await Promise.all(['three', 'four'].map((name) => ask(piped, name)));
    assert.deepEqual(seen, ['select 3 in one', 'select 3 in two', 'select 5 in three', 'select 4 in four']);
  });
});
