// Which code runs inside which transaction's callback. A query on another connection from there can never see, nor
// outlive, that transaction's work, so it is refused at once instead of being waited for.
import { AsyncLocalStorage } from 'node:async_hooks';
import path from 'node:path';

/** One call of `knex.transaction()`. The first connection acquired inside it is its own. */
export interface Flow {
  readonly parent: Flow | undefined;
  /** The place of the call, `billing.ts:41:5`; computed when somebody asks. */
  readonly site: () => string;
  owner: object | undefined;
}

const flows = new AsyncLocalStorage<Flow>();

export function currentFlow(): Flow | undefined {
  return flows.getStore();
}

/** Runs `begin` (which acquires a connection and calls the app's callback) as a flow of its own. */
export function inFlow<T>(begin: () => T): T {
  const captured: { stack?: string } = {};
  Error.captureStackTrace(captured, inFlow); // formatted only when read
  return flows.run({ parent: flows.getStore(), site: () => siteIn(captured.stack ?? ''), owner: undefined }, begin);
}

export function isInside(flow: Flow | undefined, owner: object): boolean {
  for (let f = flow; f; f = f.parent) if (f.owner === owner) return true;
  return false;
}

/** The first frame that is neither Node's, a package's, nor ours. */
function siteIn(stack: string): string {
  const frame = stack
    .split('\n')
    .slice(1)
    .find(
      (line) =>
        /:\d+:\d+\)?$/.test(line) && !/node:|[\\/]node_modules[\\/]|[\\/]sandbox[\\/](flow|knex)\.[jt]s/.test(line),
    );
  const place = /\(?([^()\s]+:\d+:\d+)\)?$/.exec(frame ?? '')?.[1];
  return place === undefined ? 'an unknown place' : path.relative(process.cwd(), place.replace(/^file:\/\//, ''));
}
