// Session-level advisory locks. Below all client connections is one session, which gets each lock it asks for; so who
// holds which is kept here, and a second connection that asks for the same one, as far as can be told, is refused.
import type { Session, Task } from './session';
import type { LockKey, SessionLock } from './calls';

interface Held {
  taken: number;
  tried: number;
}

/** A key that can't be read from the statement: it may be any. */
const ANY = '?';

export class SessionLocks {
  private readonly holders = new Map<Session, Map<string, Held>>();

  heldByOther({ session, job }: Task, { key }: SessionLock): boolean {
    const wanted = keyOf(key, job.values);
    for (const [holder, locks] of this.holders) {
      if (holder === session) continue;
      if (wanted === ANY || locks.has(ANY) || locks.has(wanted)) return true;
    }
    return false;
  }

  used({ session, level, job }: Task, { use, key }: SessionLock): void {
    level.locked = true;
    if (use === 'free all') {
      this.holders.delete(session);
      return;
    }
    const locks = this.holders.get(session) ?? new Map<string, Held>();
    let of = keyOf(key, job.values);
    // given back under a name that can't be compared with the one it was taken by
    if (use === 'free' && !locks.has(of)) of = locks.has(ANY) ? ANY : of === ANY && locks.size === 1 ? only(locks) : of;
    const held = locks.get(of) ?? { taken: 0, tried: 0 };
    if (use === 'take') held.taken++;
    else if (use === 'try') held.tried++;
    else if (held.taken > 0) held.taken--;
    else held.tried = Math.max(0, held.tried - 1);
    if (held.taken + held.tried > 0) locks.set(of, held);
    else locks.delete(of);
    if (locks.size > 0) this.holders.set(session, locks);
    else this.holders.delete(session);
  }

  /** Forgets all of them. True if one was certainly left held (one that was only tried may never have been had). */
  release(): boolean {
    const left = [...this.holders.values()].some((locks) => [...locks.values()].some(({ taken }) => taken > 0));
    this.holders.clear();
    return left;
  }
}

function only(locks: ReadonlyMap<string, Held>): string {
  return locks.keys().next().value ?? ANY;
}

function keyOf(key: LockKey, values: readonly unknown[] | undefined): string {
  const parts = key.map((part) => {
    if (part === 'computed') return ANY;
    const value = typeof part === 'number' ? part : values?.[part.parameter - 1];
    return ['number', 'string', 'bigint'].includes(typeof value) ? String(value).trim() : ANY;
  });
  return parts.length === 0 || parts.includes(ANY) ? ANY : parts.join();
}
