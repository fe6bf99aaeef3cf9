// A session has one process id, and one state of random(). Whoever asks first in a scope gets the real session's; another
// connection that asks as well is refused, because in production it would get another answer.
import { sharedSession } from './refusals';
import type { Level, Session, Task } from './session';
import type { Script } from './statement';

interface Uses {
  readonly pid: boolean;
  readonly seeds: boolean;
  readonly draws: boolean;
}

interface Seeded {
  readonly by: Session;
  /** Another connection has drawn a number since. */
  disturbed: boolean;
}

export class Singles {
  private readonly uses = new WeakMap<Script, Uses>();
  private readonly pids = new WeakMap<Level, Session>();
  private readonly seeds = new WeakMap<Level, Seeded>();

  refuse(task: Task, levels: readonly Level[]): Error | undefined {
    const { pid, seeds, draws } = this.usesOf(task);
    if (pid) return this.refusePid(task, levels);
    if (seeds) this.seeds.set(task.level, { by: task.session, disturbed: false });
    return draws ? this.refuseDraw(task, levels) : undefined;
  }

  private usesOf({ script, text }: Task): Uses {
    let uses = this.uses.get(script);
    if (!uses) {
      uses = {
        pid: /\bpg_backend_pid\b/i.test(text),
        seeds: /\b(setseed|set\s+(session\s+|local\s+)?seed)\b/i.test(text),
        draws: /\brandom(_normal)?\b/i.test(text),
      };
      this.uses.set(script, uses);
    }
    return uses;
  }

  private refusePid({ session, level, text }: Task, levels: readonly Level[]): Error | undefined {
    const asker = levels.map((each) => this.pids.get(each)).find((one) => one !== undefined);
    if (asker && asker !== session) {
      return sharedSession(
        text,
        'another connection of the same test has asked for its process id, and would get the same',
      );
    }
    this.pids.set(level, session);
    return undefined;
  }

  private refuseDraw({ session, text }: Task, levels: readonly Level[]): Error | undefined {
    const seeded = levels
      .map((each) => this.seeds.get(each))
      .reverse()
      .find((one) => one !== undefined);
    if (!seeded) return undefined;
    if (seeded.by !== session) seeded.disturbed = true;
    else if (seeded.disturbed) {
      return sharedSession(
        text,
        'another connection of the same test has drawn from the random numbers that were seeded for this one',
      );
    }
    return undefined;
  }
}
