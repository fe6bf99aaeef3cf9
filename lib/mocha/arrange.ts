import { randomInt } from 'node:crypto';
import { isOn } from '../environment';
import { type Suite, type Test } from './mocha-private';
import { relativeFile } from './tags';

/** The order of siblings inside a phase. */
export interface Arrangement {
  <Node extends Suite | Test>(siblings: readonly Node[]): Node[];
}

/** What a test or suite is sorted by when the order is shuffled. */
type Key = (file: string | undefined, title: string) => number;

/**
 * `REWIND_SHUFFLE=<seed>` shuffles; `1` makes up a seed and prints it. Each node is sorted by a hash of its own name, so
 * that the seed gives the same relative order to any selection of tests. `REWIND_REVERSE=1` turns the order round.
 */
export function arrangementFrom(env: NodeJS.ProcessEnv): Arrangement {
  const seed = seedFrom(env);
  const reverse = isOn(env['REWIND_REVERSE']);
  return (siblings) => {
    const arranged = seed === undefined ? [...siblings] : sortedBy(siblings, keyFor(seed));
    return reverse ? arranged.reverse() : arranged;
  };
}

/** Workers of `--parallel` inherit the seed that the main process has made up. */
function seedFrom(env: NodeJS.ProcessEnv): string | undefined {
  const wanted = env['REWIND_SHUFFLE'];
  if (!isOn(wanted)) return undefined;
  if (wanted === '1') env['REWIND_SHUFFLE'] = String(randomInt(100_000, 1_000_000));
  const seed = env['REWIND_SHUFFLE'];
  if (env['MOCHA_WORKER_ID'] === undefined) {
    process.stderr.write(`mocha-rewind: order shuffled, again with REWIND_SHUFFLE=${seed}\n`);
  }
  return seed;
}

function sortedBy<Node extends Suite | Test>(nodes: readonly Node[], key: Key): Node[] {
  const keyed = nodes.map((node) => ({ node, key: key(relativeFile(node.file), node.fullTitle()) }));
  return keyed.sort((a, b) => a.key - b.key).map(({ node }) => node);
}

function keyFor(seed: string): Key {
  return (file, title) => hash(`${seed}\n${file ?? ''}\n${title}`);
}

/** FNV-1a, then a final mix, since it alone keeps similar names together. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
