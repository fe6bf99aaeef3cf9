// What `mocha --reporter mocha-rewind/reporter` loads: writes what `lib/report/json.ts` describes to a file.
import fs from 'node:fs';
import path from 'node:path';
import { messageOf } from './errors';
import { type JsonReport, type RunnerLike, reportOf, watchRunner } from './report';

/**
 * Writes mode, phase, isolation time and restored tables of every test as JSON. It prints nothing, so it is best used
 * beside another reporter, through mocha-multi-reporters:
 *
 * ```json
 * { "reporterEnabled": "spec, mocha-rewind/reporter",
 *   "mochaRewindReporterReporterOptions": { "output": "reports/rewind.json" } }
 * ```
 *
 * Alone: `mocha --reporter mocha-rewind/reporter --reporter-option output=reports/rewind.json`.
 */
class RewindReporter {
  constructor(runner: RunnerLike, options: RewindReporter.MochaOptions = {}) {
    const cwd = process.cwd();
    const output = outputOf(options);
    watchRunner(runner, (tests) => {
      const report = reportOf(tests, (file) => path.relative(cwd, file).split(path.sep).join('/'));
      try {
        write(path.resolve(cwd, output), report);
      } catch (error) {
        // Thrown from a listener this would be a crash inside Mocha; counted as a failure it is an exit code.
        runner.failures++;
        process.stderr.write(
          `REWIND_CONFIG: mocha-rewind/reporter could not write ${output}: ${messageOf(error)}\n` +
            '  Set the reporter option `output` to a file that can be written.\n',
        );
      }
    });
  }
}

function outputOf({ reporterOptions, reporterOption }: RewindReporter.MochaOptions): string {
  const output: unknown = (reporterOptions ?? reporterOption)?.output;
  return typeof output === 'string' && output !== '' ? output : 'reports/rewind.json';
}

function write(file: string, report: JsonReport): void {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
}

// eslint-disable-next-line @typescript-eslint/no-namespace -- the only way to give types to an `export =`
declare namespace RewindReporter {
  export interface ReporterOptions {
    /** Where to write, relative to the working directory. @default 'reports/rewind.json' */
    readonly output?: string;
  }
  /** What Mocha gives a reporter; mocha-multi-reporters gives `reporterOptions` alone. */
  export interface MochaOptions {
    readonly reporterOptions?: ReporterOptions;
    readonly reporterOption?: ReporterOptions;
  }
  export type { JsonReport };
}

export = RewindReporter;
