import { RewindError } from '../errors';
import type { Blocker, Restored, Snapshot } from '../snapshot';
import { type Scope, nameOf } from '../scope';
import type { Leak, SchemaLeak } from './leak-watch';

/** What a restore found that the scope has to answer for. */
export function complaintsOf(
  scope: Scope,
  restored: Restored | undefined,
  whoLeft: (blocker: Blocker) => Scope = () => scope,
): RewindError[] {
  if (!restored) return [];
  const complaints = restored.blockers
    .filter((blocker) => blocker.ended)
    .map((blocker) => leftLocked([whoLeft(blocker)], blocker));
  if (restored.schemaChange) {
    complaints.push(
      new RewindError('REWIND_SCHEMA_CHANGED', {
        problem: `${nameOf(scope)} changed the schema, which a restore can't undo: ${restored.schemaChange}`,
        remedy:
          'Tag it @schema, which gives it a database of its own, or undo the change in the test itself, or make it under rollback: there PostgreSQL takes back DDL too.',
      }),
    );
  }
  return complaints;
}

/** A transaction that a restore had to end. */
export function leftLocked(
  suspects: readonly [Scope, ...Scope[]],
  { pid, state, application, query, prepared }: Blocker,
): RewindError {
  const who = suspects.map(nameOf).join(' or ');
  return new RewindError('REWIND_LEFT_OPEN', {
    problem: prepared
      ? `${who} left a prepared transaction that kept its tables locked: "${prepared.gid}", of role "${prepared.owner}", prepared at ${prepared.at}`
      : `${who} left a transaction open that kept its tables locked: pid ${pid} (${state}${application && `, ${application}`}), last statement: ${query}`,
    remedy: 'It has been ended. Commit or roll back every transaction before the test ends.',
  });
}

/** A transaction that began in one scope, unless nobody knows in which, and wrote in a later one. */
export function wroteLate(origin: Scope | undefined, met: Scope): RewindError {
  const left = origin ? `${nameOf(origin)} left a transaction open` : 'somebody left a transaction open';
  return new RewindError('REWIND_LEFT_OPEN', {
    problem: `${left} that wrote while ${nameOf(met)} ran, which may have seen it. What it committed has been restored.`,
    remedy: 'A connection that is not managed, or another process, has done it. Wait for its end before the test ends.',
  });
}

/** `around`: a scope around a committing one, with rows in the sandbox. */
export function modeMix(scope: Scope, around: Scope): RewindError {
  return new RewindError('REWIND_MODE_MIX', {
    problem: `${nameOf(scope)} really commits (@${scope.mode}), but ${nameOf(around)} around it has written rows that only its rolled-back tests can see.`,
    remedy: `Tag ${nameOf(around)} @${scope.mode}, or move the test into a suite of its own.`,
  });
}

/** Rows that were committed past a scope. */
export function leaked({ suspects, from, tables, repaired }: Leak, label: string): RewindError {
  const what = tables.map((t) => `${t.name} (${t.extra} rows new or changed, ${t.missing} gone or changed)`);
  const outcome = outcomeOf(repaired);
  if (from === 'the sandbox') {
    return new RewindError('REWIND_BOUNDARY', {
      problem: `${whoOf(suspects)} ended the transaction that isolates it, and rows were really committed to ${label}: ${what.join(', ')}. ${outcome}`,
      remedy: 'Tag the test @truncate: it then runs on real connections that really commit.',
    });
  }
  return new RewindError('REWIND_LEAK', {
    problem: `While ${whoOf(suspects)} ran, rows were really committed to ${label} from outside of the sandbox: ${what.join(', ')}. ${outcome}`,
    remedy:
      'A connection that is not managed, or another process, has written them. Name it in the config (`knex`, `pools`), or tag the test that makes it write @truncate and wait for it there.',
  });
}

function outcomeOf(repaired: Leak['repaired']): string {
  if (repaired === 'yes') return 'They have been restored.';
  return repaired === 'locked'
    ? 'They can be restored only when the suite around has ended, whose own rows are in the way: its tests see them.'
    : `They could not be restored yet: ${repaired.problem}.`;
}

/** DDL that was committed past a scope. */
export function leakedSchema({ suspects, change }: SchemaLeak, label: string): RewindError {
  return new RewindError('REWIND_LEAK', {
    problem: `While ${whoOf(suspects)} ran, the schema of ${label} was really changed past the sandbox: ${change}. No restore undoes that: the tests after it have it, too.`,
    remedy:
      'Undo it, or recreate the test database. A connection that is not managed, or another process, has done it, or the test has ended the transaction that isolates it. Name the connection in the config (`knex`, `pools`), or tag the test that makes it do so @schema.',
  });
}

function whoOf(suspects: readonly Scope[]): string {
  const [first, last] = [suspects[0], suspects.at(-1)];
  if (first && last && suspects.length > 5) {
    return `one of ${suspects.length} tests, from ${nameOf(first)} to ${nameOf(last)},`;
  }
  return suspects.map((scope) => (scope.kind === 'suite' ? `hooks of ${nameOf(scope)}` : nameOf(scope))).join(' or ');
}

/** @throws RewindError `REWIND_RESTORE` where the database is not as its snapshot says. */
export async function assertRestored(snapshot: Snapshot, label: string): Promise<void> {
  const differences = await snapshot.verify();
  if (differences.length === 0) return;
  const what = differences.map((d) => `${d.name} (${d.extra} rows too many, ${d.missing} missing)`).join(', ');
  throw new RewindError('REWIND_RESTORE', {
    problem: `${label} does not equal its snapshot at the end of the run: ${what}`,
    remedy:
      '`npx mocha-rewind restore` repairs it. A restore that leaves a difference is a mistake of ours: please report it.',
  });
}

/** A refusal is remembered and given to many queries; Knex puts each one's SQL in front of the message it gets. */
export function afresh(error: Error): Error {
  if (!(error instanceof RewindError)) return error;
  const { code, problem, remedy, cause } = error;
  return new RewindError(code, { problem, remedy, cause });
}
