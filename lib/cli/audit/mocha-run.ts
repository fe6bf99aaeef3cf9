// Runs of the user's suite, as mocha runs it, with our reporter in place of theirs.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { AUDIT_PLAN, AUDIT_REPORT, type PlannedTest } from '../../audit-plan';
import { RewindError } from '../../errors';
import { resolvePeer } from '../../peers';
import type { JsonReport } from '../../report';

export interface MochaRun {
  /** Undefined: mocha ended before it had anything to report. */
  readonly report: JsonReport | undefined;
  /** What it printed. */
  readonly output: string;
}

/** Runs the suite once, or only the tests of a plan. */
export type RunMocha = (plan?: readonly PlannedTest[], env?: NodeJS.ProcessEnv) => Promise<MochaRun>;

/** Times of parallel workers can't be compared, a run that stops early says nothing, and one that watches never ends. */
const OVERRULED = ['--no-parallel', '--no-bail', '--no-watch'];

/** @param args - of mocha's command line: the user's own. */
export function mochaRunner(args: readonly string[]): RunMocha {
  const manifest = resolvePeer('mocha/package.json');
  if (!manifest) {
    throw new RewindError('REWIND_MOCHA', {
      problem: 'mocha is not installed here.',
      remedy: 'Run the audit in the package whose tests it is to look at.',
    });
  }
  const mocha = path.join(path.dirname(manifest), 'bin', 'mocha.js');
  const reporter = ['--reporter', path.join(__dirname, '..', '..', 'reporter.js')];
  return async (plan, env = {}) => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rewind-audit-'));
    try {
      const files = { report: path.join(folder, 'report.json'), plan: path.join(folder, 'plan.json') };
      if (plan) fs.writeFileSync(files.plan, JSON.stringify(plan));
      const output = await outputOf([mocha, ...args, ...reporter, ...OVERRULED], {
        ...process.env,
        ...env,
        REWIND_AUDIT: '',
        REWIND_KEEP: '',
        [AUDIT_REPORT]: files.report,
        [AUDIT_PLAN]: plan ? files.plan : '',
      });
      const written = fs.existsSync(files.report);
      return {
        report: written ? (JSON.parse(fs.readFileSync(files.report, 'utf8')) as JsonReport) : undefined,
        output,
      };
    } finally {
      fs.rmSync(folder, { recursive: true, force: true });
    }
  };
}

function outputOf(args: readonly string[], env: NodeJS.ProcessEnv): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (output += data.toString()));
    child.on('error', reject);
    child.on('close', () => resolve(output));
  });
}
