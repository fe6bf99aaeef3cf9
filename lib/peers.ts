import { createRequire } from 'node:module';
import path from 'node:path';
import { RewindError } from './errors';

/**
 * Loads a peer dependency as the user's project sees it (from the working directory), and only then as this package
 * does: in a linked or hoisted install the two can be different copies, and the app's is the one that counts.
 */
export function requirePeer<T>(name: string): T {
  if (resolvePeer(name) !== undefined) return requireFrom(name)(name) as T;
  throw new RewindError('REWIND_CONFIG', {
    problem: `"${name}" is not installed: it can't be found from ${process.cwd()}, nor from this package.`,
    remedy: `npm install --save-dev ${name}`,
  }).withoutStack();
}

/** Where {@link requirePeer} would find `name`; undefined where it is not installed. */
export function resolvePeer(name: string): string | undefined {
  try {
    return requireFrom(name).resolve(name);
  } catch {
    return undefined;
  }
}

function requireFrom(name: string): NodeJS.Require {
  const project = createRequire(path.join(process.cwd(), 'package.json'));
  try {
    project.resolve(name);
    return project;
  } catch {
    return require;
  }
}
