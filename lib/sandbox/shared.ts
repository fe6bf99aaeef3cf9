// What a session has beside its settings, and all client connections share: a statement that would show it is refused.
import { actsAsRole } from './refusals';
import { Sequences } from './sequences';
import { Singles } from './singles';
import type { Level, Task } from './session';
import type { SavepointStack } from './stack';
import { Temporaries } from './temporaries';

export class SharedSession {
  readonly temporaries: Temporaries;
  private readonly sequences = new Sequences();
  private readonly singles = new Singles();

  constructor(private readonly stack: SavepointStack) {
    this.temporaries = new Temporaries(stack);
  }

  /** Why a statement can't run on the one real session. */
  refuse(task: Task, levels: readonly Level[]): Error | undefined {
    const { home } = task.session;
    if (home.refusal) return home.refusal;
    if (home.way === 'role' && /\bsession_user\b/i.test(task.text)) return actsAsRole(task.text, home.user);
    return this.temporaries.refuse(task) ?? this.singles.refuse(task, levels);
  }

  /** Before a statement that is going to run. */
  prepare(task: Task, writesBehind: boolean): void {
    this.sequences.prepare(task, this.stack, writesBehind);
  }

  /** What to say of an error that no session would have got that had one to itself. */
  explain(task: Task, error: Error): Error | undefined {
    return this.sequences.explain(task, error);
  }

  /** Another real connection has been pinned. */
  startOn(): void {
    this.sequences.startOn();
  }
}
