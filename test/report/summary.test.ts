import assert from 'node:assert/strict';
import type { TestFacts, UnmanagedConnections } from '../../lib/facts';
import { type Mode, phaseOf } from '../../lib/modes';
import { type ReportedTest, renderSummary, summaryOf } from '../../lib/report';

const plain = { dim: (text: unknown) => String(text), yellow: (text: unknown) => String(text) };

function ran(mode: Mode, facts: Partial<TestFacts> = {}): ReportedTest {
  return {
    title: 'a test',
    file: '/p/a.spec.ts',
    state: 'passed',
    durationMs: 5,
    facts: { mode, phase: phaseOf(mode), isolationMs: 0.1, ...facts },
  };
}

const restored = (ms: number): ReportedTest =>
  ran('truncate', {
    isolationMs: ms,
    restore: { ms, tables: ['public.users'], rowsRemoved: 1, rowsAdded: 0, sequences: 1 },
  });

const times = <T>(n: number, make: () => T): T[] => Array.from({ length: n }, make);

function summary(
  tests: readonly ReportedTest[],
  totalMs: number,
  setupMs = 0,
  notes: readonly string[] = [],
): string[] {
  return renderSummary(summaryOf(tests, totalMs, { setupMs, notes }), plain).split('\n');
}

describe('the summary of a run', () => {
  it('says what became of the tests, what a restore took, and what isolation was of the run', () => {
    const tests = [...times(131, () => ran('rollback')), ...times(11, () => restored(2.1))];
    assert.deepEqual(summary(tests, 3000, 11.8), [
      '  rewind: 131 rolled back · 11 committed, undone (2.1 ms each) · isolation 1.6 % of the run',
      '',
      '',
    ]);
  });

  it('names every mode the run had, in the order they ran, and no other', () => {
    const tests = [ran('unmanaged'), ran('dirty'), ran('nodb'), ran('nodb'), ran('rollback'), restored(3), restored(4)];
    assert.equal(
      summary(tests, 1000)[0],
      '  rewind: 1 rolled back · 2 without database · 2 committed, undone (3.5 ms each) · 1 committed, kept · 1 left alone · isolation 0.8 % of the run',
    );
  });

  it('does not count a test as rolled back that has used nothing but connections that are not managed, and names those', () => {
    const tests = [ran('rollback'), ran('rollback', { notIsolated: true }), ran('nodb', { notIsolated: true })];
    const unmanaged = [
      { count: 2, driver: 'postgres', address: 'localhost:5432', place: 'src/queue.js:3' },
      { count: 1, address: 'db:5432' },
    ];
    const told = (found: readonly UnmanagedConnections[]): string[] =>
      renderSummary(summaryOf(tests, 1000, { setupMs: 0, notes: [], unmanaged: found }), plain).split('\n');
    assert.deepEqual(told(unmanaged).slice(0, 2), [
      '  rewind: 1 rolled back · 2 not isolated · isolation < 0.1 % of the run',
      '  rewind: 3 connections were not managed: 2 by postgres (src/queue.js:3) to localhost:5432, 1 by an unknown driver to db:5432',
    ]);
    const many = ['a', 'b', 'c', 'd'].map((driver) => ({ count: 1, driver, address: 'db:5432' }));
    assert.match(
      told(many)[1] ?? '',
      /: 1 by a to db:5432, 1 by b .*, 1 by c .*, and others: the JSON report has them all$/,
    );
    assert.match(told([{ count: 1, address: 'db:1' }])[1] ?? '', /1 connection was not managed: 1 by an unknown/);
  });

  it('does not say "each" of one restore, and nothing of none', () => {
    assert.match(summary([restored(3)], 100)[0] ?? '', /1 committed, undone \(3\.0 ms\) ·/);
    assert.match(summary([restored(3), ran('truncate')], 100)[0] ?? '', /2 committed, undone \(3\.0 ms\) ·/);
    assert.match(summary([ran('truncate')], 100)[0] ?? '', /1 committed, undone · isolation/);
  });

  it('counts as a restore only what brought something back', () => {
    const looked = ran('truncate', { restore: { ms: 1, tables: [], rowsRemoved: 0, rowsAdded: 0, sequences: 0 } });
    const sequence = ran('truncate', { restore: { ms: 3, tables: [], rowsRemoved: 0, rowsAdded: 0, sequences: 1 } });
    assert.match(summary([looked, restored(5)], 100)[0] ?? '', /2 committed, undone \(5\.0 ms\) ·/);
    assert.match(summary([sequence, restored(5)], 100)[0] ?? '', /2 committed, undone \(4\.0 ms each\) ·/);
  });

  it('rounds as people would', () => {
    assert.match(summary([restored(0.04)], 1000)[0] ?? '', /\(< 0\.1 ms\) · isolation < 0\.1 % of the run$/);
    assert.match(summary([restored(250.4)], 1000)[0] ?? '', /\(250 ms\) · isolation 25 % of the run$/);
  });

  it('says so where no test ran', () => {
    assert.deepEqual(summary([], 0), ['  rewind: no test ran', '', '']);
    assert.deepEqual(summary([], 12, 7), ['  rewind: no test ran', '', '']);
  });

  it('counts tests nobody isolated by themselves', () => {
    const lost: ReportedTest = { ...ran('rollback'), facts: undefined };
    assert.equal(
      summary([ran('rollback'), lost], 1000)[0],
      '  rewind: 1 rolled back · 1 not isolated · isolation < 0.1 % of the run',
    );
    assert.equal(summary([{ ...lost, durationMs: 0 }], 0)[0], '  rewind: 1 not isolated · isolation 0.0 % of the run');
  });

  it('is never more than the whole: with --parallel it is the share of what all workers did', () => {
    const tests = times(4, () => ran('rollback', { isolationMs: 50 }));
    assert.match(summary(tests, 60, 0)[0] ?? '', /isolation 91 % of the run$/);
    assert.match(summary([ran('rollback', { isolationMs: 0 })], 0, 500)[0] ?? '', /isolation 99 % of the run$/);
  });

  it('ends with the notes, each on a line of its own', () => {
    assert.deepEqual(
      summary([ran('rollback')], 1000, 0, ['recovered from a killed run.', 'ignored a MySQL instance.']).slice(1),
      ['  rewind: recovered from a killed run.', '  rewind: ignored a MySQL instance.', '', ''],
    );
  });
});
