// Runs in the page, as text: see ../script.ts. No imports but types, no helpers outside the function.
import type { Browser, PageCanvas, Pen } from './browser';
import type { Format } from './format';
import type { Block, Lane, TimedTest } from './lanes';

/** The stretch of the run that is to be seen, in milliseconds since its start. */
export interface View {
  readonly from: number;
  readonly to: number;
}

export interface Brush {
  readonly start: number;
  readonly end: number;
}

export type Hit =
  | { readonly kind: 'phase'; readonly phase: number; readonly block: Block }
  | { readonly kind: 'block'; readonly block: Block }
  | { readonly kind: 'test'; readonly test: TimedTest };

export interface Chart {
  readonly whole: View;
  draw(view: View, brush: Brush | undefined): void;
  /** The moment at a place of the chart. */
  momentAt(view: View, px: number): number;
  at(view: View, px: number, py: number): Hit | undefined;
}

/** Draws lanes to a canvas. A lane has, from the top: phases, files, levels of describes, tests, costs. */
export function createChart(browser: Browser, canvas: PageCanvas, lanes: readonly Lane[], format: Format): Chart {
  const pen: Pen = canvas.getContext('2d');
  const [AXIS, PHASE, ROW, TESTS, COST, GAP] = [24, 13, 20, 28, 72, 14];
  const label = lanes.length > 1 ? 18 : 0;
  const heightOf = (lane: Lane): number => label + PHASE + lane.rows.length * ROW + TESTS + COST + GAP;
  const height = AXIS + lanes.reduce((sum, lane) => sum + heightOf(lane), 0);

  const tests = lanes.flatMap((lane) => lane.tests);
  const whole = {
    from: tests.reduce((start, test) => Math.min(start, test.startMs), 0),
    to: tests.reduce((end, test) => Math.max(end, test.endMs), 1),
  };
  const dearest = tests.reduce((max, test) => Math.max(max, test.isolationMs ?? 0), 0.001);

  let view: View = whole;
  let width = 0;
  let colour = (_name: string): string => '';
  const x = (ms: number): number => ((ms - view.from) / (view.to - view.from)) * width;

  /** Index of the first item that ends after `ms`, of items that follow one another. */
  const firstAfter = (items: readonly { endMs: number }[], ms: number): number => {
    let [low, high] = [0, items.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((items[middle]?.endMs ?? 0) < ms) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const visible = <T extends { startMs: number; endMs: number }>(items: readonly T[], use: (item: T) => void): void => {
    for (let i = firstAfter(items, view.from); i < items.length; i++) {
      const item = items[i];
      if (!item || item.startMs > view.to) return;
      use(item);
    }
  };

  function draw(wanted: View, brush: Brush | undefined): void {
    view = wanted;
    const style = browser.getComputedStyle(browser.document.documentElement);
    const known = new Map<string, string>();
    colour = (name) => {
      const value = known.get(name) ?? style.getPropertyValue(`--${name}`).trim();
      known.set(name, value);
      return value;
    };
    const ratio = browser.devicePixelRatio || 1;
    width = canvas.clientWidth;
    canvas.style.setProperty('height', `${height}px`);
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = '11px system-ui, sans-serif';
    pen.textBaseline = 'middle';
    drawAxis();
    let top = AXIS;
    for (const lane of lanes) {
      drawLane(lane, top);
      top += heightOf(lane);
    }
    if (!brush) return;
    pen.globalAlpha = 0.18;
    pen.fillStyle = colour('accent');
    pen.fillRect(Math.min(brush.start, brush.end), 0, Math.abs(brush.end - brush.start), height);
    pen.globalAlpha = 1;
  }

  function drawAxis(): void {
    const rough = (view.to - view.from) / Math.max(2, width / 120);
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough) ?? rough;
    const digits = Math.max(0, -Math.floor(Math.log10(view.to >= 2_000 ? step / 1_000 : step)));
    for (let n = Math.ceil(view.from / step); n * step <= view.to; n++) {
      const left = Math.round(x(n * step));
      pen.fillStyle = colour('line');
      pen.fillRect(left, 0, 1, height);
      if (left > width - 40) continue;
      pen.fillStyle = colour('muted');
      const time = view.to >= 2_000 ? `${((n * step) / 1_000).toFixed(digits)} s` : `${(n * step).toFixed(digits)} ms`;
      pen.fillText(time, left + 4, 9);
    }
  }

  function drawLane(lane: Lane, laneTop: number): void {
    let top = laneTop;
    if (label) {
      pen.fillStyle = colour('muted');
      pen.fillText(`worker ${lane.worker ?? '?'}`, 2, top + label / 2);
      top += label;
    }
    const modes = ['', 'rollback', 'truncate', 'schema', 'dirty', 'unmanaged'];
    visible(lane.phases, (phase) => {
      pen.fillStyle = colour(modes[phase.phase] ?? 'line');
      pen.fillRect(x(phase.startMs), top, Math.max(1, x(phase.endMs) - x(phase.startMs)), PHASE - 3);
    });
    top += PHASE;
    lane.rows.forEach((row, depth) => {
      drawBlocks(row, top, depth === 0 ? 'file' : 'suite');
      top += ROW;
    });
    drawTests(lane.tests, top);
    drawCosts(lane.tests, top + TESTS);
  }

  function drawBlocks(row: readonly Block[], top: number, kind: string): void {
    let drawnTo = -1;
    visible(row, (block) => {
      const [left, right] = [Math.max(x(block.startMs), -1), Math.min(x(block.endMs), width + 1)];
      if (right < drawnTo + 0.5) return; // many to a pixel
      drawnTo = right;
      pen.fillStyle = colour(kind);
      pen.fillRect(left, top, Math.max(0.6, right - left - 1), ROW - 2);
      if (right - left < 34) return;
      pen.fillStyle = colour('text');
      pen.fillText(clipped(block.label, block.name, right - left - 10), left + 5, top + ROW / 2 - 0.5);
    });
  }

  function clipped(label: string, text: string, room: number): string {
    for (const full of [label, text]) if (pen.measureText(full).width <= room) return full;
    let [low, high] = [0, text.length];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (pen.measureText(`${text.slice(0, middle)}…`).width <= room) low = middle;
      else high = middle - 1;
    }
    return low > 2 ? `${text.slice(0, low)}…` : '';
  }

  function drawTests(items: readonly TimedTest[], top: number): void {
    // Failed ones last: at 5 000 tests a pixel holds many, and these are what people look for.
    for (const failed of [false, true]) {
      visible(items, (test) => {
        if ((test.state === 'failed') !== failed) return;
        const left = x(test.startMs);
        const wide = x(test.endMs) - left;
        pen.fillStyle = colour(failed ? 'failed' : (test.mode ?? 'line'));
        pen.fillRect(left, top, Math.max(failed ? 2 : 1, wide > 4 ? wide - 1 : wide), TESTS - 2);
      });
    }
  }

  /** On a root scale, where a restore of 40 ms and a rollback of 0.1 ms are both to be seen. */
  function drawCosts(items: readonly TimedTest[], top: number): void {
    const tall = (ms: number): number => Math.sqrt(ms / dearest) * (COST - 14);
    const base = top + COST - 2;
    const marks: { ms: number; y: number }[] = [];
    for (let ms = 10 ** Math.floor(Math.log10(dearest)); base - tall(ms) < base - 12; ms /= 10) {
      marks.push({ ms, y: Math.round(base - tall(ms)) });
    }
    pen.fillStyle = colour('line');
    for (const y of [base, ...marks.map((mark) => mark.y)]) pen.fillRect(0, y, width, 1);
    visible(items, (test) => {
      const ms = test.isolationMs ?? 0;
      const wide = Math.max(1, (ms / (view.to - view.from)) * width);
      pen.fillStyle = colour(test.mode ?? 'line');
      pen.fillRect(x(test.endMs) - wide, base - Math.max(1, tall(ms)), wide, Math.max(1, tall(ms)));
    });
    for (const { ms, y } of marks) {
      const text = format.ms(ms);
      pen.fillStyle = colour('card');
      pen.fillRect(0, y - 6, pen.measureText(text).width + 8, 12);
      pen.fillStyle = colour('muted');
      pen.fillText(text, 2, y);
    }
  }

  const momentAt = (within: View, px: number): number => within.from + (px / width) * (within.to - within.from);

  function at(within: View, px: number, py: number): Hit | undefined {
    const [moment, slack] = [momentAt(within, px), (within.to - within.from) / width];
    const under = <T extends { startMs: number; endMs: number }>(items: readonly T[]): T | undefined => {
      const item = items[firstAfter(items, moment - slack)];
      return item && item.startMs <= moment + slack ? item : undefined;
    };
    let bottom = AXIS;
    for (const lane of lanes) {
      const y = py - bottom - label;
      bottom += heightOf(lane);
      if (py > bottom || y < 0) continue;
      if (y < PHASE) {
        const phase = under(lane.phases);
        return phase && { kind: 'phase', phase: phase.phase, block: phase };
      }
      const row = lane.rows[Math.floor((y - PHASE) / ROW)];
      if (row) {
        const block = under(row);
        return block && { kind: 'block', block };
      }
      const test = under(lane.tests);
      return test && { kind: 'test', test };
    }
    return undefined;
  }

  return { whole, draw, momentAt, at };
}
