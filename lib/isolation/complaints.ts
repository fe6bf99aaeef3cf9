import { RewindError } from '../errors';
import type { Restored } from '../snapshot';
import { type Scope, nameOf } from '../scope';

/** What a restore found that the scope has to answer for. */
export function complaintsOf(scope: Scope, restored: Restored | undefined): Error[] {
  if (!restored) return [];
  const complaints: Error[] = restored.blockers
    .filter((blocker) => blocker.ended)
    .map(
      ({ pid, state, application, query }) =>
        new RewindError('REWIND_LEFT_OPEN', {
          problem: `${nameOf(scope)} left a transaction open that kept its tables locked: pid ${pid} (${state}${application && `, ${application}`}), last statement: ${query}`,
          remedy: 'It has been ended. Commit or roll back every transaction before the test ends.',
        }),
    );
  if (restored.schemaChange) {
    complaints.push(
      new RewindError('REWIND_SCHEMA_CHANGED', {
        problem: `${nameOf(scope)} changed the schema, which a restore can't undo: ${restored.schemaChange}`,
        remedy: 'Undo the change in the test itself, or make it under rollback: there PostgreSQL takes back DDL too.',
      }),
    );
  }
  return complaints;
}
