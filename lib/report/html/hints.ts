import { type CleaningHook, needless } from '../cleaning';
import type { JsonReport, JsonTest } from '../json';
import { type Markup, markup } from './markup';
import { createFormat } from './page/format';

const format = createFormat();

const MOST = 3;
/** Below this, nobody would look for the reason. */
const DEAR_MS = 10;

/** What could be better about the suite. */
export function hints({ run, tests }: JsonReport): Markup[] {
  return [...run.cleaningHooks.map(cleaningHook), ...idle(tests), ...dear(tests)];
}

const VERDICTS: Readonly<Record<CleaningHook['verdict'], string>> = {
  needless: 'The cleaning can go: its tests are undone anyway',
  arranges: 'It takes rows of the baseline away: keep it if its tests want that',
  unknown: 'The cleaning can go if these tables are empty in the baseline',
};

function cleaningHook(found: CleaningHook): Markup {
  const { hook, title, place, runs, ms, tables, alsoWrites, verdict } = found;
  const more = tables.length > 4 ? ` and ${tables.length - 4} more` : '';
  const what = tables.slice(0, 4).join(', ') + more || 'tables';
  const rest = alsoWrites && needless([found]).length > 0 ? '; what else it writes is another matter' : '';
  return markup`<code>${place ?? title}</code> ${hook}, ${format.count(runs)} ×, ${format.ms(ms)}: empties ${what}. <span class="muted">${VERDICTS[verdict]}${rest}.</span>`;
}

/** Committing tests that nothing had to be restored after. */
function idle(tests: readonly JsonTest[]): Markup[] {
  const found = tests.filter((t) => t.mode === 'truncate' && t.state === 'passed' && t.restoreMs === null);
  if (found.length === 0) return [];
  return [
    markup`${format.plural(found.length, '@truncate test')} left nothing to restore: ${titles(found)}. <span class="muted">As rollback tests they might pass, too: npx mocha-rewind audit tries.</span>`,
  ];
}

function dear(tests: readonly JsonTest[]): Markup[] {
  const found = tests
    .flatMap((test) =>
      test.isolationMs !== null && test.isolationMs >= DEAR_MS ? [{ test, ms: test.isolationMs }] : [],
    )
    .sort((a, b) => b.ms - a.ms)
    .slice(0, MOST);
  if (found.length === 0) return [];
  const shown = found.map(({ test, ms }) => {
    const { tablesRestored, rowsRemoved, rowsAdded } = test;
    const rows = (rowsRemoved ?? 0) + (rowsAdded ?? 0);
    const why = tablesRestored.length === 0 ? '' : `, ${format.plural(rows, 'row')} in ${tablesRestored.join(', ')}`;
    return `“${test.title}” (${format.ms(ms)}${why})`;
  });
  return [markup`Dearest to isolate: ${shown.join('; ')}.`];
}

function titles(tests: readonly JsonTest[]): string {
  const more = tests.length > MOST ? ` and ${format.count(tests.length - MOST)} more` : '';
  return (
    tests
      .slice(0, MOST)
      .map(({ title }) => `“${title}”`)
      .join(', ') + more
  );
}
