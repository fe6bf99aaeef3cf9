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

/** The first connection acquired inside a flow is the flow's own: the flow, if this is it. */
export function claimFlow(owner: object): Flow | undefined {
  const flow = flows.getStore();
  if (!flow || flow.owner) return undefined;
  flow.owner = owner;
  return flow;
}

/** Runs `begin` (which acquires a connection and calls the app's callback) as a flow of its own. */
export function inFlow<T>(begin: () => T): T {
  return flows.run({ parent: flows.getStore(), site: siteOfCall(inFlow), owner: undefined }, begin);
}

/** Where the app called what called `below`; computed when somebody asks. */
export function siteOfCall(below: (...args: never[]) => unknown): () => string {
  const captured: { stack?: string } = {};
  Error.captureStackTrace(captured, below); // formatted only when read
  return () => siteIn(captured.stack ?? '');
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
        /:\d+:\d+\)?$/.test(line) &&
        !/node:|[\\/]node_modules[\\/]|[\\/]sandbox[\\/](flow|knex|pgpool)\.[jt]s/.test(line),
    );
  const place = /\(?([^()\s]+:\d+:\d+)\)?$/.exec(frame ?? '')?.[1];
  return place === undefined ? 'an unknown place' : path.relative(process.cwd(), place.replace(/^file:\/\//, ''));
}
