// The page as text: what is in it, and that it needs nothing else. How it looks and behaves: html-browser.test.ts.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import vm from 'node:vm';
import fc from 'fast-check';
import { renderHtml } from '../../lib/report/html';
import { digestOf, quantile } from '../../lib/report/html/digest';
import { markup } from '../../lib/report/html/markup';
import { createFormat } from '../../lib/report/html/page/format';
import { layOut } from '../../lib/report/html/page/lanes';
import { script } from '../../lib/report/html/script';
import type { JsonReport } from '../../lib/report';
import { project } from '../support/project';
import { jsonReport, jsonTest, sampleTests } from './sample-report';

const textOf = (page: string): string =>
  page
    .replace(/<(script|style)[^]*?<\/\1>/g, '')
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ');
const dataOf = (page: string): unknown =>
  JSON.parse(/<script type="application\/json" id="data">(.*?)<\/script>/s.exec(page)?.[1] ?? '');

describe('the HTML report', () => {
  it('holds all tests as data, whatever is in their titles', () => {
    const nasty = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('</script>', '<!--<script>', '\u2028', '&lt;', '\'"`${1}'),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(nasty, nasty)), (titles) => {
        const tests = titles.map(([title, error]) =>
          jsonTest({ title, path: [title], error, file: error, state: 'failed' }),
        );
        const page = renderHtml(jsonReport(tests, { notes: titles.map(([title]) => title) }));
        assert.deepEqual(dataOf(page), JSON.parse(JSON.stringify(tests)));
        assert.equal(page.match(/<\/script/gi)?.length, 2, 'its own two scripts, and no other');
        assert.equal(page.match(/<script/gi)?.length, 2);
        assert.doesNotMatch(page, /<!--/);
      }),
    );
  });

  it('escapes text for elements and for quoted attributes', () => {
    assert.equal(
      markup`<i title="${'"><b>'}">${`<&'`}</i>`.text,
      '<i title="&#34;&#62;&#60;b&#62;">&#60;&#38;&#39;</i>',
    );
    assert.equal(markup`${[markup`<b>`, '<', 1, false, undefined]}`.text, '<b>&#60;1');
  });

  it('refers to nothing outside itself', () => {
    const page = renderHtml(jsonReport(sampleTests(40)));
    assert.deepEqual(page.match(/\b(?:src|href)="[^"]*"|url\([^)]*\)|https?:|@import/g), ['href="data:,"']);
  });

  it('brings a script that imports nothing', () => {
    assert.doesNotMatch(script, /\brequire\(|\b\w+_1\.|\bexports\./);
    const globals = new Set<string>();
    const watch = new Proxy({}, { has: (_, name) => (globals.add(String(name)), true), get: () => undefined });
    assert.throws(() => vm.runInNewContext(`with (watch) { ${script.replace("'use strict';", '')} }`, { watch }));
    assert.deepEqual([...globals], ['window']);
  });

  it('says what the run was, and what isolation cost', () => {
    const text = textOf(renderHtml(jsonReport(sampleTests(1_000), { notes: ['it was <recovered>'] })));
    assert.match(text, /mocha-rewind 2 failed 2026-01-02 03:04 UTC · 1\.23 s/);
    assert.match(text, /tests 1,000 998 passed · 2 failed/);
    assert.match(text, /isolation 8\.9 % of the run: 389 ms in tests, 56 ms around them/);
    assert.match(text, /restores 100 2\.0 ms each · 2 tables in all/);
    assert.match(text, /Notes it was &#60;recovered&#62;/);
    assert.match(text, /Problems REWIND_LEAK 2 tests: “area 12 does thing 250”, “area 37 does thing 750”/);
    assert.match(text, /rollback 900 90 ms 0\.10 ms 0\.10 ms 0\.10 ms/);
    assert.match(text, /audit\.log 100 public\.users 100/);
  });

  it('does not call a run passed in which a hook failed', () => {
    const failedHooks = [{ title: '"before all" hook for "is never run"', error: 'broken <b>' }];
    const text = textOf(renderHtml(jsonReport(sampleTests(10), { failedHooks })));
    assert.match(text, /^ ?mocha-rewind: 1 failed mocha-rewind 1 failed /);
    assert.match(text, /Failed hooks &#34;before all&#34; hook for &#34;is never run&#34;: broken &#60;b&#62; /);
  });

  it('names hooks that clean, and says whether they have to', () => {
    const hook = {
      hook: 'beforeEach',
      title: 'users "before each" hook',
      place: 'test/setup.js:12',
      runs: 40,
      ms: 640,
      tables: ['a', 'b', 'c', 'd', 'e', 'f'],
      alsoWrites: true,
      verdict: 'needless',
    } as const;
    const others = [
      { ...hook, alsoWrites: false, verdict: 'arranges' },
      { ...hook, place: null, tables: [], alsoWrites: false, verdict: 'unknown' },
    ] as const;
    const text = textOf(renderHtml(jsonReport([], { cleaningHooks: [hook, ...others] })));
    assert.match(
      text,
      /Hints test\/setup\.js:12 beforeEach, 40 ×, 640 ms: empties a, b, c, d and 2 more\. The cleaning can go: its tests are undone anyway; what else it writes is another matter\./,
    );
    assert.match(
      text,
      /It takes rows of the baseline away: keep it if its tests want that\. users &#34;before each&#34; hook/,
    );
    assert.match(text, /empties tables\. The cleaning can go if these tables are empty in the baseline/);
  });

  it('hints at tests that committed nothing, and at those that were dear to isolate', () => {
    const committed = { mode: 'truncate', phase: 2, isolationMs: 2 } as const;
    const tests = [
      ...['a', 'b', 'c', 'd'].map((title) => jsonTest({ ...committed, title })),
      jsonTest({ ...committed, title: 'e', state: 'failed' }),
      jsonTest({
        ...committed,
        title: 'f',
        restoreMs: 1,
        isolationMs: 34,
        tablesRestored: ['public.users'],
        rowsRemoved: 5,
        rowsAdded: 1,
      }),
      jsonTest({ title: 'g', isolationMs: 120 }),
    ];
    const text = textOf(renderHtml(jsonReport(tests)));
    assert.match(text, /Hints 4 @truncate tests left nothing to restore: “a”, “b”, “c” and 1 more\. As rollback tests/);
    assert.match(text, /Dearest to isolate: “g” \(120 ms\); “f” \(34 ms, 6 rows in public\.users\)\. Cost of/);
    assert.doesNotMatch(textOf(renderHtml(jsonReport([jsonTest()]))), /Hints/);
  });

  it('can be had of a run without tests, and of one that nobody isolated', () => {
    assert.match(textOf(renderHtml(jsonReport([]))), /tests 0 0 passed/);
    const page = renderHtml(jsonReport([jsonTest({ mode: null, phase: null, isolationMs: null })]));
    assert.match(textOf(page), /When each test ran is not known/);
    assert.doesNotMatch(textOf(page), /NaN|undefined|null|Infinity/);
  });
});

describe('the figures of the HTML report', () => {
  it('are those of the tests of a mode', () => {
    const tests = [1, 2, 3, 10].map((isolationMs) => jsonTest({ isolationMs, durationMs: 6 }));
    assert.deepEqual(digestOf(jsonReport(tests)).modes, [
      { mode: 'rollback', tests: 4, isolationMs: 16, medianMs: 2, p95Ms: 10, maxMs: 10, share: 16 / 40 },
    ]);
  });

  it('put the dearest file and the most restored table first', () => {
    const { files, tables } = digestOf(
      jsonReport([
        jsonTest({ file: 'cheap.js', isolationMs: 1 }),
        jsonTest({ file: 'dear.js', isolationMs: 2, restoreMs: 1, tablesRestored: ['b', 'a'] }),
        jsonTest({ file: 'cheap.js', mode: 'truncate', isolationMs: 0.5, restoreMs: 0.1 }),
        jsonTest({ file: 'dear.js', state: 'failed', restoreMs: 1, tablesRestored: ['b'] }),
      ]),
    );
    assert.deepEqual(
      files.map(({ file, tests, failed, restores }) => [file, tests, failed, restores]),
      [
        ['dear.js', 2, 1, 2],
        ['cheap.js', 2, 0, 0],
      ],
    );
    assert.deepEqual(tables, [
      { name: 'b', restores: 2 },
      { name: 'a', restores: 1 },
    ]);
  });

  it('take a quantile that is one of the values', () => {
    assert.equal(quantile([], 0.5), 0);
    assert.equal(quantile([3, 1, 2], 0.5), 2);
    assert.equal(quantile([1, 2, 3, 4], 0.5), 2);
    assert.equal(quantile([1, 2], 1), 2);
  });

  it('have three digits or so', () => {
    const { ms, share, count, plural } = createFormat();
    assert.deepEqual([0, 0.004, 0.123, 1.25, 8, 42.4, 999.6, 1_234, 12_345, 75_000].map(ms), [
      '0 ms',
      '< 0.01 ms',
      '0.12 ms',
      '1.3 ms',
      '8 ms',
      '42 ms',
      '1.00 s',
      '1.23 s',
      '12.3 s',
      '1 min 15 s',
    ]);
    assert.deepEqual([0, 0.0001, 0.016, 0.25].map(share), ['0.0 %', '< 0.1 %', '1.6 %', '25 %']);
    assert.deepEqual([count(5_000), plural(1, 'test'), plural(1_200, 'test')], ['5,000', '1 test', '1,200 tests']);
  });
});

describe("the timeline's lanes", () => {
  const timed = (startMs: number, path: string[], phase: 1 | 2 = 1, worker: string | null = null) =>
    jsonTest({ title: path.join(' '), path, phase, startMs, endMs: startMs + 1, worker });

  it('hold a describe as one block, and one that was split by phase as two', () => {
    const [lane] = layOut(
      [timed(0, ['a', 'x']), timed(1, ['a', 'y']), timed(2, ['a', 'z'], 2), timed(3, ['b', 'z'], 2)],
      3,
    );
    assert.deepEqual(
      lane?.rows[1]?.map(({ label, startMs, endMs, tests }) => [label, startMs, endMs, tests]),
      [
        ['a', 0, 2, 2],
        ['a', 2, 3, 1],
        ['b', 3, 4, 1],
      ],
    );
    assert.deepEqual(
      lane?.phases.map(({ phase, tests }) => [phase, tests]),
      [
        [1, 2],
        [2, 2],
      ],
    );
  });

  it('tell describes of one title in two places apart', () => {
    const [lane] = layOut([timed(0, ['a', 'same', 'x']), timed(1, ['b', 'same', 'x'])], 3);
    assert.deepEqual(
      lane?.rows[2]?.map(({ query }) => query),
      ['a same', 'b same'],
    );
  });

  it('are one for each worker, in the order of their numbers, and go only so deep', () => {
    const lanes = layOut([timed(0, ['a', 'x'], 1, '10'), timed(0, ['1', '2', '3', '4', 'x'], 1, '9')], 3);
    assert.deepEqual(
      lanes.map(({ worker, rows }) => [worker, rows.length]),
      [
        ['9', 4],
        ['10', 2],
      ],
    );
  });

  it('leave out what did not run', () => {
    assert.deepEqual(layOut([jsonTest({ state: 'pending' })], 3), []);
  });
});

describe('the reporter option html', () => {
  const files = { 'test/a.spec.js': "describe('a', () => { it('passes', () => {}); it('</script>', () => {}); });" };
  const args = (html: string): string[] => [
    '--reporter',
    'mocha-rewind/reporter',
    '--reporter-option',
    `html=${html}`,
    'test/a.spec.js',
  ];

  it('writes the page beside the JSON', async () => {
    const p = project({ files });
    try {
      const { code, output } = await p.mocha(args('out/deep/rewind.html'));
      assert.deepEqual([code, output], [0, '']);
      const page = fs.readFileSync(path.join(p.dir, 'out/deep/rewind.html'), 'utf8');
      const { tests } = JSON.parse(fs.readFileSync(path.join(p.dir, 'reports/rewind.json'), 'utf8')) as JsonReport;
      assert.deepEqual(dataOf(page), tests);
      assert.equal(tests.length, 2);
    } finally {
      p.remove();
    }
  });

  it("that can't be written turns a green run red, and says so", async () => {
    const p = project({ files: { ...files, taken: 'a file where a folder has to be' } });
    try {
      const { code, stderr } = await p.mocha(args('taken/rewind.html'));
      assert.equal(code, 1, stderr);
      assert.match(stderr, /^REWIND_CONFIG: mocha-rewind\/reporter could not write taken\/rewind\.html: /);
      assert.match(stderr, /\n {2}Set the reporter option `html` to a file that can be written\.\n$/);
      assert.ok(fs.existsSync(path.join(p.dir, 'reports/rewind.json')), 'the JSON is there all the same');
    } finally {
      p.remove();
    }
  });
});
