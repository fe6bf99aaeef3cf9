// countQueries and REWIND_SQL in committing tests: there the app has real connections, which tell nobody what they send.
import { noteQuery } from './count';
import type { PgClient } from './pg-types';

/** While it is checked out, a real client tells of its queries as one on a stream of ours does. */
export function overhear<Client extends PgClient>(client: Client): Client {
  const query = Reflect.get(client, 'query') as (this: PgClient, ...args: unknown[]) => unknown;
  Object.defineProperty(client, 'query', {
    configurable: true,
    writable: true,
    value: function (this: PgClient, ...args: unknown[]): unknown {
      const sent = statementOf(args[0], args[1]);
      if (sent) noteQuery(sent.text, sent.values);
      return Reflect.apply(query, this, args);
    },
  });
  return client;
}

/** Before it goes back to its pool: the sandbox may be the next one to have it. */
export function overhearNoMore(client: PgClient): void {
  Reflect.deleteProperty(client, 'query');
}

interface Described {
  readonly text?: unknown;
  readonly values?: unknown;
  /** pg-query-stream keeps its statement in a cursor. */
  readonly cursor?: Described;
}

export function statementOf(
  given: unknown,
  values: unknown,
): { text: string; values: unknown[] | undefined } | undefined {
  const described: Described = typeof given === 'string' ? { text: given } : (given ?? {});
  const { text, values: own } = described.cursor ?? described;
  if (typeof text !== 'string') return undefined;
  const list = Array.isArray(values) ? values : own;
  return { text, values: Array.isArray(list) ? list : undefined };
}
