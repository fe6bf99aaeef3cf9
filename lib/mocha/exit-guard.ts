/**
 * Mocha can stop in the middle of a run and still exit with 0: when a listener throws, when a test calls
 * `process.exit()`, at SIGINT under `--parallel`, with `--delay` when nobody calls `run()`. Whatever began has to end,
 * or the exit code says so.
 *
 *   running → reporting (the runner's `end`) → over (the callback of `Mocha#run`, after the reporter's last word)
 */
export class Vigil {
  stage: 'running' | 'reporting' | 'over' = 'running';

  /** `where` is asked for when the worst has happened: what was going on. */
  constructor(readonly where: () => string) {
    watched().add(this);
  }

  over(): void {
    this.stage = 'over';
    watched().delete(this);
  }
}

const KEY = Symbol.for('mocha-rewind.exit-guard');
type Holder = typeof globalThis & { [KEY]?: Set<Vigil> };

/** The runs of this process that are not over, whichever copy of this module they were begun by. */
function watched(): Set<Vigil> {
  const holder = globalThis as Holder;
  return (holder[KEY] ??= guardExit(new Set<Vigil>()));
}

function guardExit(vigils: Set<Vigil>): Set<Vigil> {
  let drained = false;
  process.on('beforeExit', () => (drained = true));
  process.on('exit', (code) => {
    if (code !== 0) return;
    // A reporter may end the process when it has said everything; a reporter that has thrown has not.
    const open = [...vigils].find((vigil) => vigil.stage === 'running' || drained);
    if (!open) return;
    process.exitCode = 1;
    process.stderr.write(`\nmocha-rewind: the run stopped before its end, ${open.where()}. Exit code 1.\n`);
  });
  return vigils;
}
