// Servers for bench/suite.ts, from the binaries that the embedded server has: that one itself, which is in memory with fsync
// off, and one on a disk with the settings that PostgreSQL has of itself.
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { startServer } from '../lib/database';
import { ClusterArchive, DATA } from '../lib/database/cluster';
import { findBinaries } from '../lib/database/find-binaries';
import { serverIdentity } from '../lib/database/identity';
import { startKeeper } from '../lib/database/keeper';
import { cacheDirectory, makeRunDirectory } from '../lib/database/places';
import { claim } from '../lib/database/sweep';
import { DATABASE, SUPERUSER } from '../lib/database/settings';

export interface Server {
  readonly url: string;
  stop(): unknown;
}

export async function startWith(fsync: string): Promise<Server> {
  return fsync === 'off' ? startServer() : startOnDisk();
}

async function startOnDisk(): Promise<Server> {
  const identity = serverIdentity();
  const cache = cacheDirectory(identity);
  const binaries = findBinaries({ identity, cache, env: process.env, project: process.cwd() });
  const directory = makeRunDirectory(identity, os.tmpdir());
  const claimed = claim(directory); // else the next start of an embedded server would sweep it away
  const archive = new ClusterArchive(binaries, cache, identity);
  if (!archive.unpack(directory)) archive.create(directory);
  const args = ['-D', path.join(directory, DATA), '-k', directory, '-c', 'listen_addresses='];
  const keeper = startKeeper(directory, path.join(binaries.directory, 'postgres'), args, identity);
  const stop = async (): Promise<void> => {
    claimed.release();
    keeper.release();
    while (!keeper.isGone()) await sleep(10);
  };
  const url = `postgresql://${SUPERUSER}@localhost/${DATABASE}?host=${encodeURIComponent(directory)}`;
  for (let tries = 0; ; tries++) {
    const client = new Client({ connectionString: url });
    try {
      await client.connect();
      await client.end();
      return { url, stop };
    } catch (error) {
      if (tries < 300) await sleep(100);
      else {
        await stop();
        throw error;
      }
    }
  }
}
