import { type Scope, nameOf } from '../scope';
import { replacedTimers } from '../timers';

/** Tells who has left a fake clock: connections open and close by timers, so that nothing goes on while it stands still. */
export class StoppedClock {
  #present: Scope | undefined;
  #since: Scope | undefined;

  entered(scope: Scope): void {
    this.#look(scope.parent ?? scope);
    this.#present = scope;
  }

  left(scope: Scope): void {
    this.#look(scope);
    this.#present = scope.parent;
  }

  /** A sentence; undefined where time goes on. */
  describe(): string | undefined {
    const names = replacedTimers();
    const since = this.#since ?? this.#present;
    if (names.length === 0 || !since) return undefined;
    return `A fake clock may be why: ${list(names)} not Node's since ${nameOf(since)}.`;
  }

  #look(ran: Scope): void {
    this.#since = replacedTimers().length > 0 ? (this.#since ?? ran) : undefined;
  }
}

function list(names: readonly string[]): string {
  const [last = ''] = names.slice(-1);
  return names.length > 1 ? `${names.slice(0, -1).join(', ')} and ${last} are` : `${last} is`;
}
