// Session-level advisory locks. Below all virtual connections is one session, which gets each lock it asks for; so who
// holds one is kept here, and a second connection that asks is refused.
import type { Task } from './session';
import type { Session } from './session';
import type { SessionLockUse } from './statement';

export class SessionLocks {
  private readonly holders = new Map<Session, { taken: number; tried: number }>();

  heldByOther(session: Session): boolean {
    return [...this.holders.keys()].some((holder) => holder !== session);
  }

  used({ session, level }: Task, use: SessionLockUse): void {
    level.locked = true;
    if (use === 'free all') {
      this.holders.delete(session);
      return;
    }
    const held = this.holders.get(session) ?? { taken: 0, tried: 0 };
    if (use === 'take') held.taken++;
    else if (use === 'try') held.tried++;
    else if (held.taken > 0) held.taken--;
    else held.tried = Math.max(0, held.tried - 1);
    if (held.taken + held.tried > 0) this.holders.set(session, held);
    else this.holders.delete(session);
  }

  /** Forgets all of them. True if one was certainly left held (one that was only tried may never have been had). */
  release(): boolean {
    const left = [...this.holders.values()].some(({ taken }) => taken > 0);
    this.holders.clear();
    return left;
  }
}
