import assert from 'node:assert/strict';
import type { Recorded, RecordedRun } from './recorded';

/** What holds of every run that has begun, however its tests and hooks end. */
export function assertScopes(run: RecordedRun): void {
  const calls = run.events.filter((event) => event.by === 'handler');
  const times = (what: string): number => calls.filter((event) => event.what === what).length;
  assert.equal(calls[0]?.what, 'begin', run.output);
  assert.equal(calls.at(-1)?.what, 'ended', run.output);
  assert.deepEqual([times('begin'), times('start'), times('finish'), times('ended')], [1, 1, 1, 1]);
  const open: string[] = [];
  for (const event of calls) {
    if (event.what === 'enter') {
      assert.equal((event.detail as { parent?: string }).parent, open.at(-1), `parent of ${event.of}`);
      open.push(event.of);
    }
    if (event.what === 'leave') {
      assert.equal(open.pop(), event.of, 'inner scopes are left first');
      assert.equal((event.detail as { ended: boolean }).ended, true);
    }
    if (['arrive', 'bodyEnded', 'depart', 'prepared', 'closing'].includes(event.what)) {
      assert.equal(open.at(-1), event.of, `${event.what} of the innermost scope`);
    }
  }
  assert.deepEqual(open, [], 'every scope is left');
  for (const event of run.events) if (event.by === 'spec') assertPlace(event);
}

function assertPlace(event: Recorded): void {
  const place: Readonly<Record<string, string>> = {
    test: `test ${event.of}`,
    beforeEach: `test ${String(event.detail)}`,
    afterEach: `test ${String(event.detail)}`,
  };
  const expected = place[event.what];
  if (expected === undefined) return;
  assert.equal(event.scope, expected, `${event.what} of ${event.of}`);
  assert.equal(event.context, expected, `asynchronous context of ${event.what} of ${event.of}`);
}
