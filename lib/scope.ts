import { AsyncLocalStorage } from 'node:async_hooks';
import type { Mode } from './modes';

/**
 * A stretch of the run whose writes belong together and are undone when it ends. Scopes nest: root > suite > … > test.
 * Created and ended by the `mocha` room, synchronously, from runner events; the object's identity is the scope's.
 */
export interface Scope {
  readonly kind: 'root' | 'suite' | 'test';
  /** Full title, as reporters show it; `''` for the root. */
  readonly title: string;
  readonly file: string | undefined;
  /**
   * Of a test: its mode. Of a suite: that of its tests (after the split, all of one phase), where `nodb` counts only if
   * the suite itself is tagged so: its hooks have to do the same whichever of its tests are run. Of the root: that of
   * the first phase the run has tests in, never `nodb`.
   */
  readonly mode: Mode;
  readonly parent: Scope | undefined;
  /** True once nothing of this scope may touch the database any more. */
  ended: boolean;
  /** True for a test that was given up on by Mocha's time-out: its body may still be running. */
  timedOut: boolean;
  /** While a `beforeEach` or `afterEach` hook runs for this test: the scope of the suite that the hook belongs to. */
  hookOwner?: Scope | undefined;
}

/**
 * The scope whose code is running, as far as asynchronous context can tell. Entered by the `mocha` room in its runner
 * listeners. It sticks to whoever was *created* in a scope (a server that listens since an earlier test), so it is used
 * to recognise late queries, never to attribute an innocent one.
 */
export const scopeContext = new AsyncLocalStorage<Scope | undefined>();

/** Root first. */
export function pathOf(scope: Scope): Scope[] {
  const path: Scope[] = [];
  for (let s: Scope | undefined = scope; s; s = s.parent) path.unshift(s);
  return path;
}

/** How a message names a scope. */
export function nameOf(scope: Scope): string {
  if (scope.kind === 'root') return 'the root-level hooks';
  return `${scope.kind === 'suite' ? 'suite ' : ''}"${scope.title}"`;
}
