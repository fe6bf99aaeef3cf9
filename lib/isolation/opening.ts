import type { DatabaseIdentity } from '../database';
import { assertOwnSession } from '../pooler';
import type { Snapshot } from '../snapshot';
import type { OwnConnection } from '../sql';
import type { AppPools } from './app-pools';
import type { IsolationOptions } from './index';
import { openFor } from './leftovers';

/** Inspected, and recovered if the last run was killed. */
export async function openDatabase(
  pools: AppPools,
  options: IsolationOptions,
  identified: (identity: DatabaseIdentity) => void,
): Promise<Snapshot> {
  // The connection that was looked at is the first one the snapshot gets.
  let inspected: OwnConnection | undefined = await pools.connect();
  let snapshot: Snapshot | undefined;
  try {
    await assertOwnSession(inspected, () => pools.connect(), pools.first.label);
    await options.inspect(inspected.query);
    identified(await options.identify(inspected.query));
    snapshot = await openFor(options, async () => {
      const own = inspected ?? (await pools.connect());
      inspected = undefined;
      return own;
    });
    const recovered = await snapshot.recover();
    if (recovered) {
      const { schemaChange } = recovered;
      options.note(
        `${pools.first.label}: the last run was killed, or left its data on purpose; its baseline has been restored` +
          (schemaChange === undefined
            ? ''
            : `, but not the schema: ${schemaChange}. Undo that, or recreate the database`),
      );
    }
    return snapshot;
  } catch (error) {
    await snapshot?.close();
    await inspected?.end();
    throw error;
  }
}
