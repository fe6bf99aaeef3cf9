/** How one test is isolated. See `docs` of each in {@link TagWords}. */
export const MODES = ['rollback', 'truncate', 'nodb', 'dirty', 'unmanaged'] as const;
export type Mode = (typeof MODES)[number];

/** A stretch of the run that holds one kind of test; phases run in this order, over all files and suites. */
export type Phase = 1 | 2 | 3 | 4;

const PHASE: Readonly<Record<Mode, Phase>> = { rollback: 1, nodb: 1, truncate: 2, dirty: 3, unmanaged: 4 };

export function phaseOf(mode: Mode): Phase {
  return PHASE[mode];
}

/** Whether tests of this mode really commit, on the app's own pool. */
export function commits(mode: Mode): boolean {
  return mode === 'truncate' || mode === 'dirty' || mode === 'unmanaged';
}
