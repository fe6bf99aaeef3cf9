/**
 * Mocha can stop in the middle of a run and still exit with 0: when a listener throws, when a test or a spec file calls
 * `process.exit()`, at SIGINT under `--parallel`, with `--delay` when nobody calls `run()`. Whatever began has to end,
 * or the exit code says so.
 *
 *   running → reporting (the runner's `end`) → over (the callback of `Mocha#run`, after the reporter's last word)
 */
export class Vigil {
  stage: 'running' | 'reporting' | 'over' = 'running';

  /** `where` is asked for when the worst has happened: what was going on. `hasFailed`: what the run knows of itself. */
  constructor(
    readonly where: () => string,
    readonly hasFailed: () => boolean = () => false,
  ) {
    guard().vigils.add(this);
  }

  /** For a run that has come so far: a test may have removed our listener, with all others. */
  goesOn(): void {
    guard().listen();
  }

  over(): void {
    this.stage = 'over';
    guard().vigils.delete(this);
  }
}

/** Mocha's command line has had its last word, and it was not 0: nobody's `exit` listener makes it 0 any more. */
export function keepFailure(): void {
  guard().failed = true;
}

/** Mocha's command line has had its last word, and it was 0, but it has not failed any less. */
export function failAfterAll(): void {
  keepFailure();
  // Mocha sets its exit code at `exit` (`exitMochaLater`), and was asked to before us.
  process.once('exit', () => (process.exitCode ||= 1));
}

/** Whether the process is Mocha's: started to run tests, whose result its exit code is. Not a worker either. */
export function isCommandLine(): boolean {
  const [, script = ''] = process.argv;
  // With options for Node.js it starts a process of its own on lib/cli/cli.js.
  const isMocha = /[\\/](?:_?mocha(?:\.[cm]?js)?|lib[\\/]cli[\\/]cli(?:\.[cm]?js)?)$/.test(script);
  return isMocha && process.env['MOCHA_WORKER_ID'] === undefined;
}

class Guard {
  readonly vigils = new Set<Vigil>();
  failed = false;
  #drained = false;

  constructor() {
    process.on('beforeExit', () => (this.#drained = true));
    this.listen();
  }

  listen(): void {
    // First: a listener of the app's may end the process, and nobody after it is asked.
    if (!process.listeners('exit').includes(this.#exits)) process.prependListener('exit', this.#exits);
  }

  readonly #exits = (code: number): void => {
    // A reporter may end the process when it has said everything; a reporter that has thrown has not.
    const open =
      code === 0 && [...this.vigils].find((vigil) => vigil.stage === 'running' || this.#drained || vigil.hasFailed());
    if (open) process.stderr.write(`\nmocha-rewind: the run stopped before its end, ${open.where()}. Exit code 1.\n`);
    if (open || this.failed) insistOnFailure();
  };
}

function insistOnFailure(): void {
  process.exitCode ||= 1;
  const exit = process.exit.bind(process);
  process.exit = (code) => exit(Number(code ?? 0) === 0 ? process.exitCode || 1 : code);
}

const KEY = Symbol.for('mocha-rewind.exit-guard');
type Holder = typeof globalThis & { [KEY]?: Guard };

/** One for all runs of this process, whichever copy of this module they were begun by. */
function guard(): Guard {
  return ((globalThis as Holder)[KEY] ??= new Guard());
}
