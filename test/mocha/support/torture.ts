// Spec files with everything an order can break, and what must hold of any order.
import assert from 'node:assert/strict';
import type { JsonReport, RecordedRun } from './recorded';

const FILES = {
  'plain.spec.js': `
describe('plain', () => { hooks('plain'); T('p1'); T('p2'); describe('inner', () => { hooks('plain.inner'); T('p3'); }); });
describe('late @truncate', () => { hooks('late'); T('l1'); T('l2');
  describe('inner', () => { hooks('late.inner'); T('l3'); T('l4 @rollback'); }); });`,

  'root.spec.js': `
hooks('root');
T('root r1'); T('root t1 @truncate'); T('root r2'); T('root d1 @dirty');`,

  'mixed.spec.js': `
describe('M', () => {
  hooks('M');
  T('m t1 @truncate'); T('m r1'); T('m t2 @truncate'); T('m r2'); T('m u @unmanaged'); T('m n @nodb');
  describe('M1', () => { hooks('M.M1'); T('m1 t @truncate'); T('m1 r');
    describe('M11 @truncate', () => { hooks('M.M1.M11'); T('m11 t'); T('m11 r @rollback');
      describe('M111', () => { hooks('M.M1.M11.M111'); T('m111 t'); T('m111 d @dirty'); }); }); });
  describe('M2', () => { hooks('M.M2'); T('m2 r'); });
  describe('M3 @truncate', () => { hooks('M.M3'); T('m3 t'); });
});`,

  'context.spec.js': `
const assert = require('node:assert');
describe('context', function () {
  this.timeout(4321); this.slow(321); this.retries(2);
  this.expando = 'E';
  let befores = 0;
  before(async function () { this.foo = 'foo' + ++befores; R('before', 'context'); });
  after(() => R('after', 'context'));
  beforeEach(function () { this.each = this.currentTest.title; });
  function looksRight() {
    assert.match(this.foo, /^foo/); assert.equal(this.each, this.test.title); assert.equal(this.timeout(), 4321);
    assert.equal(this.slow(), 321); assert.equal(this.test.retries(), 2); assert.equal(this.test.parent.expando, 'E');
    assert.equal(this.test.file, __filename); assert.equal(this.test.parent.file, __filename);
  }
  T('c r @rollback', looksRight); T('c t @truncate', looksRight);
  it('own time-out @truncate', function () { R('test', this.test.fullTitle()); assert.equal(this.timeout(), 99); }).timeout(99);
  describe('child @truncate', function () {
    this.timeout(777);
    before(function () { this.bar = this.foo + '-bar'; R('before', 'context.child'); });
    after(() => R('after', 'context.child'));
    T('sees its parent', function () { assert.match(this.bar, /^foo\\d-bar$/); assert.equal(this.timeout(), 777); });
  });
  let n = 0;
  it('flaky @truncate', function () { this.retries(1); if (++n < 2) throw new Error('again'); R('test', this.test.fullTitle()); });
});`,

  'pending.spec.js': `
describe('pend', () => { hooks('pend'); T('pp r'); it('pp pending'); it('pp pending late @truncate'); it.skip('pp skip @truncate', () => {}); });
describe.skip('skipped @truncate', () => { hooks('skipped'); T('never'); });
describe('skip in before', () => { before(function () { R('before', 'sib'); this.skip(); }); after(() => R('after', 'sib')); T('sb r'); T('sb t @truncate'); });
describe('skip in test', () => { hooks('sit'); it('st r', function () { this.skip(); }); it('st t @truncate', function () { this.skip(); }); });
describe('skip in beforeEach', () => { beforeEach(function () { this.skip(); }); T('se r'); T('se t @truncate'); });
describe('nothing to run @truncate', () => { hooks('idle'); it('nr pending'); });
describe('divided', () => { T('dv t @truncate'); it('dv pending @truncate'); T('dv r'); });`,

  'dynamic.spec.js': `
describe('dynamic', () => { hooks('dynamic'); for (const k of ['rollback', 'truncate']) for (let i = 0; i < 3; i++) T('d' + i + ' @' + k); });
describe('same title', () => { hooks('same1'); T('x'); T('x @truncate'); });
describe('same title', () => { hooks('same2'); T('x'); T('x @truncate'); });
describe('empty', () => {});`,
};

