import type { JsonTest } from '../json';
import type { Browser, PageCanvas } from './page/browser';
import { createChart } from './page/chart';
import { createFormat } from './page/format';
import { layOut } from './page/lanes';
import { startTable } from './page/table';
import { startTimeline } from './page/timeline';

const parts = { createFormat, layOut, createChart, startTable, startTimeline };

/**
 * The page's script is the text of these compiled functions: typed, linted and tested like the rest of the package, and
 * without a bundler. Hence their rule: they import nothing but types, and get what they need as arguments.
 */
export const script = `'use strict';
(${String(start)})(window, {
${Object.entries(parts)
  .map(([name, part]) => `${name}: ${String(part)}`)
  .join(',\n')}
});`;

function start(browser: Browser, { createFormat, layOut, createChart, startTable, startTimeline }: typeof parts): void {
  const { document } = browser;
  const tests = JSON.parse(document.querySelector('#data')?.textContent ?? '[]') as JsonTest[];
  const format = createFormat();
  const search = startTable({ browser, format, tests });
  const canvas = document.querySelector('#timeline') as PageCanvas | null;
  if (canvas) {
    const chart = createChart(browser, canvas, layOut(tests, 3), format);
    startTimeline({ browser, format, canvas, chart, search });
  }
  document.body.dataset['ready'] = 'yes';
}
