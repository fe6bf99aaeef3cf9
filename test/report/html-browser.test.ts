// The page in a real browser: what a person would do with it.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { type JsonReport, renderHtml } from '../../lib/report';
import { findBrowser, launch } from './browser';
import { jsonReport, jsonTest, sampleTests } from './sample-report';

const found = findBrowser();
const title = 'the HTML report, in a browser';

(found ? describe : describe.skip)(found ? title : `${title} (none found: see test/report/browser.ts)`, () => {
  let browser: Browser;
  let dir: string;
  /** One for all: a new one takes longer than most tests. */
  let page: Page;
  /** What the browser complained about, and what it wanted to load beside the page. */
  const complaints: string[] = [];

  before(async () => {
    browser = await launch(found ?? '');
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'rewind-html-'));
    page = await browser.newPage({ viewport: { width: 1200, height: 900 } });
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('dialog', (dialog) => complaints.push(`dialog: ${dialog.message()}`));
    page.on('request', (request) => {
      if (!/^(file|data):/.test(request.url())) complaints.push(`wanted ${request.url()}`);
    });
  });
  afterEach(() => assert.deepEqual(complaints.splice(0), []));
  after(async () => {
    await browser.close();
    fs.rmSync(dir, { recursive: true });
  });

  async function open(report: JsonReport, colorScheme: 'light' | 'dark' = 'light'): Promise<void> {
    const file = path.join(dir, 'rewind.html');
    fs.writeFileSync(file, renderHtml(report));
    await page.emulateMedia({ colorScheme });
    await page.goto(pathToFileURL(file).href);
    await page.waitForSelector('body[data-ready]');
  }
  const rows = (): Promise<string[]> => page.locator('#tests tbody tr td.name > div:first-child').allTextContents();
  /** The page does some things when it gets round to it. Mocha's time-out ends the wait. */
  async function until(condition: () => Promise<boolean>): Promise<void> {
    while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const shown = (): Promise<string | null> => page.locator('#found').textContent();

  it('opens with 5 000 tests, and makes rows only as far as one scrolls', async () => {
    await open(jsonReport(sampleTests(5_000)));
    assert.match((await shown()) ?? '', /^5,000 · isolation /);
    const made = (await rows()).length;
    assert.ok(made >= 100 && made <= 500, String(made));
    await page.locator('#tests tbody tr').last().scrollIntoViewIfNeeded();
    await until(async () => (await rows()).length > made);
  });

  it('shows titles as they are, and runs nothing of them', async () => {
    const nasty = `</script><script>alert(1)</script><img src=x onerror="alert(2)">&amp;`;
    const tests = [jsonTest({ title: nasty, path: [nasty], file: nasty, error: nasty, state: 'failed' })];
    await open(jsonReport(tests, { notes: [nasty] }));
    assert.deepEqual(await rows(), [nasty]);
    assert.equal(await page.locator('img').count(), 0);
    assert.equal(await page.locator('.notes li').first().textContent(), nasty);
  });

  it('finds tests by title, file, table and error', async () => {
    await open(jsonReport(sampleTests(1_000)));
    for (const [text, count] of [
      ['thing 777', 1],
      ['AREA-3.test', 20],
      ['audit.log', 100],
      ['rewind_leak', 2],
      ['nowhere', 0],
    ] as const) {
      await page.fill('#search', text);
      assert.match((await shown()) ?? '', new RegExp(`^${count} of 1,000 `), text);
    }
  });

  it('sorts by each column, the dearest first, and back', async () => {
    const tests = [3, 1, 2].map((n) =>
      jsonTest({
        title: `t${n}`,
        path: [`t${n}`],
        isolationMs: n,
        durationMs: 10 - n,
        restoreMs: n,
        tablesRestored: ['a', 'b', 'c'].slice(0, n),
      }),
    );
    await open(jsonReport(tests));
    const click = async (column: string): Promise<string[]> => {
      await page.locator(`th[data-column=${column}] button`).click();
      return rows();
    };
    assert.deepEqual(await rows(), ['t3', 't1', 't2'], 'in the order of the run');
    assert.deepEqual(await click('isolation'), ['t3', 't2', 't1']);
    assert.equal(await page.locator('th[data-column=isolation]').getAttribute('aria-sort'), 'descending');
    assert.deepEqual(await click('isolation'), ['t1', 't2', 't3']);
    assert.deepEqual(await click('duration'), ['t1', 't2', 't3']);
    assert.deepEqual(await click('title'), ['t1', 't2', 't3']);
    assert.deepEqual(await click('tables'), ['t3', 't2', 't1']);
    assert.deepEqual(await click('restore'), ['t3', 't2', 't1']);
    assert.deepEqual(await click('order'), ['t3', 't1', 't2']);
  });

  it('filters by mode and state, and adds up what is shown', async () => {
    await open(jsonReport(sampleTests(1_000)));
    await page.click('[data-filter=failed]');
    assert.equal(await shown(), '2 of 1,000 · isolation 0.20 ms');
    await page.click('[data-filter=truncate]');
    assert.match((await shown()) ?? '', /^102 of 1,000 /);
    await page.click('[data-filter=failed]');
    await page.click('[data-filter=truncate]');
    assert.match((await shown()) ?? '', /^1,000 · /);
    assert.equal(await page.locator('[data-filter=pending]').count(), 0, 'only what there is');
  });

  it('unfolds an error of many lines', async () => {
    await open(jsonReport(sampleTests(300)));
    await page.fill('#search', 'rewind_leak');
    const rest = page.locator('details.error pre');
    assert.equal(await rest.isVisible(), false);
    await page.click('details.error summary');
    assert.equal(await rest.textContent(), '  Find who committed them.');
  });

  describe('its timeline', () => {
    async function point(part: number, fromTop: number): Promise<void> {
      await page.locator('#timeline').scrollIntoViewIfNeeded();
      const box = await page.locator('#timeline').boundingBox();
      assert.ok(box);
      await page.mouse.move(box.x + box.width * part, box.y + fromTop);
    }
    /** Colours that cover at least 30 pixels. */
    const colours = (): Promise<string[]> =>
      page.evaluate(`(() => {
        const canvas = document.querySelector('canvas');
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        const counts = new Map();
        for (let i = 0; i < data.length; i += 4) {
          if (data[i + 3] !== 255) continue;
          const hex = '#' + [...data.slice(i, i + 3)].map((n) => n.toString(16).padStart(2, '0')).join('');
          counts.set(hex, (counts.get(hex) ?? 0) + 1);
        }
        return [...counts].filter(([, count]) => count >= 30).map(([hex]) => hex);
      })()`);

    it('paints phases, and failures even where a pixel holds many tests', async () => {
      await open(jsonReport(sampleTests(5_000)));
      const painted = await colours();
      for (const colour of ['#3d7fd6', '#e0912f', '#d42e4b']) assert.ok(painted.includes(colour), colour);
    });

    it('is dark where the system is @full', async () => {
      await open(jsonReport(sampleTests(100)), 'dark');
      assert.equal(await page.evaluate('getComputedStyle(document.body).backgroundColor'), 'rgb(18, 21, 26)');
      assert.ok((await colours()).includes('#4c8ce0'));
      await page.emulateMedia({ colorScheme: 'light' });
      await until(async () => (await colours()).includes('#3d7fd6')); // drawn again when that changes
    });

    // From the top: axis 24, phases 13, files 20, describes 20, tests 28.
    it('says what is under the mouse: phase, file, describe, test', async () => {
      await open(jsonReport(sampleTests(60)));
      const tip = page.locator('#tip');
      for (const [fromTop, expected] of [
        [28, /^phase 1\s*54 tests in/],
        [47, /^test\/area-0\.test\.js\s*18 tests in/],
        [67, /^area 0\s*18 tests in/],
        [90, /^area 0 does thing \d+\s*passed, rollback · \d ms · isolation 0\.10 ms$/],
      ] as const) {
        await point(0.2, fromTop);
        assert.match((await tip.textContent()) ?? '', expected);
      }
      await point(0.99, 90);
      assert.match((await tip.textContent()) ?? '', /passed, truncate .*restored in .* ms: public\.users, audit\.log$/);
      await page.mouse.move(5, 5);
      assert.equal(await tip.isVisible(), false);
    });

    it('finds what one clicks in the table', async () => {
      await open(jsonReport(sampleTests(60)));
      await point(0.2, 67);
      await page.mouse.down();
      await page.mouse.up();
      assert.equal(await page.inputValue('#search'), 'area 0');
      assert.match((await shown()) ?? '', /^20 of 60 /);
    });

    it('zooms to what one drags over, and back; by keys and buttons too @full', async () => {
      await open(jsonReport(sampleTests(1_000)));
      const phases = async (): Promise<boolean> => (await colours()).includes('#e0912f');
      assert.equal(await phases(), true);
      await point(0.1, 60);
      await page.mouse.down();
      await point(0.2, 60);
      await page.mouse.up();
      assert.equal(await phases(), false, 'the end of the run is out of sight');
      await page.click('[data-move="0"]');
      assert.equal(await phases(), true);
      await page.click('[data-move="+"]');
      await page.click('[data-move="+"]');
      assert.equal(await phases(), false);
      await page.locator('#timeline').press('0');
      assert.equal(await phases(), true);
    });

    it('has a lane for each worker @full', async () => {
      const height = async (workers: number): Promise<number> => {
        const tests = sampleTests(60).map((test, i) => ({ ...test, worker: workers > 1 ? String(i % workers) : null }));
        await open(jsonReport(tests, { workers }));
        return (await page.locator('#timeline').boundingBox())?.height ?? 0;
      };
      const [one, three] = [await height(1), await height(3)];
      assert.ok(three > 2.5 * one, `${three} against ${one}`);
    });
  });
});
