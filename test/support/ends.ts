// Loaded by .mocharc.json: a run of our own tests that is over but doesn't end says what keeps it, and fails. Otherwise
// one forgotten pool, child or timer would hold CI until its limit, without a word.
interface Held {
  readonly constructor: { readonly name: string };
  readonly spawnargs?: readonly string[];
  readonly localPort?: number;
  readonly remotePort?: number;
}

const told = (held: Held): string =>
  [
    held.constructor.name,
    held.spawnargs?.join(' '),
    held.localPort && `from port ${held.localPort}`,
    held.remotePort && `to port ${held.remotePort}`,
  ]
    .filter(Boolean)
    .join(' ');

const sayAndExit = (): void => {
  // Node.js has the public list of kinds only; a kind alone does not lead to the test.
  const { _getActiveHandles } = process as unknown as { _getActiveHandles(): Held[] };
  const held = [..._getActiveHandles.call(process).map(told), process.getActiveResourcesInfo().join(' ')];
  process.stderr.write(`\nThe tests are over, but their process is kept alive by:\n  ${held.join('\n  ')}\n`);
  process.on('exit', () => (process.exitCode = 1)); // the last word: Mocha's own listener sets the count of failures
  process.exit();
};

export const mochaGlobalTeardown = (): void => {
  // Unreferenced: it fires only if something else keeps the process.
  setTimeout(sayAndExit, Number(process.env.REWIND_TEST_PATIENCE_MS ?? 20_000)).unref();
};
