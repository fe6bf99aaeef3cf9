// What `mocha --reporter mocha-rewind/reporter` loads: writes what `lib/report/json.ts` describes to files.
import fs from 'node:fs';
import path from 'node:path';
import { AUDIT_REPORT } from './audit-plan';
import { messageOf } from './errors';
import { type JsonReport, type RunnerLike, renderHtml, reportOf, watchRunner } from './report';
import { currentRunFacts } from './run-facts';

/**
 * Writes mode, phase, isolation time and restored tables of every test as JSON, and as a page to look at where `html`
 * says so. It prints nothing, so it is best used beside another reporter, through mocha-multi-reporters:
 *
 * ```json
 * { "reporterEnabled": "spec, mocha-rewind/reporter",
 *   "mochaRewindReporterReporterOptions": { "output": "reports/rewind.json", "html": "reports/rewind.html" } }
 * ```
 *
 * Alone: `mocha --reporter mocha-rewind/reporter --reporter-option output=reports/rewind.json`.
 */
class RewindReporter {
  constructor(runner: RunnerLike, options: RewindReporter.MochaOptions = {}) {
    const cwd = process.cwd();
    const forAudit = process.env[AUDIT_REPORT];
    const { output = 'reports/rewind.json', html } = forAudit ? { output: forAudit } : optionsOf(options);
    watchRunner(runner, (tests, events) => {
      const relative = (file: string): string => path.relative(cwd, file).split(path.sep).join('/');
      const report = reportOf(tests, { ...events, facts: currentRunFacts() }, relative);
      const write = (option: string, file: string, text: string): void => {
        try {
          writeFile(path.resolve(cwd, file), text);
        } catch (error) {
          // Thrown from a listener this would be a crash inside Mocha; counted as a failure it is an exit code.
          runner.failures++;
          process.stderr.write(
            `REWIND_CONFIG: mocha-rewind/reporter could not write ${file}: ${messageOf(error)}\n` +
              `  Set the reporter option \`${option}\` to a file that can be written.\n`,
          );
        }
      };
      write('output', output, `${JSON.stringify(report, null, 2)}\n`);
      if (html !== undefined) write('html', html, renderHtml(report));
    });
  }
}

function optionsOf(options: RewindReporter.MochaOptions): { output?: string; html?: string } {
  const given: Record<string, unknown> = { ...(options.reporterOptions ?? options.reporterOption) };
  const isFile = ([name, value]: [string, unknown]): boolean =>
    ['output', 'html'].includes(name) && typeof value === 'string' && value !== '';
  return Object.fromEntries(Object.entries(given).filter(isFile));
}

function writeFile(file: string, text: string): void {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, text);
}

// eslint-disable-next-line @typescript-eslint/no-namespace -- the only way to give types to an `export =`
declare namespace RewindReporter {
  export interface ReporterOptions {
    /** Where to write, relative to the working directory. @default 'reports/rewind.json' */
    readonly output?: string;
    /** Where to write the same as one HTML page, relative to the working directory. Not written by default. */
    readonly html?: string;
  }
  /** What Mocha gives a reporter; mocha-multi-reporters gives `reporterOptions` alone. */
  export interface MochaOptions {
    readonly reporterOptions?: ReporterOptions;
    readonly reporterOption?: ReporterOptions;
  }
  export type { JsonReport };
}

export = RewindReporter;
