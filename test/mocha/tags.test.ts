import assert from 'node:assert/strict';
import { suggestionFor } from '../../lib/mocha/near-miss';
import { wordsIn } from '../../lib/mocha/tags';
import { type RecordedOptions, type RecordedRun, recorded } from './support/recorded';

const modes = (run: RecordedRun): string[] =>
  run.events.filter((e) => e.what === 'enter' && e.of.startsWith('test ')).map((e) => `${e.of.slice(5)}: ${e.mode}`);

const run = (spec: string, options: RecordedOptions = {}): Promise<RecordedRun> =>
  recorded({ 'a.spec.js': spec }, options);

describe('tags', function () {
  this.timeout(30_000);

  it('are inherited, the innermost wins, and aliases count', async () => {
    const outcome = await run(`
describe('A @truncate', () => { T('a'); T('b @transaction'); describe('B @nodb', () => { T('c'); T('d @dirty'); }); });`);
    assert.deepEqual(modes(outcome), [
      'A @truncate b @transaction: rollback',
      'A @truncate B @nodb c: nodb',
      'A @truncate a: truncate',
      'A @truncate B @nodb d @dirty: dirty',
    ]);
  });

  it('beat rules, of which the first that matches wins, and rules beat the default', async () => {
    const outcome = await recorded(
      { 'legacy/a.spec.js': `T('a'); T('b @rollback'); T('fast');`, 'b.spec.js': `T('c'); T('slow d');` },
      {
        tagging: `{ default: 'truncate', rules: [{ title: (t) => t === 'fast', mode: 'nodb' }, { files: (f) => f.startsWith('legacy/'), mode: 'unmanaged' },
          { title: (t) => t.startsWith('slow'), files: (f) => f === 'b.spec.js', mode: 'dirty' }] }`,
      },
    );
    assert.deepEqual(modes(outcome), [
      'b @rollback: rollback',
      'fast: nodb',
      'c: truncate',
      'slow d: dirty',
      'a: unmanaged',
    ]);
  });

  it('are whole words that stand for themselves', () => {
    const titles: Readonly<Record<string, readonly string[]>> = {
      'sends mail @truncate': ['truncate'],
      '@truncate sends mail': ['truncate'],
      'sends (@truncate), twice': ['truncate'],
      '[@truncate] "@nodb": @dirty.': ['truncate', 'nodb', 'dirty'],
      'writes to joe@truncate.com': [],
      'writes to joe+x@truncate': [],
      'decorates with @truncate() and @truncate(x)': [],
      'imports @truncate/core': [],
      '@truncate-all @truncated @Truncate': ['truncate-all', 'truncated', 'Truncate'],
      'a @ b @': [],
      '@übung @a:b': ['übung', 'a:b'],
    };
    for (const [title, words] of Object.entries(titles)) assert.deepEqual(wordsIn(title), words, title);
  });

  it('that nearly are some are found out, and other words left alone', () => {
    const tags = ['rollback', 'transaction', 'truncate', 'nodb', 'dirty', 'unmanaged'];
    const meant: Readonly<Record<string, string>> = {
      trunctate: 'truncate',
      truncat: 'truncate',
      Truncate: 'truncate',
      trunacte: 'truncate',
      truncated: 'truncate',
      'roll-back': 'rollback',
      rolback: 'rollback',
      rollbacks: 'rollback',
      'no-db': 'nodb',
      NoDB: 'nodb',
      nobd: 'nodb',
      nodbs: 'nodb',
      drity: 'dirty',
      unmanagd: 'unmanaged',
      transactions: 'transaction',
    };
    for (const [word, tag] of Object.entries(meant)) assert.equal(suggestionFor(word, tags), tag, word);
    for (const word of [
      'slow',
      'smoke',
      'flaky',
      'node',
      'db',
      'fallback',
      'callback',
      'managed',
      'types',
      'only',
      'dir',
      'trunk',
      'action',
      'wip',
    ]) {
      assert.equal(suggestionFor(word, tags), undefined, word);
    }
  });

  it('that nearly are some are warned about once, with the test and the tag', async () => {
    const outcome = await run(`
describe('A', () => { T('sends mail @trunctate'); T('again @trunctate'); T('is @slow, for joe@truncat.com'); });`);
    assert.equal(
      outcome.stderr,
      'mocha-rewind: @trunctate is no tag: did you mean @truncate? It is in the title of "A sends mail @trunctate" (a.spec.js), and in 1 more.\n',
    );
    assert.equal(outcome.code, 0);
  });

  const contradiction = `
describe('A', () => { T('fine'); T('b @truncate @nodb'); T('c @rollback @transaction'); });
describe('D @dirty and @unmanaged', () => { T('e'); });`;

  it('that contradict each other in one title stop the run, naming test and file', async () => {
    const outcome = await run(contradiction, { args: ['--reporter', 'spec'] });
    assert.deepEqual(outcome.ran, []);
    assert.equal(outcome.code, 1, outcome.output);
    assert.match(
      outcome.output,
      /REWIND_TAGS: .*"A b @truncate @nodb" \(a\.spec\.js\) has @truncate and @nodb; "D @dirty and @unmanaged"/,
    );
    assert.doesNotMatch(outcome.output, /@transaction|\n\s+at /);
  });

  it('that contradict each other stop a dry run too @full', async () => {
    const outcome = await run(contradiction, { args: ['--dry-run'] });
    assert.match(outcome.stderr, /REWIND_TAGS/);
    assert.equal(outcome.code, 1, outcome.output);
  });

  it('that contradict each other stop a parallel run', async () => {
    const outcome = await run(contradiction, { args: ['--parallel', '--jobs', '2'] });
    assert.deepEqual(outcome.ran, []);
    assert.match(outcome.output, /REWIND_TAGS/);
    assert.notEqual(outcome.code, 0);
  });
});

