// countQueries and expectQueries: which statements a piece of code sends, whatever runs beside it.
import { AsyncLocalStorage } from 'node:async_hooks';
import { RewindError } from '../errors';

export interface CountedQuery {
  readonly sql: string;
  readonly values: readonly unknown[];
}

const counting = new AsyncLocalStorage<CountedQuery[]>();
const CONTROL = /^\s*(begin|commit|end|rollback|abort|savepoint|release|start\s+transaction|set\s+transaction)\b/i;

const taps = new Set<(query: CountedQuery) => void>();

/** Tells `listener` of every statement that is sent through a managed instance, by whomever, until the result is called. */
export function tapQueries(listener: (query: CountedQuery) => void): () => void {
  taps.add(listener);
  return () => void taps.delete(listener);
}

/** Whether anybody wants to know. */
export function counts(): boolean {
  return taps.size > 0 || counting.getStore() !== undefined;
}

/** Called for every statement an app sends through a managed instance, in the sender's context. */
export function noteQuery(sql: string, values: readonly unknown[] | undefined): void {
  for (const tap of taps) tap({ sql, values: values ?? [] });
  const list = counting.getStore();
  if (list && !CONTROL.test(sql)) list.push({ sql, values: [...(values ?? [])] });
}

/** The statements that `fn`, and what it awaits, sends through managed instances; `BEGIN`, `COMMIT` and the like are not counted. */
export async function countQueries(fn: () => unknown): Promise<readonly CountedQuery[]> {
  const list: CountedQuery[] = [];
  await counting.run(list, async () => fn());
  return list;
}

/** Fails, with the list of statements, unless `fn` sends exactly `expected` of them. Resolves to what `fn` returns. */
export async function expectQueries<T>(expected: number, fn: () => T | Promise<T>): Promise<T> {
  const list: CountedQuery[] = [];
  const result = await counting.run(list, async () => fn());
  if (list.length === expected) return result;
  const lines = list.map(
    ({ sql, values }, i) => `    ${i + 1}. ${sql}${values.length ? ` -- ${JSON.stringify(values)}` : ''}`,
  );
  throw new RewindError('REWIND_QUERY_COUNT', {
    problem: `Expected ${expected} ${expected === 1 ? 'query' : 'queries'}, but ${list.length} ran${list.length ? `:\n${lines.join('\n')}` : '.'}`,
    remedy: 'Change the number, or find the query that should not be there (or the one that is missing).',
  });
}

interface Described {
  readonly text?: unknown;
  readonly values?: unknown;
  /** pg-query-stream keeps its statement in a cursor. */
  readonly cursor?: Described;
}

/** What a call of pg's `query()` is going to send, as far as it can be told. */
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
