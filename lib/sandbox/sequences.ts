// What a session remembers of sequences it has moved (currval, lastval). Below all client connections is one session: it
// forgets what it remembers of one when another is going to move a sequence, or asks. So each finds its own numbers there,
// or none; and whoever had some is told that they are lost.
import { sequenceForgotten } from './refusals';
import type { Session, Task } from './session';
import type { SavepointStack } from './stack';
import { scriptWrites } from './statement';

const MOVES = /\b(nextval|setval)\b/i;
const ASKS = /\b(currval|lastval)\b/i;
const DISCARD = /^\s*discard\s+sequences\b/i;

export class Sequences {
  /** Whose numbers the real session remembers. */
  private owner: Session | undefined;
  private readonly forgotten = new WeakSet<Session>();

  /** Before a statement that may move a sequence, or ask for what it has given. */
  prepare({ session, script, text }: Task, stack: SavepointStack, writesBehind: boolean): void {
    const { owner } = this;
    if (DISCARD.test(text)) {
      if (owner && owner !== session) this.forgotten.add(owner);
      this.forgotten.delete(session);
      this.owner = undefined;
      return;
    }
    if (owner === session) return;
    const moves = writesBehind || scriptWrites(script) || MOVES.test(text);
    if (!moves && !ASKS.test(text)) return;
    if (owner) {
      this.forgotten.add(owner);
      stack.queue('DISCARD SEQUENCES');
    }
    this.owner = moves ? session : undefined;
  }

  /** Another real connection has been pinned. */
  startOn(): void {
    if (this.owner) this.forgotten.add(this.owner);
    this.owner = undefined;
  }

  /** What to say of an error that no session would have got that had one to itself. */
  explain({ session, job }: Task, error: Error): Error | undefined {
    const isUnknown = (error as { code?: unknown }).code === '55000' && error.message.includes('in this session');
    return isUnknown && this.forgotten.has(session) ? sequenceForgotten(job.text, error) : undefined;
  }
}
