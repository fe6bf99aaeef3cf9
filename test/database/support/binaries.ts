// Directories with PostgreSQL's programs in them: real ones, broken ones, and ones that tell what was run.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { findBinaries } from '../../../lib/database/find-binaries';
import { serverIdentity } from '../../../lib/database/identity';

/** The binaries a run would use in this repository. */
export function realBinaries(cache: string): string {
  return findBinaries({ identity: serverIdentity(), cache, env: process.env, project: process.cwd() }).directory;
}

/** A directory of programs, given as shell scripts. */
export function scripts(directory: string, programs: Readonly<Record<string, string>>): string {
  fs.mkdirSync(directory, { recursive: true });
  for (const [name, body] of Object.entries(programs)) {
    fs.writeFileSync(path.join(directory, name), `#!/bin/sh\n${body}\n`);
    fs.chmodSync(path.join(directory, name), 0o755);
  }
  fs.chmodSync(directory, 0o755);
  return directory;
}

/** The real programs, each call of `initdb` noted in `calls`. */
export function noting(directory: string, real: string, calls: string): string {
  fs.writeFileSync(calls, '');
  fs.chmodSync(calls, 0o666);
  return scripts(directory, {
    postgres: `exec "${real}/postgres" "$@"`,
    initdb: `echo initdb >>"${calls}"; exec "${real}/initdb" "$@"`,
  });
}

/**
 * A fake installation whose server does `serve` when it is started on a data directory. What its programs were called
 * with is in `calls`.
 */
export function fake(directory: string, programs: { readonly serve?: string; readonly initdb?: string } = {}): string {
  const note = `echo "$@" >>"${path.join(directory, 'calls')}"`;
  const { serve = 'exit 1', initdb = 'for last; do :; done; mkdir -p "$last"; echo 16 >"$last/PG_VERSION"' } = programs;
  scripts(directory, {
    postgres: `case "$*" in --version) echo "postgres (PostgreSQL) 16.3" ;; --single*) ;; *) ${note}; ${serve} ;; esac`,
    initdb: `${note}; ${initdb}`,
  });
  fs.writeFileSync(path.join(directory, 'calls'), '');
  fs.chmodSync(path.join(directory, 'calls'), 0o666);
  return directory;
}

/** The directories of the runs that have used a fake installation. */
export function runsOf(directory: string): string[] {
  const calls = fs.readFileSync(path.join(directory, 'calls'), 'utf8');
  return [...new Set([...calls.matchAll(/-D (\S+)\/data/g)].map((match) => match[1] ?? ''))];
}

/** A copy of a tree, hard-linked where the file system can do it. */
export function copyTree(from: string, to: string): void {
  execFileSync('cp', ['-R', from, to]);
}
