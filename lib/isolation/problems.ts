import type { Scope } from '../scope';

/** Errors of scopes, which their code may have swallowed, until somebody is told of them. */
export class ScopeProblems {
  readonly #problems = new Map<Scope, Error[]>();

  report(scope: Scope, error: Error): void {
    const known = this.#problems.get(scope);
    if (known) known.push(error);
    else this.#problems.set(scope, [error]);
  }

  take(scope: Scope): readonly Error[] {
    const found = this.#problems.get(scope) ?? [];
    this.#problems.delete(scope);
    return found;
  }

  /** Those of scopes that had no test to charge them to. */
  takeAll(): readonly Error[] {
    const found = [...this.#problems.values()].flat();
    this.#problems.clear();
    return found;
  }
}
