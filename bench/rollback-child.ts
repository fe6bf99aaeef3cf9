// For bench/rollback.ts: a way that has a process to itself, as pg-transactional-tests must (it patches pg for everybody).
// What a test costs there is comparable to others in processes of their own, which are here for that.
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connectTo, inTest, managing, root, two, type Place } from './rollback-parts';

export const PLAIN = 'Knex, no isolation';
export const SANDBOX = 'mocha-rewind';
export const PEER = 'pg-transactional-tests 1.2.2';
export type Way = typeof PLAIN | typeof SANDBOX | typeof PEER;

interface Order {
  readonly place: Place;
  readonly commit: 'on' | 'off';
  readonly way: Way;
  readonly table: string;
}

/** What is called of pg-transactional-tests 1.2.2. */
interface Peer {
  readonly testTransaction: { start(): void; rollback(): Promise<void> };
}

export function hasPeer(): boolean {
  try {
    return require.resolve('pg-transactional-tests') !== '';
  } catch {
    return false;
  }
}

export class Child {
  private constructor(private readonly process: ChildProcess) {}

  static async start(place: Place, commit: 'on' | 'off', way: Way, table: string): Promise<Child> {
    const child = fork(__filename, [], { execArgv: ['-r', 'ts-node/register/transpile-only'] });
    child.on('exit', (code) => {
      if (code) throw new Error(`${way}: its process has ended with code ${code}`);
    });
    const ready = once(child, 'message');
    child.send({ place, commit, way, table } satisfies Order);
    await ready;
    return new Child(child);
  }

  /** One test; resolves to its microseconds. */
  async test(): Promise<unknown> {
    const done = once(this.process, 'message');
    this.process.send('test');
    return ((await done) as [number])[0];
  }

  async stop(): Promise<void> {
    const over = once(this.process, 'exit');
    this.process.send('stop');
    await over;
  }
}

const micros = (): number => Number(process.hrtime.bigint()) / 1e3;

function prepare({ place, commit, way, table }: Order): { test(): Promise<unknown>; stop(): unknown } {
  const knex = connectTo(place, commit);
  if (way === PLAIN) return { test: () => two(knex, table), stop: () => knex.destroy() };
  if (way === SANDBOX) {
    const sandbox = managing().manage(knex);
    return { test: () => inTest(sandbox, root, () => two(knex, table)), stop: () => sandbox.release() };
  }
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- optional
  const { testTransaction } = require('pg-transactional-tests') as Peer;
  testTransaction.start(); // as in a `before` hook: what follows is nested in it
  return {
    test: async () => {
      testTransaction.start();
      await two(knex, table);
      await testTransaction.rollback();
    },
    stop: () => testTransaction.rollback(),
  };
}

if (require.main === module) {
  let prepared: ReturnType<typeof prepare> | undefined;
  process.on('message', (message: Order | 'test' | 'stop') => {
    const work = async (): Promise<void> => {
      if (message === 'stop') {
        await prepared?.stop();
        process.exit();
      } else if (message === 'test') {
        const start = micros();
        await prepared?.test();
        process.send?.(micros() - start);
      } else {
        prepared = prepare(message);
        process.send?.('ready');
      }
    };
    work().catch((error: unknown) => {
      console.error(error);
      process.exit(1);
    });
  });
}
