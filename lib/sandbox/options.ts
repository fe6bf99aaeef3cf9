import type { Scope } from '../scope';

export interface SandboxOptions {
  /**
   * How long a statement waits for another connection's transaction that has changed something and does nothing, before
   * it is refused. @default 1000
   */
  readonly interleaveTimeout?: number;
  /** A late query, or whatever else went wrong in a scope that is over already. */
  readonly onStray?: (problem: Error, scope: Scope) => void;
}
