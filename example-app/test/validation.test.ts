import assert from 'node:assert/strict';
import { isUniqueViolation, isWorthRetrying } from '../src/pg-errors';
import { badEmail, badOrder } from '../src/validation';

describe('validation @nodb', () => {
  it('takes an e-mail address', () => {
    assert.equal(badEmail('ada@shop.example'), undefined);
  });

  it('refuses what is not an e-mail address', () => {
    for (const text of [undefined, 'ada', 'ada@shop', 'a da@shop.example']) assert.ok(badEmail(text));
  });

  it('takes an order', () => {
    assert.equal(badOrder([{ sku: 'mug', quantity: 1 }]), undefined);
  });

  it('says what is wrong with an order', () => {
    assert.match(String(badOrder([])), /at least one line/);
    assert.match(String(badOrder([{ quantity: 1 }])), /needs a sku/);
    assert.match(String(badOrder([{ sku: 'mug', quantity: 0 }])), /quantity of mug/);
  });
});

describe('errors of PostgreSQL @nodb', () => {
  const withCode = (code: string): Error => Object.assign(new Error('refused'), { code });

  it('are told apart by their code', () => {
    assert.equal(isUniqueViolation(withCode('23505')), true);
    assert.equal(isUniqueViolation(withCode('23514')), false);
    assert.equal(isUniqueViolation('23505'), false);
  });

  it('are worth another attempt if somebody else was in the way', () => {
    assert.deepEqual(
      ['40001', '40P01', '23505'].map((code) => isWorthRetrying(withCode(code))),
      [true, true, false],
    );
  });
});
