/**
 * Seam: Mocha's own reading of its options. Read on mocha 10.8.2, 11.8.0 (`lib/cli/options.js`, loadOptions) and 12.0.3
 * (`lib/cli/options.cjs`). Canary: test/cli/databases.test.ts, "compiles a TypeScript config as Mocha would".
 */
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { RewindError, messageOf } from '../errors';
import { requirePeer, resolvePeer } from '../peers';

interface MochaOptions {
  readonly require?: string | readonly string[];
  readonly import?: string | readonly string[];
  readonly 'node-option'?: string | readonly string[];
}

/**
 * Loads what the config may need, in Mocha's order: the packages its config requires (`ts-node/register`, `dotenv/config`)
 * and the files named on our own command line. Files of the project that Mocha requires are left out: they are full of
 * hooks, which only exist in a test run.
 */
export async function preload(cwd: string, files: readonly string[]): Promise<void> {
  const options = mochaOptions();
  const nodeOptions = [options['node-option'] ?? []]
    .flat()
    .flatMap((option) => /^(?:import|require|r)=(.+)$/.exec(option)?.[1] ?? []);
  const named = [...nodeOptions, ...[options.import ?? []].flat(), ...[options.require ?? []].flat()];
  const packages = named.filter((name) => !/^[./]|^mocha-rewind\/|\.[cm]?[jt]sx?$/.test(name));
  for (const name of [...packages, ...files]) await load(name, cwd);
}

/** What the Mocha config requires. */
export function requiredByMocha(): readonly string[] {
  return [mochaOptions().require ?? []].flat();
}

async function load(name: string, cwd: string): Promise<void> {
  const project = createRequire(path.join(cwd, 'package.json'));
  try {
    const file = project.resolve(/^\.|\.[cm]?[jt]sx?$/.test(name) ? path.resolve(cwd, name) : name);
    await import(pathToFileURL(file).href);
  } catch (cause) {
    throw new RewindError('REWIND_CONFIG', {
      problem: `${name} could not be loaded: ${messageOf(cause)}`,
      remedy: 'It is in `require` of the Mocha config, or was given by --require.',
      cause,
    });
  }
}

function mochaOptions(): MochaOptions {
  for (const file of ['mocha/lib/cli/options.cjs', 'mocha/lib/cli/options.js']) {
    if (resolvePeer(file))
      return requirePeer<{ loadOptions(args: readonly string[]): MochaOptions }>(file).loadOptions([]);
  }
  return {};
}
