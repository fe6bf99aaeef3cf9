import { realTimers, sleep } from '../timers';

/** How long a query that was not awaited may still run. A lock is waited for longer, by the restore. */
const QUIET_WITHIN_MS = 1000;

/** How it was waited for. */
export type Quiet = 'not at all' | 'until it ended' | 'in vain';

export async function untilQuiet(isQuiet: () => boolean): Promise<Quiet> {
  if (isQuiet()) return 'not at all';
  const limit = realTimers.now() + QUIET_WITHIN_MS;
  while (realTimers.now() < limit) {
    await sleep(5);
    if (isQuiet()) return 'until it ended';
  }
  return 'in vain';
}
