import assert from 'node:assert/strict';
import { VERSIONS, type RecordedOptions, recorded } from './support/recorded';
import { ONLY, ROOT_ONLY, TORTURE, assertSameButSorted } from './support/torture';
import { full } from '../support/tiers';

async function compare(specs: Readonly<Record<string, string>>, options: RecordedOptions): Promise<void> {
  const [plain, sorted] = await Promise.all([
    recorded(specs, { ...options, plugged: false }),
    recorded(specs, options),
  ]);
  assert.ok(plain.ran.length > 1, `nothing ran without the plugin: ${plain.output}`);
  assertSameButSorted(plain, sorted);
}

for (const mocha of VERSIONS) {
  describe(`the order, on mocha ${mocha}${full(mocha !== '12')}`, function () {
    this.timeout(60_000);

    const variants: readonly (readonly string[])[] = [
      [],
      ['--grep', 'r'],
      ['--grep', '@truncate'],
      ['--grep', '@truncate', '--invert'],
      ['--fgrep', 'M1'],
      ['--retries', '2'],
      ['--check-leaks', '--full-trace'],
      ...(mocha === '10' ? [] : [['--fail-hook-affected-tests']]),
    ];
    for (const args of variants) {
      it(`runs the same tests, sorted by phase: mocha ${args.join(' ')}${full(/fgrep|retries|leaks|invert/.test(args.join()))}`, () =>
        compare(TORTURE, { mocha, args }));
    }
    it('keeps to .only in all its shapes', () => compare(ONLY, { mocha }));
    it('keeps to .only at the root', () => compare(ROOT_ONLY, { mocha }));

    it('is shown by --dry-run, which asks for no handler; pending tests stay with the first part of their suite', async () => {
      const dry = await recorded(TORTURE, { mocha, args: ['--dry-run'] });
      const real = await recorded(TORTURE, { mocha });
      const runnable = new Set(real.ran);
      const shown = dry.report?.tests.map((test) => test.fullTitle).filter((title) => runnable.has(title));
      assert.deepEqual(
        shown,
        real.report?.tests.map((test) => test.fullTitle).filter((title) => runnable.has(title)),
      );
      assert.deepEqual(
        dry.report?.tests.map((test) => test.title).filter((title) => title.startsWith('dv ')),
        ['dv pending @truncate', 'dv r', 'dv t @truncate'],
      );
      assert.deepEqual(dry.events, []);
      assert.equal(dry.code, 0, dry.output);
    });
  });
}