describe('a mixed describe', function () {
  this.timeout(30_000);
  const MIXED = `
describe('S', () => { hooks('S'); T('a'); T('b @truncate'); describe('in', () => { hooks('S.in'); T('c'); T('d @truncate'); }); });
T('e'); T('f @dirty');`;

  it('goes whole to the last phase of its tests, if the options say so', async () => {
    const outcome = await run(MIXED, { plug: '{ split: false }' });
    assert.deepEqual(outcome.ran, ['e', 'S a', 'S b @truncate', 'S in c', 'S in d @truncate', 'f @dirty']);
    assert.equal(outcome.events.filter((e) => e.what === 'before').length, 2);
    assert.ok(outcome.calls.includes('prepared suite S'));
    assert.deepEqual(modes(outcome)[1], 'S a: rollback');
  });

  it('goes whole to the last phase, if its title says @whole', async () => {
    const outcome = await run(MIXED.replace("'S'", "'S @whole'"));
    assert.deepEqual(outcome.ran, [
      'e',
      'S @whole a',
      'S @whole b @truncate',
      'S @whole in c',
      'S @whole in d @truncate',
      'f @dirty',
    ]);
    assert.equal(outcome.stderr, '');
  });

  it('is split around a part that says @whole @full', async () => {
    const outcome = await run(MIXED.replace("'in'", "'in @whole'"));
    assert.deepEqual(outcome.ran, [
      'e',
      'S a',
      'S b @truncate',
      'S in @whole c',
      'S in @whole d @truncate',
      'f @dirty',
    ]);
  });
});

describe('the order inside a phase', function () {
  this.timeout(30_000);
  const files = Object.fromEntries(
    ['a', 'b', 'c', 'd'].map((f) => [
      `${f}.spec.js`,
      `describe('${f}', () => { for (let i = 0; i < 5; i++) { T('t' + i); T('t' + i + ' @truncate'); } describe('in', () => { T('x'); T('y'); }); });`,
    ]),
  );
  const phases = (ran: readonly string[]): number[] => ran.map((title) => (title.endsWith('@truncate') ? 2 : 1));

  it('is turned round by REWIND_REVERSE=1', async () => {
    const [there, back] = [await recorded(files), await recorded(files, { env: { REWIND_REVERSE: '1' } })];
    assert.deepEqual([...back.ran].sort(), [...there.ran].sort());
    assert.deepEqual(phases(back.ran), phases(there.ran));
    assert.deepEqual(
      back.ran.filter((t) => / t\d$/.test(t)),
      there.ran.filter((t) => / t\d$/.test(t)).reverse(),
    );
  });

  it('is shuffled by REWIND_SHUFFLE, the same for the same seed', async () => {
    const shuffled = (seed: string, args: readonly string[] = []): Promise<RecordedRun> =>
      recorded(files, { env: { REWIND_SHUFFLE: seed }, args });
    const [plain, one, two, again] = [
      await recorded(files),
      await shuffled('7'),
      await shuffled('8'),
      await shuffled('7'),
    ];
    assert.deepEqual([...one.ran].sort(), [...plain.ran].sort());
    assert.deepEqual(phases(one.ran), phases(plain.ran));
    assert.notDeepEqual(one.ran, plain.ran);
    assert.notDeepEqual(one.ran, two.ran);
    assert.deepEqual(again.ran, one.ran);
    assert.match(one.stderr, /again with REWIND_SHUFFLE=7/);

    const some = await shuffled('7', ['--grep', '[024]']);
    assert.deepEqual(
      some.ran,
      one.ran.filter((title) => /[024]/.test(title)),
      'a selection keeps its relative order',
    );
  });

  it('is shuffled by a seed that is made up and told, for REWIND_SHUFFLE=1 @full', async () => {
    const first = await recorded(files, { env: { REWIND_SHUFFLE: '1' } });
    const seed = /REWIND_SHUFFLE=(\d+)/.exec(first.stderr)?.[1];
    assert.ok(seed && seed !== '1', first.stderr);
    assert.deepEqual((await recorded(files, { env: { REWIND_SHUFFLE: seed } })).ran, first.ran);
  });

  it('is the same in the workers of a parallel run, which tell no seed of their own', async () => {
    const outcome = await recorded(files, { env: { REWIND_SHUFFLE: '1' }, args: ['--parallel', '--jobs', '2'] });
    const seed = /REWIND_SHUFFLE=(\d+)/.exec(outcome.stderr)?.[1];
    assert.equal(outcome.stderr.match(/REWIND_SHUFFLE/g)?.length, 1);
    const serial = await recorded(files, { env: { REWIND_SHUFFLE: seed } });
    for (const f of ['a', 'b', 'c', 'd']) {
      const of = (ran: readonly string[]): string[] => ran.filter((title) => title.startsWith(f));
      assert.deepEqual(of(outcome.ran), of(serial.ran));
    }
  });
});
