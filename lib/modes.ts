/** How one test is isolated. See `docs` of each in {@link TagWords}. */
export const MODES = ['rollback', 'truncate', 'nodb', 'schema', 'dirty', 'unmanaged'] as const;
export type Mode = (typeof MODES)[number];

/** A stretch of the run that holds one kind of test; phases run in this order, over all files and suites. */
export type Phase = 1 | 2 | 3 | 4 | 5;

const PHASE: Readonly<Record<Mode, Phase>> = { rollback: 1, nodb: 1, truncate: 2, schema: 3, dirty: 4, unmanaged: 5 };

export function phaseOf(mode: Mode): Phase {
  return PHASE[mode];
}

/** Whether tests of this mode really commit, on the app's own pool. */
export function commits(mode: Mode): boolean {
  return phaseOf(mode) > 1;
}
