// In which async context a segment's answer is told, which is also whose it is.
import { scopeContext, type Scope } from '../scope';
import type { Context, Segment } from '../wire';

/** The scope's context, for callbacks; pg's own are called in that of its socket otherwise. */
export class ScopeContext implements Context {
  constructor(readonly scope: Scope | undefined) {}

  runInAsyncScope<Result>(task: () => Result): Result {
    return scopeContext.run(this.scope, task);
  }
}

const contexts = new WeakMap<Scope, ScopeContext>();
const NO_SCOPE = new ScopeContext(undefined);
/** Of what a connection is sent while it is new. */
export const AT_START = new ScopeContext(undefined);

export function contextOf(scope: Scope | undefined): ScopeContext {
  if (!scope) return NO_SCOPE;
  let context = contexts.get(scope);
  if (!context) contexts.set(scope, (context = new ScopeContext(scope)));
  return context;
}

/** The scope whose code has sent a segment, as far as is known. */
export function originOf(segment: Segment): Scope | undefined {
  return (segment.context as ScopeContext).scope;
}
