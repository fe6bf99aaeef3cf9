import type { Finding, JsonHook } from '../../report';
import { count, pc, say } from '../terminal';
import type { ModeFindings, Trial } from './modes';
import type { Dependent } from './neighbours';
import type { Retagging } from './retag';
import { type Subject, reasonOf } from './subjects';

export interface Findings {
  readonly base: readonly Subject[];
  readonly failedHooks: readonly JsonHook[];
  readonly modes: ModeFindings;
  readonly dependent: readonly Dependent[];
}

const EXPLANATIONS = {
  haveToCommit: 'failed as rollback tests',
  couldTruncate: 'failed as rollback tests, and passed once as @truncate tests',
  failing: 'as rollback and as @truncate tests',
  dependent: 'pass as the suite is run, and fail otherwise; or the other way round',
} as const;

export function sayFindings({ base, failedHooks, modes, dependent }: Findings, retagging: Retagging): void {
  const { couldRollBack, haveToCommit, couldTruncate, failing } = modes;
  const failed = base.filter(({ passed }) => !passed).length;
  say(
    `${count(base.length, 'test')} as they are: ${base.length - failed} passed${failed > 0 ? `, ${failed} failed` : ''}.`,
  );
  for (const { title, error } of failedHooks) say(pc.red(`  ${title}: ${reasonOf({ error })}`));
  const tried = couldRollBack.length + haveToCommit.length + couldTruncate.length + failing.length;
  if (tried === 0) say('No test to try in another mode: none of them commits, and none failed as a rollback test.');

  section('Could be rolled back', couldRollBack, `passed once as rollback tests, and took ${ms(saved(modes))} less`);
  listTests(couldRollBack, gain);
  section('Have to commit', haveToCommit, EXPLANATIONS.haveToCommit);
  listTests(haveToCommit, ({ reason }) => reason);
  section('Want @truncate', couldTruncate, EXPLANATIONS.couldTruncate);
  listTests(couldTruncate, () => '');
  section('Fail', failing, EXPLANATIONS.failing);
  listTests(failing, ({ reason }) => reason);
  section('Depend on other tests', dependent, EXPLANATIONS.dependent);
  for (const found of dependent) {
    say(`  ${found.test.file ?? '(no file)'}: ${found.test.title}`);
    say(pc.dim(`    ${failure(found)}`));
  }
  section('In the config', retagging.advice);
  for (const sentence of retagging.advice) say(`  ${sentence}`);
  section('By hand', retagging.byHand);
  for (const { what, why } of retagging.byHand) say(`  ${what}\n${pc.dim(`    ${why}`)}`);
}

/** The same, for the page of the run that was compared with. */
export function findingsOf({ modes, dependent }: Findings, retagging: Retagging): readonly Finding[] {
  const trials = (
    title: string,
    explanation: string,
    among: readonly Trial[],
    detail: (trial: Trial) => string,
  ): Finding => ({
    title,
    explanation,
    items: among.map((trial) => sentence(trial.test, detail(trial))),
  });
  const { couldRollBack, haveToCommit, couldTruncate, failing } = modes;
  return [
    trials(
      'Could be rolled back',
      `passed once as rollback tests, and took ${ms(saved(modes))} less`,
      couldRollBack,
      gain,
    ),
    trials('Have to commit', EXPLANATIONS.haveToCommit, haveToCommit, ({ reason }) => reason),
    trials('Want @truncate', EXPLANATIONS.couldTruncate, couldTruncate, () => ''),
    trials('Fail', EXPLANATIONS.failing, failing, ({ reason }) => reason),
    {
      title: 'Depend on other tests',
      explanation: EXPLANATIONS.dependent,
      items: dependent.map((found) => sentence(found.test, failure(found))),
    },
    { title: 'In the config', explanation: '', items: retagging.advice },
    { title: 'By hand', explanation: '', items: retagging.byHand.map(({ what, why }) => `${what}: ${why}`) },
  ];
}

function sentence({ file, title }: Subject, detail: string): string {
  return `${file ?? '(no file)'}: ${title}${detail && ` · ${detail}`}`;
}

function gain({ savedMs }: Trial): string {
  return `${savedMs < 0 ? '+' : '−'}${ms(Math.abs(savedMs))}`;
}

function failure({ when, needs, reason }: Dependent): string {
  return `fails ${when}${needs === undefined ? '' : `, not after "${needs}"`}: ${reason}`;
}

function saved({ couldRollBack }: ModeFindings): number {
  return Math.max(
    0,
    couldRollBack.reduce((sum, { savedMs }) => sum + savedMs, 0),
  );
}

function section(title: string, items: readonly unknown[], explanation = ''): void {
  if (items.length === 0) return;
  say(`\n${pc.bold(`${title}: ${items.length}`)}${explanation && pc.dim(`  ${explanation}`)}`);
}

function listTests(trials: readonly Trial[], detail: (trial: Trial) => string): void {
  const files = new Map<string, Trial[]>();
  for (const trial of trials) {
    const file = trial.test.file ?? '(no file)';
    files.set(file, [...(files.get(file) ?? []), trial]);
  }
  for (const [file, mine] of files) {
    say(`  ${file}`);
    for (const trial of mine) {
      const text = detail(trial);
      say(`    ${trial.test.title}${text && pc.dim(text.length < 12 ? `  ${text}` : `\n      ${text}`)}`);
    }
  }
}

function ms(value: number): string {
  if (value >= 1_000) return `${(value / 1_000).toFixed(1)} s`;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}

/** For changes that add no line and take none away. */
export function changedLines(before: string, after: string): string[] {
  const lines = after.split('\n');
  return before.split('\n').flatMap((line, i) => (line === lines[i] ? [] : [`- ${line}`, `+ ${lines[i] ?? ''}`]));
}

/** What `--json` prints. */
export function jsonOf({ base, failedHooks, modes, dependent }: Findings, retagging: Retagging): object {
  const trial = ({ test, mode, savedMs, reason }: Trial): object => ({
    file: test.file,
    title: test.title,
    mode: test.mode,
    triedAs: mode,
    savedMs: Number(savedMs.toFixed(3)),
    ...(reason && { reason }),
  });
  return {
    version: 1,
    tests: base.length,
    passed: base.filter(({ passed }) => passed).length,
    failedHooks,
    savedMs: Number(saved(modes).toFixed(3)),
    couldRollBack: modes.couldRollBack.map(trial),
    haveToCommit: modes.haveToCommit.map(trial),
    wantTruncate: modes.couldTruncate.map(trial),
    failing: modes.failing.map(trial),
    dependent: dependent.map(({ test, ...rest }) => ({ file: test.file, title: test.title, ...rest })),
    advice: retagging.advice,
    byHand: retagging.byHand,
    changes: retagging.files.map(({ path, before, after }) => ({ path, lines: changedLines(before, after) })),
  };
}
