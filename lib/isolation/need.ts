import type { Mode } from '../modes';
import type { IsolationOptions } from './index';

/** Whether a database has to have a snapshot. `if kept`: what an earlier run has kept is good enough to find leaks by. */
export type Need = 'yes' | 'if kept' | 'no';

export function needFor(
  counts: Readonly<Record<Mode, number>>,
  role: 'serial' | 'worker' | 'main',
  { leaks, unmanaged, kept, fingerprint, keepDatabase }: IsolationOptions,
): Need {
  // A worker goes on to other files after unmanaged tests; nobody else does.
  const restored = role === 'worker' || unmanaged === 'restored';
  if (keepDatabase !== undefined || (kept === 'use' && fingerprint() !== undefined)) return 'yes';
  // What root-level hooks wrote is committed before @schema tests, so that it is in their clones.
  if (counts.truncate + counts.schema > 0 || (restored && counts.unmanaged > 0)) return 'yes';
  if (leaks === 'never' || counts.rollback === 0 || counts.dirty + counts.unmanaged > 0) return 'no';
  if (leaks === 'always') return 'yes';
  // In a database made for a worker no earlier run has kept anything.
  return role === 'worker' ? 'no' : 'if kept';
}
