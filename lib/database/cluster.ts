import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { RewindError } from '../errors';
import type { Binaries } from './find-binaries';
import { type Identity, failureOf, ownerOf, run } from './identity';
import { DATABASE, initdbVariants } from './settings';

/** Name of the data directory inside a run's directory. */
export const DATA = 'data';

const DAY = 24 * 60 * 60 * 1000;

/**
 * The freshly made cluster, kept in the cache as one archive: unlike a directory it can't be half deleted by a cleaner of
 * old temporary files, it appears in one rename, and unpacking it is quicker than copying 1300 files one by one.
 */
export class ClusterArchive {
  readonly #file: string;

  constructor(
    private readonly binaries: Binaries,
    private readonly cache: string,
    private readonly identity: Identity,
  ) {
    const programs = fs.realpathSync(binaries.directory); // the same for all projects that link to them
    const made = [programs, binaries.version, initdbVariants(binaries.version), ownerOf(identity), DATABASE];
    const key = createHash('sha256').update(JSON.stringify(made)).digest('hex').slice(0, 12);
    this.#file = path.join(cache, `cluster-${binaries.version}-${key}.tar`);
  }

  /** Unpacks the archive into the run's directory. False if there is none, or none that is whole. */
  unpack(directory: string): boolean {
    let archive;
    try {
      archive = fs.openSync(this.#file, 'r');
    } catch {
      return false;
    }
    try {
      // The server's user unpacks, so that the files are its own; it may not be able to open the archive itself.
      const result = run('tar', ['-xf', '-', '-C', directory], { identity: this.identity, stdin: archive });
      if (failureOf(result) === undefined && fs.existsSync(path.join(directory, DATA, 'PG_VERSION'))) return true;
    } finally {
      fs.closeSync(archive);
    }
    this.discard();
    fs.rmSync(path.join(directory, DATA), { recursive: true, force: true });
    return false;
  }

  discard(): void {
    fs.rmSync(this.#file, { force: true });
  }

  /** Makes a cluster in the run's directory, and keeps a copy for the next run. */
  create(directory: string): void {
    const data = path.join(directory, DATA);
    this.#initdb(data);
    const single = run(path.join(this.binaries.directory, 'postgres'), ['--single', '-F', '-D', data, 'template1'], {
      identity: this.identity,
      input: `create database ${DATABASE}\ncheckpoint\n`,
    });
    const failure = failureOf(single);
    if (failure !== undefined) throw cannotMake(`create database ${DATABASE}`, failure);
    this.#keep(directory);
  }

  #initdb(data: string): void {
    const failures: string[] = [];
    for (const args of initdbVariants(this.binaries.version)) {
      const failure = failureOf(
        run(path.join(this.binaries.directory, 'initdb'), [...args, '-D', data], { identity: this.identity }),
      );
      if (failure === undefined) return;
      failures.push(failure);
      fs.rmSync(data, { recursive: true, force: true });
    }
    throw cannotMake('initdb', failures.at(-1) ?? 'not tried');
  }

  /** Best effort: a full disk costs the next run a second, not this one its server. */
  #keep(directory: string): void {
    const partial = `${this.#file}.${randomBytes(4).toString('hex')}.partial`;
    try {
      const file = fs.openSync(partial, 'wx', 0o600);
      try {
        const result = run('tar', ['-cf', '-', '-C', directory, DATA], { identity: this.identity, stdout: file });
        if (failureOf(result) !== undefined) return;
        fs.fsyncSync(file); // else a crash of the machine could leave a name without its contents
      } finally {
        fs.closeSync(file);
      }
      fs.renameSync(partial, this.#file);
      this.#tidy();
    } catch {
      // See above.
    } finally {
      fs.rmSync(partial, { force: true });
    }
  }

  /** Archives of binaries that are gone, and what a killed run left unfinished. */
  #tidy(): void {
    for (const name of fs.readdirSync(this.cache)) {
      const file = path.join(this.cache, name);
      const age = Date.now() - (fs.statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
      const abandoned = /\.partial$|^building-/.test(name) && age > DAY;
      const old = /^(cluster|binaries)-/.test(name) && age > 60 * DAY;
      if (abandoned || old) fs.rmSync(file, { recursive: true, force: true });
    }
  }
}

function cannotMake(what: string, log: string): RewindError {
  return new RewindError('REWIND_SERVER', {
    problem: `The embedded PostgreSQL could not be made: ${what} failed:\n    ${log.replaceAll('\n', '\n    ')}`,
    remedy:
      'Mend what it says, choose other binaries with REWIND_PG_BIN, or set DATABASE_URL to a server that is running.',
  });
}
