/** How a live connection says that it is on a server of ours (`show cluster_name`). */
export const CLUSTER_NAME = 'mocha-rewind-embedded';

/** The database that exists in every embedded server, and that DATABASE_URL names. */
export const DATABASE = 'test';

export const SUPERUSER = 'postgres';

/**
 * The server lives for one run and is thrown away, so nothing is kept safe for after a crash. Only what changes speed a
 * lot is set (tmpfs and fsync: 4 to 6 times for truncating tests), or what makes runs alike on all machines; anything
 * else stays at PostgreSQL's default, so that tests meet what production has.
 */
export const SETTINGS: Readonly<Record<string, string>> = {
  cluster_name: CLUSTER_NAME,
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  // With the default of 1GB the log alone could fill the tmpfs.
  max_wal_size: '256MB',
  listen_addresses: '',
  unix_socket_permissions: '0700',
  // Inside the data directory instead of /dev/shm, which Docker limits to 64 MB, and gone with that directory.
  dynamic_shared_memory_type: 'mmap',
  lc_messages: 'C',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_destination: 'stderr',
  logging_collector: 'off',
  log_min_messages: 'warning',
};

const INITDB = ['-U', SUPERUSER, '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync', '--wal-segsize=1'];

/**
 * Arguments for initdb, best first; the next ones are for binaries that can't do the former. Sorting and case follow
 * ICU's en-US, because databases in production mostly have en_US.UTF-8; the C library's own locales differ from machine
 * to machine, and the one LANG names is often not generated in containers.
 */
export function initdbVariants(version: string): readonly (readonly string[])[] {
  const icu = [...INITDB, '--locale-provider=icu', '--icu-locale=en-US']; // since PostgreSQL 15 (initdb's manual page)
  return Number.parseInt(version, 10) >= 15 ? [icu, INITDB] : [INITDB];
}
