import { messageOf } from '../errors';
import { commits } from '../modes';
import { type Scope, nameOf } from '../scope';
import { within } from '../timers';
import type { KeepDatabase } from './index';
import type { ManagedDatabase } from './managed-database';
import { aside, removeSnapshotFrom } from './own-databases';

/** How long a statement of the failed test may stand in the way of keeping what it wrote. */
const KEPT_WITHIN_MS = 20_000;

/**
 * Keeps what a failed test has left in each database it has used, as it is now, in a clone for people to look at. The
 * app's database is restored when the run ends, as after any committing test. Resolves to sentences for people.
 */
export async function keepStateOf(
  scope: Scope,
  used: readonly ManagedDatabase[],
  keepDatabase: KeepDatabase,
): Promise<readonly string[]> {
  const sentences: string[] = [];
  for (const identity of new Set(used.map((database) => database.identity))) {
    const views = used.filter((database) => database.identity === identity);
    const [view] = views;
    // A committing test counts as one that has used all that there is.
    if (
      !view ||
      !views.some(({ sandbox, pools }) => commits(scope.mode) || pools.elsewhere || sandbox.hasOpened(scope))
    )
      continue;
    try {
      const kept = await within(KEPT_WITHIN_MS, keep(scope, view, views, keepDatabase));
      if (!kept) throw new Error('one of its statements is still running');
      sentences.push(...kept);
    } catch (error) {
      sentences.push(`what ${nameOf(scope)} has left in ${view.label} could not be kept: ${messageOf(error)}`);
    }
  }
  return sentences;
}

async function keep(
  scope: Scope,
  view: ManagedDatabase,
  views: readonly ManagedDatabase[],
  keepDatabase: KeepDatabase,
): Promise<readonly string[]> {
  if (views.some(({ sandbox, pools }) => pools.elsewhere === undefined && sandbox.changesSchema)) {
    throw new Error('it has changed the schema, which no restore would undo once it is committed. Tag it @schema');
  }
  let open = 0;
  for (const { sandbox } of views) {
    open += await sandbox.commit();
    await sandbox.release();
  }
  for (const { pools } of views) {
    const taken = await pools.closeAll();
    if (commits(scope.mode)) open += taken; // those of a rolled-back test are counted
  }
  for (const each of views) each.commitsAhead(scope);
  const { first, elsewhere } = view.pools;
  const original = elsewhere ?? first.database;
  const connect = (database: string): ReturnType<typeof view.pools.connect> => view.pools.connect(database);
  const { name, note } = await aside(views, () =>
    keepDatabase({ connect, base: first.database, urlOf: (database) => first.url(database) }, original),
  );
  await removeSnapshotFrom(() => connect(name));
  return [
    `what ${nameOf(scope)} had left when it failed is in ${first.url(name)}, until the next run that keeps something`,
    ...(open > 0
      ? [`${open === 1 ? 'a transaction' : `${open} transactions`} that it had not committed yet could not be kept`]
      : []),
    ...(note === undefined ? [] : [note]),
  ];
}
