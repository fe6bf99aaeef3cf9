// `mocha-rewind audit`: runs the suite in other ways than it is run, and says what that shows.
import fs from 'node:fs';
import { namedServer, startServer } from '../../database';
import { RewindError } from '../../errors';
import { renderHtml } from '../../report';
import { requiredByMocha } from '../preload';
import { complain, mayWrite, pc, say, sayDiff } from '../terminal';
import { type ModeFindings, tryModes } from './modes';
import { type MochaRun, type RunMocha, mochaRunner } from './mocha-run';
import { type Dependent, alone, onDirtyData, shuffled } from './neighbours';
import { pageAt } from './page';
import { type Findings, changedLines, findingsOf, jsonOf, sayFindings } from './render';
import { type FileChange, planRetagging } from './retag';
import { type Subject, subjectsOf } from './subjects';

export interface AuditOptions {
  readonly unmanaged: boolean;
  readonly dirty: boolean;
  /** How many orders, as it was typed. */
  readonly shuffle: string | undefined;
  readonly alone: 'none' | 'suspects' | 'all';
  readonly write: boolean;
  readonly yes: boolean;
  readonly json: boolean;
  /** Where the page is written, if one is wanted. */
  readonly html: string | undefined;
}

/** @param mochaArgs - what stands behind `--`. */
export async function audit(options: AuditOptions, mochaArgs: readonly string[]): Promise<number> {
  const orders = ordersOf(options.shuffle);
  const writePage = pageAt(options.html);
  const stop = shareServer(mochaArgs);
  try {
    const mocha = mochaRunner(mochaArgs);
    complain('The suite as it is …');
    const first = await mocha();
    const base = subjectsOf(first.report);
    if (base.size === 0 || !first.report) return noBase(first);
    const findings: Findings = {
      base: [...base.values()],
      failedHooks: first.report.run.failedHooks,
      modes: await modes(base, mocha, options),
      dependent: await dependents(base, mocha, options, orders),
    };
    const retagging = planRetagging(base, findings.modes);
    writePage?.(renderHtml(first.report, findingsOf(findings, retagging)));
    if (options.json) say(JSON.stringify(jsonOf(findings, retagging), null, 2));
    else sayFindings(findings, retagging);
    if (options.write) await write(retagging.files, options);
    else if (retagging.files.length > 0 && !options.json)
      say(
        `\nTo change the tags in ${retagging.files.map(({ path }) => path).join(', ')}: npx mocha-rewind audit --write`,
      );
    return 0;
  } finally {
    await stop();
  }
}

function ordersOf(typed: string | undefined): number {
  const orders = Number(typed ?? 0);
  if (Number.isInteger(orders) && orders >= 0 && typed !== '') return orders;
  throw new RewindError('REWIND_CONFIG', {
    problem: `--shuffle ${JSON.stringify(typed)}: how many orders?`,
    remedy: 'Give it a number: --shuffle 5.',
  }).withoutStack();
}

/** The runs of one audit share an embedded server, so that the next finds what the last has left. */
function shareServer(mochaArgs: readonly string[]): () => Promise<void> {
  const embedded = [...requiredByMocha(), ...mochaArgs].some((name) => name.includes('mocha-rewind/embedded'));
  if (!embedded || process.env['DATABASE_URL'] || namedServer(process.env)) return async () => {};
  const server = startServer();
  process.env['DATABASE_URL'] = server.url;
  return () => server.stop();
}

function noBase({ report, output }: MochaRun): number {
  complain(output);
  complain(
    report && report.tests.length > 0
      ? pc.red('No test of this run was isolated by mocha-rewind: does the Mocha config require mocha-rewind/register?')
      : pc.red('No test ran, so there is nothing to compare with. What mocha printed is above.'),
  );
  return 1;
}

async function modes(
  base: ReadonlyMap<string, Subject>,
  mocha: RunMocha,
  options: AuditOptions,
): Promise<ModeFindings> {
  complain('Tests in other modes …');
  return tryModes(base, mocha, options);
}

async function dependents(
  base: ReadonlyMap<string, Subject>,
  mocha: RunMocha,
  options: AuditOptions,
  orders: number,
): Promise<readonly Dependent[]> {
  const found: Dependent[] = [];
  if (options.dirty) {
    complain('On dirty data …');
    found.push(...(await onDirtyData(base, mocha)));
  }
  for (let order = 1; order <= orders; order++) {
    complain(`In another order, ${order} of ${orders} …`);
    found.push(...(await shuffled(base, mocha, FIRST_SEED + order)));
  }
  if (options.alone === 'none') return found;
  const suspects = new Set(found.map(({ test }) => test));
  const subjects = [...base.values()].filter((test) => options.alone === 'all' || !test.passed || suspects.has(test));
  for (const [i, test] of subjects.entries()) {
    complain(`Alone, ${i + 1} of ${subjects.length}: ${test.title}`);
    const dependent = await alone(test, base, mocha);
    if (dependent) found.push(dependent);
  }
  return found;
}

/** Any number but 1, for which a seed is made up: an audit gives the same orders each time. */
const FIRST_SEED = 1_000;

async function write(files: readonly FileChange[], { yes, json }: AuditOptions): Promise<void> {
  if (files.length === 0) return;
  if (!json) for (const file of files) sayChange(file);
  const names = files.map(({ path }) => path);
  if (!json && !(await mayWrite(names, yes, 'npx mocha-rewind audit --write --yes'))) return;
  if (json && !yes) return;
  for (const { path, after } of files) fs.writeFileSync(path, after);
  if (!json) say(`Written: ${names.join(', ')}.`);
}

function sayChange({ path, before, after }: FileChange): void {
  say(`\n${pc.bold(`Change in ${path}`)}`);
  sayDiff(changedLines(before, after));
}
