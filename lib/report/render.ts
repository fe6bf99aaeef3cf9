import pc from 'picocolors';
import type { Mode } from '../modes';
import { type CleaningHook, cleaningMs, needless } from './cleaning';
import type { Summary } from './summary';
import { unmanagedNote } from './unmanaged';

/** What became of the tests of a mode. In the order they ran. */
const DEED: Readonly<Record<Mode, string>> = {
  rollback: 'rolled back',
  nodb: 'without database',
  truncate: 'committed, undone',
  schema: 'on databases of their own',
  dirty: 'committed, kept',
  unmanaged: 'left alone',
};

/** `  rewind: 131 rolled back · 11 committed, undone (2.1 ms each) · isolation 1.6 % of the run`, and the notes. */
export function renderSummary(summary: Summary, colours: Pick<typeof pc, 'dim' | 'yellow'> = pc): string {
  const parts = Object.entries(DEED)
    .map(([mode, deed]) => ({ count: summary.counts[mode as Mode], mode, deed }))
    .filter(({ count }) => count > 0)
    .map(({ count, mode, deed }) => `${count} ${deed}${mode === 'truncate' ? restoreTime(summary) : ''}`);
  if (summary.unknown > 0) parts.push(`${summary.unknown} not isolated`);
  const isolation = parts.length === 0 ? 'no test ran' : `isolation ${percent(summary.share)} of the run`;
  const told = [...summary.notes, ...unmanagedNote(summary.unmanaged), ...cleaningNote(summary.cleaning)];
  const notes = told.map((note) => colours.yellow(`  rewind: ${note}`));
  return [colours.dim(`  rewind: ${[...parts, isolation].join(' · ')}`), ...notes, '', ''].join('\n');
}

const MOST_PLACES = 3;

function cleaningNote(cleaning: readonly CleaningHook[]): string[] {
  const hooks = needless(cleaning);
  if (hooks.length === 0) return [];
  const places = hooks.slice(0, MOST_PLACES).map((hook) => {
    const part = hook.alsoWrites ? '; its cleaning, not what it writes' : '';
    return `${hook.place ?? hook.title} (${hook.hook}, ${hook.runs} ×, ${ms(hook.ms)}${part})`;
  });
  const more =
    hooks.length > MOST_PLACES ? `, and ${hooks.length - MOST_PLACES} more: the JSON report has them all` : '';
  const who = hooks.length === 1 ? '1 hook cleans' : `${hooks.length} hooks clean`;
  return [`${who} what is undone anyway, ${ms(cleaningMs(hooks))} of this run: ${places.join(', ')}${more}`];
}

function restoreTime({ restores, restoreMs }: Summary): string {
  if (restores === 0) return '';
  return restores === 1 ? ` (${ms(restoreMs)})` : ` (${ms(restoreMs / restores)} each)`;
}

function ms(value: number): string {
  if (value < 0.05) return '< 0.1 ms';
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}

function percent(share: number): string {
  const value = share * 100;
  if (value > 0 && value < 0.05) return '< 0.1 %';
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} %`;
}
