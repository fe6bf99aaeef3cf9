import { spawn } from 'node:child_process';
import fs from 'node:fs';
import type net from 'node:net';
import path from 'node:path';
import { type Identity, serverEnvironment } from './identity';

/**
 * Runs the server, and ends it and removes its directory when standard input ends: the kernel closes that pipe however
 * the owner dies, `kill -9` included; unless a file `kept` says that it is to go on. A file `ended` appears when the server is over, by itself or ended.
 *
 * SIGQUIT is PostgreSQL's immediate shutdown (manual, "Shutting Down the Server"): nothing is written out, and shared
 * memory is removed. A postmaster that was killed leaves its System V segment, whose id is in line 7 of its pid file
 * (pidfile.h).
 */
const KEEPER = `
directory=$1; shift
exec 3<&0 </dev/null
"$@" 3<&- & server=$!
trap '' INT TERM HUP QUIT
(
  cat <&3 >/dev/null
  [ ! -e "$directory/kept" ] || exit
  [ -e "$directory/ended" ] || kill -QUIT $server
  tries=0
  while [ ! -e "$directory/ended" ] && kill -0 $server 2>/dev/null; do
    [ $tries -ne 400 ] || kill -KILL $server
    tries=$((tries + 1))
    sleep 0.02
  done
) &
wait $server
echo $? >"$directory/ended"
exec 3<&-
wait
lock="$directory/data/postmaster.pid"
[ ! -e "$lock" ] || ipcrm -m "$(sed -n '7s/^ *[0-9]* *//p' "$lock")" 2>/dev/null
cd /
rm -rf "$directory"
`;

export interface Keeper {
  /** Tells the keeper to end the server; it does the same when this process dies. */
  release(): void;
  /** It has done its work, was killed, or never ran. */
  isGone(): boolean;
}

/** Starts `program` under a keeper that is in a session of its own, so that Ctrl+C doesn't reach it. */
export function startKeeper(directory: string, program: string, args: readonly string[], identity: Identity): Keeper {
  const log = fs.openSync(path.join(directory, 'log'), 'a', 0o600);
  const child = spawn('/bin/sh', ['-c', KEEPER, 'mocha-rewind-keeper', directory, program, ...args], {
    ...identity,
    cwd: '/',
    env: serverEnvironment(),
    detached: true,
    stdio: ['pipe', log, log],
  });
  fs.closeSync(log);
  child.on('error', () => {}); // isGone() says it, and says it at once
  child.unref();
  const pipe = child.stdin as net.Socket | null; // null where it could not be started
  pipe?.on('error', () => {});
  pipe?.unref();
  return {
    release: () => void pipe?.destroy(), // closes the descriptor before it returns, also while the process exits
    isGone: () => child.pid === undefined || child.exitCode !== null || child.signalCode !== null,
  };
}
