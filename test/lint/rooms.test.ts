import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { repo } from '../support/project';

/** What dependency-cruiser finds against test/rooms.cjs, as `rule: from → to`. */
function violations(cwd: string): string[] {
  const cruiser = path.join(repo, 'node_modules', 'dependency-cruiser', 'bin', 'dependency-cruise.mjs');
  const args = [cruiser, '--config', path.join(repo, 'test', 'rooms.cjs'), '--output-type', 'baseline', 'lib'];
  const { stdout, stderr } = spawnSync(process.execPath, args, { cwd, encoding: 'utf8', maxBuffer: 2 ** 26 });
  assert.ok(stdout, stderr);
  return told(stdout);
}

const told = (baseline: string): string[] =>
  (JSON.parse(baseline) as { from: string; to: string; rule: { name: string } }[])
    .map(({ from, to, rule }) => `${rule.name}: ${from} → ${to}`)
    .sort();

describe('the map of the rooms', () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'rewind-rooms-'));
  after(() => fs.rmSync(dir, { recursive: true }));

  it('fails on circles of any kind, on imports against the map, and on a room that imports its own index', () => {
    const files: Record<string, string> = {
      'tsconfig.json': '{ "compilerOptions": { "module": "node16" } }',
      'lib/wire/frames.ts': `import type { Batch } from './batch'; export interface Frame { of: Batch }`,
      'lib/wire/batch.ts': `import type { Frame } from './frames'; export interface Batch { frames: Frame[] }`,
      'lib/wire/route.ts': `import { open } from './index'; export const reopen = open;`,
      'lib/wire/index.ts': `export const open = 1;`,
      'lib/wire/door.ts': `import type { Sandbox } from '../sandbox/contract'; export type Door = Sandbox;`,
      'lib/sandbox/contract.ts': `import { frame } from '../wire/private'; export type Sandbox = typeof frame;`,
      'lib/wire/private.ts': `export const frame = 1;`,
      'lib/sandbox/catalog/index.ts': `import { time } from '../clock'; export const catalog = time;`,
      'lib/sandbox/clock/index.ts': `export const time = 1;`,
      'lib/sandbox/engine/index.ts': `import { time } from '../clock/inside'; export const engine = time;`,
      'lib/sandbox/clock/inside.ts': `export const time = 1;`,
      'lib/base/sql.ts': `import { open } from '../wire'; export const sql = open;`,
      'lib/mocha/index.ts': `import { plugin } from '../plugin'; export const run = plugin;`,
      'lib/plugin.ts': `import { open } from './wire'; export const plugin = open;`,
      'lib/elsewhere/index.ts': `export const lost = 1;`,
      'lib/index.ts': `export * from './elsewhere';`,
    };
    for (const [name, text] of Object.entries(files)) {
      fs.mkdirSync(path.dirname(path.join(dir, name)), { recursive: true });
      fs.writeFileSync(path.join(dir, name), text);
    }
    assert.deepEqual(violations(dir), [
      'lib-base: lib/base/sql.ts → lib/wire/index.ts',
      'lib-mocha: lib/mocha/index.ts → lib/plugin.ts',
      'lib-wire: lib/wire/door.ts → lib/sandbox/contract.ts',
      'lib/sandbox-catalog: lib/sandbox/catalog/index.ts → lib/sandbox/clock/index.ts',
      'no-circle: lib/wire/batch.ts → lib/wire/frames.ts',
      'own-index: lib/wire/route.ts → lib/wire/index.ts',
      'past-the-index-of-a-sub-room: lib/sandbox/engine/index.ts → lib/sandbox/clock/inside.ts',
      'past-the-index: lib/sandbox/contract.ts → lib/wire/private.ts',
      'unknown-place: lib/index.ts → lib/elsewhere/index.ts',
      'up-to-the-assembly: lib/mocha/index.ts → lib/plugin.ts',
    ]);
  });

  it('lists as exceptions what stands against it today, and nothing else @full', () => {
    const known = fs.readFileSync(path.join(repo, 'test', 'rooms-known.json'), 'utf8');
    assert.deepEqual(violations(repo), told(known), 'after an improvement: npm run lint:rooms:known');
  });
});
