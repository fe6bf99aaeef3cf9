// A PostgreSQL that doesn't say it is the embedded one: what a database on a shared or remote server looks like.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { startServer } from '../../lib/database';
import { serverBinaries } from './database';

export interface PlainServer {
  readonly url: string;
  stop(): Promise<void>;
}

/**
 * Starts the binaries of the server that the tests use, through REWIND_PG_BIN, under another cluster_name, with settings
 * like `max_prepared_transactions=5`.
 */
export async function startPlainServer(...settings: readonly string[]): Promise<PlainServer> {
  const bin = await serverBinaries();
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'rewind-plain-'));
  fs.chmodSync(dir, 0o755);
  const script = (name: string, last: string): void =>
    fs.writeFileSync(path.join(dir, name), `#!/bin/sh\nexec "${bin}/${name}" "$@"${last}\n`, { mode: 0o755 });
  const options = ['cluster_name=plain', ...settings].map((setting) => `-c ${setting}`).join(' ');
  script('postgres', ` $([ "$1" = -D ] && echo "${options}")`);
  script('initdb', '');
  const server = startServer({ env: { ...process.env, REWIND_PG_BIN: dir } });
  return {
    url: server.url,
    stop: async () => {
      await server.stop();
      fs.rmSync(dir, { recursive: true, force: true });
    },
  };
}
