import type { Mode } from '../modes';
import { type Scope, pathOf } from '../scope';
import { dirty } from './dirty';
import type { ModeStrategy } from './mode-strategy';
import { nodb } from './nodb';
import { rollback } from './rollback';
import { schema } from './schema';
import { truncate } from './truncate';
import { unmanaged } from './unmanaged';

const STRATEGIES: Readonly<Record<Mode, ModeStrategy>> = { rollback, truncate, nodb, schema, dirty, unmanaged };

/**
 * Hooks outside of what is tagged @nodb belong to other tests as well, so they may use the database though the test they
 * run for may not; what they write is undone. Root-level hooks are always outside.
 */
export function strategyOf(scope: Scope): ModeStrategy {
  if (scope.kind === 'root')
    return scope.mode === 'nodb' || scope.mode === 'schema' ? rollback : STRATEGIES[scope.mode];
  const user = scope.hookOwner ?? scope;
  if (user.kind !== 'root' && user.mode === 'nodb') return nodb;
  // What the hooks of a @schema suite have left is in its own database, whatever the tests are that were kept with it.
  if (pathOf(scope).some((s) => s.kind === 'suite' && s.mode === 'schema')) return schema;
  return scope.mode === 'nodb' ? rollback : STRATEGIES[scope.mode];
}
