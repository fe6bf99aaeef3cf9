// Runs in the page, as text: see ../script.ts. No imports but types, no helpers outside the function.
import type { Browser, PageCanvas, PageElement } from './browser';
import type { Brush, Chart, Hit } from './chart';
import type { Format } from './format';
import type { Block, TimedTest } from './lanes';

export interface Timeline {
  readonly browser: Browser;
  readonly format: Format;
  readonly canvas: PageCanvas;
  readonly chart: Chart;
  /** Shows these tests in the table. */
  readonly search: (text: string) => void;
}

/** Lets mouse, wheel, keys and buttons move through the chart, and says what is under the mouse. */
export function startTimeline({ browser, format, canvas, chart, search }: Timeline): void {
  const { document } = browser;
  const tip = document.querySelector('#tip') as PageElement;
  const { whole } = chart;
  let view = whole;
  let brush: Brush | undefined;
  const draw = (): void => chart.draw(view, brush);

  function show(from: number, to: number): void {
    const span = Math.max(0.5, Math.min(to - from, whole.to - whole.from));
    const start = Math.min(Math.max(from, whole.from), whole.to - span);
    view = { from: start, to: start + span };
    draw();
  }
  const zoom = (factor: number, around: number): void =>
    show(around - (around - view.from) * factor, around + (view.to - around) * factor);
  const pan = (part: number): void => {
    const by = part * (view.to - view.from);
    show(view.from + by, view.to + by);
  };
  const middle = (): number => (view.from + view.to) / 2;
  const MOVES: Record<string, () => void> = {
    ArrowLeft: () => pan(-0.2),
    ArrowRight: () => pan(0.2),
    '+': () => zoom(0.6, middle()),
    '-': () => zoom(1 / 0.6, middle()),
    '0': () => show(whole.from, whole.to),
  };

  const place = (event: { clientX: number; clientY: number }): [number, number] => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  canvas.addEventListener('mousedown', (event) => {
    const [px] = place(event);
    brush = { start: px, end: px };
  });
  browser.addEventListener('mousemove', (event) => {
    if (!brush) return;
    brush = { start: brush.start, end: place(event)[0] };
    draw();
  });
  browser.addEventListener('mouseup', (event) => {
    if (!brush) return;
    const [low, high] = [Math.min(brush.start, brush.end), Math.max(brush.start, brush.end)];
    brush = undefined;
    if (high - low > 4) return show(chart.momentAt(view, low), chart.momentAt(view, high));
    draw();
    const hit = chart.at(view, ...place(event));
    if (hit) search(queryOf(hit));
  });
  canvas.addEventListener('mousemove', (event) => {
    const [px, py] = place(event);
    const hit = brush ? undefined : chart.at(view, px, py);
    canvas.style.setProperty('cursor', hit && queryOf(hit) ? 'pointer' : 'crosshair');
    tip.hidden = !hit;
    if (!hit) return;
    tip.replaceChildren(
      ...linesOf(hit).map((line) => {
        const row = document.createElement('div');
        row.textContent = line;
        return row;
      }),
    );
    tip.style.setProperty('left', `${Math.max(0, Math.min(px + 14, canvas.clientWidth - tip.clientWidth - 4))}px`);
    tip.style.setProperty('top', `${py + 18}px`);
  });
  canvas.addEventListener('mouseleave', () => (tip.hidden = true));
  canvas.addEventListener(
    'wheel',
    (event) => {
      const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
      if (!sideways && !event.ctrlKey && !event.metaKey) return; // an ordinary wheel scrolls the page
      event.preventDefault();
      if (sideways) pan(event.deltaX / canvas.clientWidth);
      else zoom(event.deltaY > 0 ? 1.25 : 0.8, chart.momentAt(view, place(event)[0]));
    },
    { passive: false },
  );
  canvas.addEventListener('keydown', (event) => {
    const move = MOVES[event.key];
    if (!move) return;
    event.preventDefault();
    move();
  });
  for (const button of document.documentElement.querySelectorAll('[data-move]')) {
    button.addEventListener('click', () => MOVES[button.dataset['move'] ?? '']?.());
  }
  browser.addEventListener('resize', draw);
  browser.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
  draw();

  function queryOf(hit: Hit): string {
    return hit.kind === 'test' ? hit.test.title : hit.kind === 'block' ? hit.block.query : '';
  }

  function linesOf(hit: Hit): string[] {
    if (hit.kind === 'test') return linesOfTest(hit.test);
    const { tests, startMs, endMs, isolationMs, label }: Block = hit.block;
    const cost = `isolation ${format.ms(isolationMs)}`;
    return [
      hit.kind === 'phase' ? `phase ${hit.phase}` : label,
      `${format.plural(tests, 'test')} in ${format.ms(endMs - startMs)} · ${cost}`,
    ];
  }

  function linesOfTest(test: TimedTest): string[] {
    const cost = `isolation ${format.ms(test.isolationMs ?? 0)}`;
    const lines = [
      test.title,
      `${test.state}, ${test.mode ?? 'not isolated'} · ${format.ms(test.durationMs)} · ${cost}`,
    ];
    if (test.restoreMs !== null) {
      const tables = test.tablesRestored.slice(0, 4).join(', ') || 'nothing was touched';
      const more = test.tablesRestored.length > 4 ? ` and ${test.tablesRestored.length - 4} more` : '';
      lines.push(`restored in ${format.ms(test.restoreMs)}: ${tables}${more}`);
    }
    if (test.error !== null) lines.push(test.error.split('\n')[0] ?? '');
    return lines;
  }
}
