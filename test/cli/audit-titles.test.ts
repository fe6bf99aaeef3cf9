import assert from 'node:assert/strict';
import { type TagChange, changeTitle } from '../../lib/cli/audit/titles';

function changed(text: string, title: string, change: TagChange): string {
  const result = changeTitle(text, title, change);
  return typeof result === 'string' ? result : result.text;
}

describe('a tag in the text of a spec file', () => {
  const OUT = { remove: 'truncate' };

  it('is taken out, wherever it stands in the title', () => {
    assert.equal(changed(`it('sends mail @truncate', fn)`, 'sends mail @truncate', OUT), `it('sends mail', fn)`);
    assert.equal(changed(`it("@truncate sends mail", fn)`, '@truncate sends mail', OUT), `it("sends mail", fn)`);
    assert.equal(changed('it(`sends @truncate mail`, fn)', 'sends @truncate mail', OUT), 'it(`sends mail`, fn)');
  });

  it('is put in another one’s place, or added', () => {
    assert.equal(changed(`it('a @truncate b')`, 'a @truncate b', { ...OUT, add: 'rollback' }), `it('a @rollback b')`);
    assert.equal(changed(`it('a')`, 'a', { add: 'truncate' }), `it('a @truncate')`);
  });

  it('may be in a title of any function that has titles', () => {
    for (const call of ['describe', 'context', 'specify', 'test', 'suite', 'it.only', 'describe.skip', 'nodb . it']) {
      assert.equal(changed(`${call}( 'a @truncate'`, 'a @truncate', OUT), `${call}( 'a'`);
    }
    assert.equal(changed(`it(\n  'a @truncate',\n  fn)`, 'a @truncate', OUT), `it(\n  'a',\n  fn)`);
  });

  it('leaves the rest of a title as it is written', () => {
    const text = String.raw`it('doesn\'t “wait”\u00e9\x41\n- @truncate', fn)`;
    assert.equal(
      changed(text, "doesn't “wait”éA\n- @truncate", OUT),
      String.raw`it('doesn\'t “wait”\u00e9\x41\n-', fn)`,
    );
    assert.equal(changed(`it('a $& @truncate')`, 'a $& @truncate', OUT), `it('a $&')`);
  });

  it('is not mistaken for a longer word', () => {
    const title = 'a @truncated @truncate';
    assert.equal(changed(`it('${title}')`, title, OUT), `it('a @truncated')`);
  });

  it('is left to people where it can’t be told which title is meant', () => {
    assert.match(changed(`it('a'); it("a")`, 'a', { add: 'truncate' }), /in the file 2 times/);
    assert.match(changed(`it(title, fn)`, 'a', { add: 'truncate' }), /not in the file/);
    assert.match(changed('it(`a ${b}`, fn)', 'a ${b}', { add: 'truncate' }), /not in the file/);
    assert.match(changed(`log('a')`, 'a', { add: 'truncate' }), /not in the file/);
    assert.match(changed(`it('a \\u0040truncate')`, 'a @truncate', OUT), /can’t be taken out/);
    assert.match(changed(`it('@truncate')`, '@truncate', OUT), /can’t be taken out/);
  });
});
