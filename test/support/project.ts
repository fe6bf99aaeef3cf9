// A throw-away project in a directory of its own, and a real mocha process that runs in it.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

export const repo = path.resolve(__dirname, '..', '..');

/** The environment of every child of a test. */
export const CHILD = {
  NO_COLOR: '1',
  // Mocha's 2 s are too few on a busy machine. Arguments and `this.timeout()` still say otherwise.
  MOCHA_OPTIONS: '--timeout 30000',
  NODE_OPTIONS: [
    // The links stand for an install: otherwise knex would find this repository's pg instead of the one chosen.
    '--preserve-symlinks --preserve-symlinks-main',
    // A short process doesn't need fetch, which Node.js 20 loads where pg looks for Cloudflare, nor a small heap. Together
    // they cost a sixth of its CPU time.
    '--no-experimental-fetch --max-semi-space-size=64',
  ].join(' '),
} as const;

/** Installed copies, by the name a test uses for them; see the aliases in package.json. */
export const MOCHAS = { '10': 'mocha-10', '11': 'mocha-11', '12': 'mocha' } as const;
export const KNEXES = { '2.5': 'knex-2.5', '3.0': 'knex-3.0', '3.1': 'knex-3.1', '3.3': 'knex' } as const;
export const PGS = { '8.11': 'pg-8.11', '8.16': 'pg-8.16', newest: 'pg' } as const;

export interface ProjectOptions {
  /** Path in the project → contents. Objects are written as JSON. A `package.json` is added if there is none. */
  readonly files: Readonly<Record<string, string | object>>;
  readonly mocha?: keyof typeof MOCHAS;
  readonly knex?: keyof typeof KNEXES;
  readonly pg?: keyof typeof PGS;
  /** For tests that change what is in `node_modules`. */
  readonly ownPackages?: boolean;
}

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Both, in order of arrival: what a person saw. */
  readonly output: string;
}

export interface Project {
  readonly dir: string;
  /** Runs mocha with these arguments, to its end. A run longer than `timeoutMs` is killed, and is an error. */
  mocha(args?: readonly string[], env?: NodeJS.ProcessEnv, timeoutMs?: number): Promise<Finished>;
  /** Runs `mocha-rewind` with these arguments, to its end. Nobody is at the terminal. */
  cli(args?: readonly string[], env?: NodeJS.ProcessEnv): Promise<Finished>;
  /** Starts mocha and returns at once, for tests that send signals. */
  start(
    args?: readonly string[],
    env?: NodeJS.ProcessEnv,
  ): { child: ReturnType<typeof spawn>; finished: Promise<Finished> };
  write(files: ProjectOptions['files']): void;
  remove(): void;
}

/**
 * The project's `node_modules` holds links to this repository's packages, in the versions asked for. `mocha-rewind` is
 * the built package (`dist`), as a user gets it: `npm test` builds first.
 */
export function project(options: ProjectOptions): Project {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'rewind-project-'));
  fs.chmodSync(dir, 0o755);
  const modules = path.join(dir, 'node_modules');
  const chosen = [MOCHAS[options.mocha ?? '12'], KNEXES[options.knex ?? '3.3'], PGS[options.pg ?? 'newest']] as const;
  if (options.ownPackages) linkPackages(modules, ...chosen);
  else fs.symlinkSync(sharedPackages(...chosen), modules);
  const write = (files: ProjectOptions['files']): void => {
    for (const [name, contents] of Object.entries(files)) {
      const file = path.join(dir, name);
      fs.mkdirSync(path.dirname(file), { recursive: true });
      fs.writeFileSync(file, typeof contents === 'string' ? contents : JSON.stringify(contents, null, 2));
    }
  };
  write({ 'package.json': { name: 'fixture', private: true }, ...options.files });

  const run = (
    script: string,
    args: readonly string[] = [],
    env: NodeJS.ProcessEnv = {},
  ): ReturnType<Project['start']> => {
    const child = spawn(process.execPath, [path.join(modules, script), ...args], {
      cwd: dir,
      env: { ...cleanEnvironment(), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    let output = '';
    child.stdout.on('data', (d: Buffer) => ((stdout += d.toString()), (output += d.toString())));
    child.stderr.on('data', (d: Buffer) => ((stderr += d.toString()), (output += d.toString())));
    const finished = new Promise<Finished>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr, output }));
    });
    return { child, finished };
  };
  const start: Project['start'] = (args, env) => run('mocha/bin/mocha.js', args, env);
  return {
    dir,
    cli: (args, env) => run('mocha-rewind/dist/cli/main.js', args, env).finished,
    start,
    write,
    async mocha(args, env, timeoutMs = 100_000) {
      const { child, finished } = start(args, env);
      const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
      const result = await finished;
      clearTimeout(timer);
      if (result.signal === 'SIGKILL') throw new Error(`mocha did not end within ${timeoutMs} ms:\n${result.output}`);
      return result;
    },
    remove: () => fs.rmSync(dir, { recursive: true, force: true }),
  };
}

function linkPackages(modules: string, mocha: string, knex: string, pg: string): void {
  const own = path.join(repo, 'node_modules');
  const chosen: Record<string, string> = { mocha, knex, pg };
  fs.mkdirSync(modules, { recursive: true });
  fs.chmodSync(modules, 0o755);
  for (const entry of fs.readdirSync(own)) {
    if (entry.startsWith('.') || entry in chosen || entry === 'mocha-rewind' || entry === 'example-app') continue;
    fs.symlinkSync(path.join(own, entry), path.join(modules, entry));
  }
  for (const [name, folder] of Object.entries(chosen)) fs.symlinkSync(path.join(own, folder), path.join(modules, name));
  fs.symlinkSync(repo, path.join(modules, 'mocha-rewind'));
}

/** One folder of links for all projects: some 400 links take a tenth of a second to make. */
const shared = new Map<string, string>();
function sharedPackages(...chosen: readonly [mocha: string, knex: string, pg: string]): string {
  const known = shared.get(chosen.join());
  if (known) return known;
  const modules = fs.mkdtempSync(path.join(os.tmpdir(), 'rewind-packages-'));
  linkPackages(modules, ...chosen);
  shared.set(chosen.join(), modules);
  process.on('exit', () => fs.rmSync(modules, { recursive: true, force: true }));
  return modules;
}

/** The environment of this process without what the outer mocha, or a previous run, put there for itself. */
export function cleanEnvironment(): NodeJS.ProcessEnv {
  const env = { ...process.env };
  for (const name of Object.keys(env)) {
    if (/^(MOCHA_|REWIND_|npm_|TS_NODE_)/.test(name) || ['FORCE_COLOR', 'CI'].includes(name)) delete env[name];
  }
  return { ...env, ...CHILD };
}
