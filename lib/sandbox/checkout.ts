// What Knex's pools and pg's have in common when they ask for a connection.
import { scopeContext, type Scope } from '../scope';
import type { Admission, Gate, ManagedPool } from './index';
import { lateOrigin, lateQuery } from './origin';

export type OnLate = (problem: Error, scope: Scope) => void;

/** Asks the gate; a query that comes from an ended test is turned away before a real connection is touched. */
export function admission(pool: ManagedPool, gate: Gate, onLate: OnLate | undefined): Admission | Promise<Admission> {
  const answer = gate(pool);
  return answer instanceof Promise ? answer.then((a) => screen(a, onLate)) : screen(answer, onLate);
}

function screen(answer: Admission, onLate: OnLate | undefined): Admission {
  if (answer.to === 'sandbox') return answer; // it looks at each query by itself
  const error = refuseLate(scopeContext.getStore(), onLate);
  return error ? { to: 'nowhere', error } : answer;
}

export function refuseLate(origin: Scope | undefined, onLate: OnLate | undefined): Error | undefined {
  const late = lateOrigin(origin);
  if (!late) return undefined;
  const error = lateQuery(late, 'a query');
  onLate?.(error, late);
  return error;
}
