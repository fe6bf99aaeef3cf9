import assert from 'node:assert/strict';
import { afterDiscount, formatCents, parseCents } from '../src/money';

// Plain functions. Should one of them ever reach for the database, its test fails and says so.
describe('money @nodb', () => {
  for (const [cents, text] of [
    [0, '0.00'],
    [5, '0.05'],
    [48_000, '480.00'],
    [-150, '-1.50'],
  ] as const) {
    it(`writes ${cents} cents as ${text}`, () => assert.equal(formatCents(cents), text));
  }

  it('reads what it writes', () => {
    for (const cents of [0, 1, 99, 100, 12_345]) assert.equal(parseCents(formatCents(cents)), cents);
  });

  it('reads nothing else', () => {
    for (const text of ['', '1,50', '1.5', 'ten']) assert.throws(() => parseCents(text), RangeError);
  });

  it('rounds a discount in the favour of the customer', () => {
    assert.equal(afterDiscount(999, 10), 899);
    assert.throws(() => afterDiscount(999, 110), RangeError);
  });
});
