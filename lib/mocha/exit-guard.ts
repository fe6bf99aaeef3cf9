/**
 * Mocha can stop in the middle of a run and still exit with 0: when a listener throws, when a test calls
 * `process.exit()`, at SIGINT under `--parallel`, with `--delay` when nobody calls `run()`. Whatever began has to end,
 * or the exit code says so.
 */
export interface Vigil {
  /** What was going on, for the message. */
  describe(): string;
}

const KEY = Symbol.for('mocha-rewind.exit-guard');
type Holder = typeof globalThis & { [KEY]?: Set<Vigil> };

/** Begins to watch over a run; call what it returns when the run has ended. */
export function watchOver(vigil: Vigil): () => void {
  const vigils = ((globalThis as Holder)[KEY] ??= guardExit());
  vigils.add(vigil);
  return () => void vigils.delete(vigil);
}

function guardExit(): Set<Vigil> {
  const vigils = new Set<Vigil>();
  process.on('exit', (code) => {
    const [open] = vigils;
    if (!open || code !== 0) return;
    process.stderr.write(`\nmocha-rewind: the run stopped before its end, ${open.describe()}. Exit code 1.\n`);
    process.exitCode = 1;
  });
  return vigils;
}
