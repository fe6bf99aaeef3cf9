// What a baseline that is used again was made from. Whole runs of it: test/isolation/reuse.test.ts.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import createKnex from 'knex';
import { type RewindConfig, fingerprintOf } from '../../lib/config';

describe('the fingerprint of a seeded baseline', () => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'rewind-fingerprint-'));
  after(() => fs.rmSync(root, { recursive: true }));
  const at = (name: string): string => path.join(root, name);
  const write = (name: string, text: string): void => {
    fs.mkdirSync(path.dirname(at(name)), { recursive: true });
    fs.writeFileSync(at(name), text);
  };
  const main = createKnex({
    client: 'pg',
    migrations: { directory: at('db/migrations') },
    seeds: { directory: at('db/seeds') },
  });
  const config: RewindConfig = { reuse: ['fixtures/*.json'], migrate: (k) => k.migrate.latest() };
  const fingerprint = (more: RewindConfig = {}): string | undefined =>
    fingerprintOf({ config: { ...config, ...more }, root, file: at('rewind.config.js') }, { main });

  it('changes with the config file, migrations, seeds, named files, `migrate` and `seed`, and with nothing else', () => {
    const files = ['rewind.config.js', 'db/migrations/1.js', 'db/seeds/deep/users.js', 'fixtures/users.json'];
    for (const name of [...files, 'fixtures/notes.txt', 'other.json']) write(name, 'as it was');
    const seen = new Set([fingerprint()]);
    const assertNew = (found: string | undefined, what: string): void => {
      assert.ok(!seen.has(found), what);
      seen.add(found);
    };
    for (const name of files) {
      write(name, `as it was${name}`);
      assertNew(fingerprint(), name);
    }
    write('db/migrations/2.js', '');
    assertNew(fingerprint(), 'a new file');
    const last = fingerprint();
    for (const name of ['fixtures/notes.txt', 'other.json']) write(name, 'changed');
    assert.equal(fingerprint(), last);
    for (const more of [{ seed: () => {} }, { migrate: () => {} }]) {
      assertNew(fingerprint(more), Object.keys(more).join());
    }
  });

  it('is none where the config wants no baseline used again', () => {
    assert.equal(fingerprint({ reuse: false }), undefined);
  });
});
