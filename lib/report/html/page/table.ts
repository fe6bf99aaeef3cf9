// Runs in the page, as text: see ../script.ts. No imports but types, no helpers outside the function.
import type { JsonTest } from '../../json';
import type { Browser, PageElement } from './browser';
import type { Format } from './format';

export interface TestTable {
  readonly browser: Browser;
  readonly format: Format;
  readonly tests: readonly JsonTest[];
}

/** Fills the table of tests; returns what puts a text into its search box. Rows are made as far as one has scrolled. */
export function startTable({ browser, format, tests }: TestTable): (text: string) => void {
  const { document } = browser;
  const PAGE = 150;
  const find = (selector: string): PageElement => document.querySelector(selector) as PageElement;
  const [box, body, found, more] = [find('#search'), find('#tests tbody'), find('#found'), find('#more')];
  const headers = [...document.documentElement.querySelectorAll('#tests th')];
  const filters = [...document.documentElement.querySelectorAll('[data-filter]')];

  interface Row {
    readonly test: JsonTest;
    /** Number in the order of the run. */
    readonly order: number;
    readonly text: string;
  }
  const rows: Row[] = tests.map((test, i) => ({
    test,
    order: i + 1,
    text: [test.title, test.file, test.error, ...test.tablesRestored].join('\n').toLowerCase(),
  }));
  const dearest = tests.reduce((max, test) => Math.max(max, test.isolationMs ?? 0), 0.001);

  /** What a column sorts by; numbers start with the largest. */
  const KEYS: Record<string, (row: Row) => string | number> = {
    order: (row) => row.order,
    title: (row) => row.test.title.toLowerCase(),
    mode: (row) => row.test.mode ?? '',
    state: (row) => row.test.state,
    duration: (row) => row.test.durationMs,
    isolation: (row) => row.test.isolationMs ?? -1,
    restore: (row) => row.test.restoreMs ?? -1,
    tables: (row) => row.test.tablesRestored.length,
  };
  const ASCENDING = ['order', 'title', 'mode', 'state'];
  const FILTERS: Record<string, (test: JsonTest) => boolean> = {
    failed: (test) => test.state === 'failed',
    pending: (test) => test.state === 'pending',
    retried: (test) => test.retried,
    restored: (test) => test.tablesRestored.length > 0,
  };
  const passes = (name: string, test: JsonTest): boolean => FILTERS[name]?.(test) ?? test.mode === name;

  let sort = { column: 'order', descending: false };
  const chosen = new Set<string>();
  let shown: readonly Row[] = [];
  let made = 0;

  function refresh(): void {
    const words = box.value.toLowerCase().trim();
    const key = KEYS[sort.column] ?? ((row: Row) => row.order);
    const direction = sort.descending ? -1 : 1;
    shown = rows
      .filter(({ test, text }) => {
        if (!text.includes(words)) return false;
        return chosen.size === 0 || [...chosen].some((name) => passes(name, test));
      })
      .sort((a, b) => {
        const [left, right] = [key(a), key(b)];
        return left === right ? a.order - b.order : left < right ? -direction : direction;
      });
    for (const header of headers) {
      const mine = header.dataset['column'] === sort.column;
      if (mine) header.setAttribute('aria-sort', sort.descending ? 'descending' : 'ascending');
      else header.removeAttribute('aria-sort');
    }
    for (const filter of filters) {
      filter.setAttribute('aria-pressed', String(chosen.has(filter.dataset['filter'] ?? '')));
    }
    const isolation = shown.reduce((sum, { test }) => sum + (test.isolationMs ?? 0), 0);
    const part =
      shown.length === rows.length
        ? format.count(rows.length)
        : `${format.count(shown.length)} of ${format.count(rows.length)}`;
    found.textContent = `${part} · isolation ${format.ms(isolation)}`;
    body.replaceChildren();
    made = 0;
    extend();
  }

  function extend(): void {
    body.append(...shown.slice(made, made + PAGE).map(rowOf));
    made = Math.min(made + PAGE, shown.length);
    more.hidden = made === shown.length;
    more.textContent = `Show ${format.count(shown.length - made)} more`;
  }

  function element(tag: string, className: string, ...children: (PageElement | string)[]): PageElement {
    const result = document.createElement(tag);
    result.className = className;
    result.append(...children);
    return result;
  }

  function rowOf({ test, order }: Row): PageElement {
    const isolation = element('td', 'number cost', test.isolationMs === null ? '' : format.ms(test.isolationMs));
    isolation.style.setProperty('--part', `${(100 * (test.isolationMs ?? 0)) / dearest}%`);
    return element(
      'tr',
      test.state,
      element('td', 'number muted', String(order)),
      nameOf(test),
      element('td', '', test.mode === null ? '' : element('span', `mode ${test.mode}`, test.mode)),
      element('td', `state ${test.state}`, test.retried ? `${test.state}, retried` : test.state),
      element('td', 'number', test.state === 'pending' ? '' : format.ms(test.durationMs)),
      isolation,
      element('td', 'number', test.restoreMs === null ? '' : format.ms(test.restoreMs)),
      tablesOf(test),
    );
  }

  function nameOf(test: JsonTest): PageElement {
    const suites = test.path.slice(0, -1).join(' › ');
    const cell = element(
      'td',
      'name',
      element('div', '', test.path.at(-1) ?? test.title),
      element('div', 'where', [test.file, suites].filter(Boolean).join('  ›  ')),
    );
    if (test.error !== null) {
      const [first = '', ...others] = test.error.split('\n');
      if (others.length === 0) cell.append(element('div', 'error', first));
      else
        cell.append(element('details', 'error', element('summary', '', first), element('pre', '', others.join('\n'))));
    }
    return cell;
  }

  function tablesOf({ tablesRestored, rowsRemoved, rowsAdded }: JsonTest): PageElement {
    const cell = element('td', 'tables', tablesRestored.slice(0, 3).join(', '));
    if (tablesRestored.length > 3) {
      const rest = element('span', 'muted', ` +${tablesRestored.length - 3}`);
      rest.title = tablesRestored.join('\n');
      cell.append(rest);
    }
    if (tablesRestored.length > 0 && rowsRemoved !== null && rowsAdded !== null) {
      cell.append(element('div', 'where', `−${format.count(rowsRemoved)} +${format.count(rowsAdded)} rows`));
    }
    return cell;
  }

  for (const header of headers) {
    const column = header.dataset['column'] ?? 'order';
    header.addEventListener('click', () => {
      const descending = sort.column === column ? !sort.descending : !ASCENDING.includes(column);
      sort = { column, descending };
      refresh();
    });
  }
  for (const filter of filters) {
    const name = filter.dataset['filter'] ?? '';
    filter.addEventListener('click', () => {
      if (!chosen.delete(name)) chosen.add(name);
      refresh();
    });
  }
  box.addEventListener('input', refresh);
  more.addEventListener('click', extend);
  new browser.IntersectionObserver(([entry]) => entry?.isIntersecting && !more.hidden && extend(), {
    rootMargin: '600px',
  }).observe(more);
  refresh();
  return (text) => {
    box.value = text;
    chosen.clear();
    refresh();
    find('#tests-title').scrollIntoView({ block: 'start' });
  };
}
