import path from 'node:path';
import { RewindError } from '../errors';
import { ClusterArchive } from './cluster';
import { type Binaries, findBinaries } from './find-binaries';
import { serverIdentity } from './identity';
import { cacheDirectory } from './places';
import { ServerRun } from './server-run';
import { DATABASE, SUPERUSER } from './settings';
import { sweepRunDirectories } from './sweep';

export interface EmbeddedServer {
  /** Names the database `test` on it. */
  readonly url: string;
  readonly binaries: Binaries;
  /** The run's directory: socket, log and data. */
  readonly directory: string;
  /** Ends the server; resolves when its processes and files are gone. Happens by itself when this process ends. */
  stop(): Promise<void>;
}

export interface ServerOptions {
  readonly env?: NodeJS.ProcessEnv;
  /** The project whose `node_modules` may hold the binaries. */
  readonly project?: string;
}

/**
 * Starts a PostgreSQL of this process's own, and returns when it takes connections.
 *
 * Synchronous on purpose: Mocha runs all plugins' `mochaHooks` factories side by side (plugin-loader.js, 10.8 to 12.0:
 * `Promise.all`), so an asynchronous start could be overtaken by the next plugin's, or by a module's top-level `await`.
 */
export function startServer({ env = process.env, project = process.cwd() }: ServerOptions = {}): EmbeddedServer {
  if (process.platform === 'win32') {
    throw new RewindError('REWIND_SERVER', {
      problem: 'The embedded server needs unix sockets and a POSIX shell, which Windows does not have.',
      remedy: 'Set DATABASE_URL to a server that is running.',
    });
  }
  const identity = serverIdentity();
  const cache = cacheDirectory(identity);
  const binaries = findBinaries({ identity, cache, env, project });
  const archive = new ClusterArchive(binaries, cache, identity);
  void sweepRunDirectories(identity);

  for (;;) {
    const run = new ServerRun(identity);
    let log;
    try {
      const fromArchive = archive.unpack(run.directory);
      if (!fromArchive) archive.create(run.directory);
      if (run.start(path.join(binaries.directory, 'postgres'))) {
        started.push(run);
        return describe(run, binaries);
      }
      log = run.log();
      run.endNow();
      if (!fromArchive) throw cannotStart(binaries, log);
      archive.discard(); // it may be what is wrong: once more with a fresh one
    } catch (error) {
      run.endNow();
      throw error;
    }
  }
}

/** Those of this process. */
const started: ServerRun[] = [];

/**
 * Lets the server outlive this process if it is one that this process has started. `url` leads to any database on it.
 * Returns the id of the process to be ended.
 */
export function keepServer(url: string): number | undefined {
  const host = new URL(url).searchParams.get('host');
  return started.find(({ directory }) => directory === host)?.keep();
}

function describe(run: ServerRun, binaries: Binaries): EmbeddedServer {
  const host = encodeURIComponent(run.directory);
  return {
    url: `postgresql://${SUPERUSER}@localhost/${DATABASE}?host=${host}`,
    binaries,
    directory: run.directory,
    stop: () => run.end(),
  };
}

function cannotStart({ directory, version, source }: Binaries, log: string): RewindError {
  return new RewindError('REWIND_SERVER', {
    problem:
      `The embedded PostgreSQL ${version} (${source}: ${directory}) did not start. Its log:\n` +
      `    ${log.replaceAll('\n', '\n    ') || '(empty)'}`,
    remedy:
      'Mend what it says, choose other binaries with REWIND_PG_BIN, or set DATABASE_URL to a server that is running.',
  });
}