export const TORTURE: Readonly<Record<string, string>> = FILES;

export const ONLY = {
  'only.spec.js': `
describe('O', () => { hooks('O'); T('no');
  it.only('o r', function () { R('test', this.test.fullTitle()); });
  it.only('o t @truncate', function () { R('test', this.test.fullTitle()); });
  T('no2 @truncate'); describe('deep', () => { T('no deep'); }); });
describe.only('OO', () => { hooks('OO'); T('oo t @truncate'); T('oo r'); });
describe('OX', () => { hooks('OX'); describe.only('in', () => { hooks('OX.in'); T('ox t @truncate'); T('ox r'); }); T('not me'); });`,
};

export const ROOT_ONLY = {
  'only.spec.js': `
hooks('root');
it.only('root only t @truncate', function () { R('test', this.test.fullTitle()); });
it.only('root only r', function () { R('test', this.test.fullTitle()); });
T('root no'); describe('x', () => { T('y'); });`,
};

const WORD = /@(rollback|truncate|nodb|schema|dirty|unmanaged)\b/g;
const PHASES: Readonly<Record<string, number>> = {
  rollback: 1,
  nodb: 1,
  truncate: 2,
  schema: 3,
  dirty: 4,
  unmanaged: 5,
};

/** Of these files every title's last tag is the innermost. */
export function phaseOfTitle(fullTitle: string): number {
  return PHASES[[...fullTitle.matchAll(WORD)].at(-1)?.[1] ?? 'rollback']!;
}

/** Everything that a sorted run has in common with an ordinary one, and what it must have on top. */
export function assertSameButSorted(plain: RecordedRun, sorted: RecordedRun): void {
  assert.deepEqual([...sorted.ran].sort(), [...plain.ran].sort(), 'the same tests');
  const stable = [1, 2, 3, 4, 5].flatMap((phase) => plain.ran.filter((title) => phaseOfTitle(title) === phase));
  assert.deepEqual(sorted.ran, stable, 'phase after phase, and in each the order as it was');
  assert.ok(sorted.report && plain.report, sorted.output);
  const { report } = sorted;
  assert.deepEqual(totals(report), totals(plain.report), 'the same totals');
  for (const kind of ['tests', 'passes', 'pending', 'failures'] as const) {
    assert.deepEqual(titles(report, kind), titles(plain.report, kind), `the same titles of ${kind}`);
  }
  assertNested(sorted);
  assert.deepEqual(surroundings(sorted), surroundings(plain), 'the same hooks around each test');
  assert.equal(sorted.code, plain.code, 'the same exit code');
}

function totals({ stats }: JsonReport): object {
  const { tests, passes, pending, failures } = stats;
  return { tests, passes, pending, failures };
}

function titles(report: JsonReport, kind: 'tests' | 'passes' | 'pending' | 'failures'): string[] {
  return report[kind].map((test) => test.fullTitle).sort();
}

/** Whoever's `before` hook has run has an `after` hook run, and nobody overlaps. */
export function assertNested(run: RecordedRun): void {
  const open: string[] = [];
  for (const { what, of } of run.events) {
    if (what === 'before') open.push(of);
    if (what === 'after') assert.equal(open.pop(), of, 'the innermost suite is closed first');
  }
  assert.deepEqual(open, [], 'every suite is closed');
}

/** For each test: which suites were open, and which hooks ran for it. */
function surroundings(run: RecordedRun): Record<string, string[]> {
  const open: string[] = [];
  const found = new Map<string, string[]>();
  const note = (title: string, line: string): void => void found.set(title, [...(found.get(title) ?? []), line]);
  for (const { what, of, detail } of run.events) {
    if (what === 'before') open.push(of);
    if (what === 'after') open.pop();
    if (what === 'test') note(of, `body in ${open.join(' > ')}`);
    if (what === 'beforeEach' || what === 'afterEach') note(String(detail), `${what} of ${of}`);
  }
  return Object.fromEntries([...found].map(([title, lines]) => [title, lines.sort()]).sort());
}
