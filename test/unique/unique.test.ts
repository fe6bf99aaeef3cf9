import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { shuffle, unique } from '../../lib/unique';
import { project } from '../support/project';

describe('unique()', () => {
  it('puts eight hexadecimal digits behind the name', () => {
    assert.match(unique('alice'), /^alice-[0-9a-f]{8}$/);
  });

  it('never gives the same twice', () => {
    const draws = 200_000;
    assert.equal(new Set(Array.from({ length: draws }, () => unique('a'))).size, draws);
  });

  it('can walk through all suffixes before one comes again: every step of the shuffle can be undone', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), (n) => {
        const result = shuffle(n);
        assert.ok(Number.isInteger(result) && result >= 0 && result < 2 ** 32);
        assert.equal(unshuffle(result), n);
      }),
      { numRuns: 5_000 },
    );
  });

  it('gives neighbours nothing in common', () => {
    const suffixes = Array.from({ length: 1000 }, () => unique('').slice(1));
    const firstDigits = new Set(suffixes.map((s) => s.slice(0, 2)));
    assert.ok(firstDigits.size > 200, `${firstDigits.size} of 256 first bytes in 1000 suffixes`);
  });

  it('goes on where another copy of the package stopped', () => {
    const file = require.resolve('../../lib/unique');
    const saved = require.cache[file];
    delete require.cache[file];
    try {
      // eslint-disable-next-line @typescript-eslint/no-require-imports
      const copy = require(file) as typeof import('../../lib/unique');
      assert.notEqual(copy.unique, unique);
      const both = Array.from({ length: 1000 }, () => [unique('a'), copy.unique('a')]).flat();
      assert.equal(new Set(both).size, both.length);
      assert.equal(shuffle(unshuffle(suffixOf(both.at(-1))) + 1), suffixOf(unique('a')));
    } finally {
      require.cache[file] = saved;
    }
  });

  it('differs between parallel workers', async () => {
    const spec = `
      const fs = require('node:fs');
      const { unique } = require('./dist-unique');
      it('draws', () => fs.writeFileSync(__filename + '.' + process.pid + '.txt', Array.from({ length: 5000 }, () => unique('a')).join('\\n')));`;
    const p = project({
      files: {
        'dist-unique.js': `module.exports = require(${JSON.stringify(path.resolve(__dirname, '../../dist/unique.js'))});`,
        ...Object.fromEntries(['a', 'b', 'c', 'd'].map((name) => [`${name}.spec.js`, spec])),
      },
    });
    try {
      const run = await p.mocha(['--parallel', '--jobs', '4', '*.spec.js']);
      assert.equal(run.code, 0, run.output);
      const drawn = fs.readdirSync(p.dir).filter((name) => name.endsWith('.txt'));
      assert.equal(drawn.length, 4);
      const all = drawn.flatMap((name) => fs.readFileSync(path.join(p.dir, name), 'utf8').split('\n'));
      assert.equal(new Set(all).size, 20_000);
    } finally {
      p.remove();
    }
  });
});

describe('unique.email()', () => {
  it('makes an address that nobody has', () => {
    assert.match(unique.email('alice'), /^alice-[0-9a-f]{8}@example\.com$/);
    assert.match(unique.email('alice', 'shop.test'), /^alice-[0-9a-f]{8}@shop\.test$/);
    assert.notEqual(unique.email('alice'), unique.email('alice'));
  });

  it('makes a valid address of any name', () => {
    assert.match(unique.email('Zoë O’Neil'), /^Zo-O-Neil-[0-9a-f]{8}@/);
    assert.match(unique.email('.zoe'), /^-zoe-[0-9a-f]{8}@/);
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 100 }), (name) => {
        const [local = '', domain, ...rest] = unique.email(name).split('@');
        assert.deepEqual([domain, rest], ['example.com', []]);
        // RFC 5322, 3.4.1: a dot-atom.
        assert.match(local, /^[\w+-]+(\.[\w+-]+)*$/);
        assert.ok(local.length <= 64);
      }),
    );
  });
});

function suffixOf(name: string | undefined): number {
  return parseInt(name?.split('-').at(-1) ?? '', 16);
}

/** The finaliser backwards: the multipliers' inverses modulo 2³², and the shifts undone. */
function unshuffle(n: number): number {
  let h = n ^ (n >>> 16);
  h = Math.imul(h, 0x7ed1b41d);
  h ^= (h >>> 13) ^ (h >>> 26);
  h = Math.imul(h, 0xa5cb9243);
  return (h ^ (h >>> 16)) >>> 0;
}
