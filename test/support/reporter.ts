// Mocha's own reporter, which fails a run in CI where a test is pending that should have run. Mocha's --forbid-pending
// knows no exceptions.
import Mocha from 'mocha';

/** What can't run everywhere, and why. */
const MAY_BE_PENDING: readonly (readonly [title: RegExp, why: string])[] = [
  [/can dump the app without us/, 'npm has no pg_dump of the embedded server’s version'],
];

class PendingReporter extends Mocha.reporters.Spec {
  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options);
    const missed: string[] = [];
    runner.on('pending', (test) => {
      const title = test.fullTitle();
      if (!MAY_BE_PENDING.some(([may]) => may.test(title))) missed.push(title);
    });
    runner.on('end', () => {
      if (!process.env.CI || missed.length === 0) return;
      console.error(`In CI these tests should have run (see test/support/reporter.ts):\n  ${missed.join('\n  ')}`);
      // What Mocha makes the exit code of; reporters hear of the end before it does.
      runner.failures += missed.length;
    });
  }
}

export = PendingReporter;
