import assert from 'node:assert/strict';
import path from 'node:path';
import { type RewindConfig, taggingOf, validateConfig } from '../../lib/config';

const tagging = (config: RewindConfig, root = process.cwd()): ReturnType<typeof taggingOf> =>
  taggingOf(validateConfig(config, 'test'), root);

/** Which of these spec files a glob picks. */
const picked = (files: string, among: readonly string[], root?: string): string[] => {
  const [rule] = tagging({ rules: [{ files, mode: 'dirty' }] }, root).rules;
  return among.filter((file) => rule?.files?.(file));
};

describe('the tagging of a config', () => {
  it('without settings: rollback, and each mode by its own name', () => {
    assert.deepEqual(tagging({}), {
      default: 'rollback',
      tags: {
        rollback: ['rollback'],
        truncate: ['truncate'],
        nodb: ['nodb'],
        schema: ['schema'],
        dirty: ['dirty'],
        unmanaged: ['unmanaged'],
      },
      rules: [],
    });
  });

  it('adds words to the names, with or without @, each once', () => {
    const { tags, default: mode } = tagging({
      default: 'nodb',
      tags: { rollback: ['transaction', '@trx', 'trx', 'rollback'], truncate: ['commits', 'db:commit', 'größer'] },
    });
    assert.equal(mode, 'nodb');
    assert.deepEqual(tags.rollback, ['rollback', 'transaction', 'trx']);
    assert.deepEqual(tags.truncate, ['truncate', 'commits', 'db:commit', 'größer']);
  });

  it('is the same for a config nobody validated', () => {
    assert.deepEqual(taggingOf({ tags: { dirty: 'kept' } }, '/').tags.dirty, ['dirty', 'kept']);
  });

  it('keeps the order of rules, and what each of them asks for', () => {
    const { rules } = tagging({
      rules: [
        { title: 'x', mode: 'dirty' },
        { files: 'a', mode: 'nodb' },
        { files: 'b', title: /y/, mode: 'unmanaged' },
      ],
    });
    assert.deepEqual(
      rules.map((r) => [r.mode, r.files !== undefined, r.title !== undefined]),
      [
        ['dirty', false, true],
        ['nodb', true, false],
        ['unmanaged', true, true],
      ],
    );
  });
});

describe('the glob of a rule', () => {
  const specs = ['test/a.spec.ts', 'test/legacy/b.spec.ts', 'test/legacy/deep/c.spec.ts', 'test/.hidden/d.spec.ts'];

  it('picks files by wildcards', () => {
    assert.deepEqual(picked('test/*.spec.ts', specs), ['test/a.spec.ts']);
    assert.deepEqual(picked('test/legacy/**', specs), ['test/legacy/b.spec.ts', 'test/legacy/deep/c.spec.ts']);
    assert.deepEqual(picked('**/{a,c}.spec.ts', specs), ['test/a.spec.ts', 'test/legacy/deep/c.spec.ts']);
    assert.deepEqual(picked('!test/legacy/**', specs), ['test/a.spec.ts', 'test/.hidden/d.spec.ts']);
  });

  it('picks files in folders whose name begins with a dot', () => {
    assert.deepEqual(picked('test/**', specs), specs);
  });

  it('may begin with ./, name one file, or a folder with all that is in it', () => {
    assert.deepEqual(picked('./test/legacy/**', specs), picked('test/legacy/**', specs));
    assert.deepEqual(picked('test/a.spec.ts', specs), ['test/a.spec.ts']);
    assert.deepEqual(picked('test/legacy', specs), picked('test/legacy/**', specs));
    assert.deepEqual(picked('./test/legacy/', specs), picked('test/legacy/**', specs));
    assert.deepEqual(picked('test/leg', specs), []);
  });

  it("is relative to the package's folder, not to the working directory", () => {
    const root = path.dirname(process.cwd());
    const here = path.basename(process.cwd());
    assert.deepEqual(picked(`${here}/test/legacy/**`, specs, root), picked('test/legacy/**', specs));
    assert.deepEqual(picked('test/legacy/**', specs, root), []);
  });

  it('is asked for absolute paths as well', () => {
    assert.deepEqual(picked('test/a.*', [path.resolve('test/a.spec.ts')]).length, 1);
  });
});

describe('the title of a rule', () => {
  const title = (text: RegExp | string): ((fullTitle: string) => boolean) =>
    tagging({ rules: [{ title: text, mode: 'dirty' }] }).rules[0]?.title ?? assert.fail();

  it('is text the full title contains, taken as it is', () => {
    assert.ok(title('GET /a.b')('api GET /a.b works'));
    assert.ok(!title('GET /a.b')('api GET /axb works'));
  });

  for (const flags of ['g', 'y', 'gi', '']) {
    it(`is a RegExp that answers the same each time it is asked (flags "${flags}")`, () => {
      const own = new RegExp('legacy', flags);
      const matches = title(own);
      assert.deepEqual(
        ['legacy one', 'legacy two', 'legacy three', 'none'].map((t) => matches(t)),
        [true, true, true, false],
      );
      assert.equal(own.lastIndex, 0, "the user's own RegExp is left alone");
    });
  }
});
