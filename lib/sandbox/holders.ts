// Who has a pool's connections: what a time-out is explained with.
import type { PgClient } from './pg-types';

type Site = (() => string) | undefined;

const sites = new WeakMap<PgClient, Site>();

/** A connection has left its pool, by way of the call at `site` if that is known. */
export function noteHolder(client: PgClient, site: Site): void {
  sites.set(client, site);
}

/** Where they were taken, as far as is known. */
export function sitesOf(clients: readonly PgClient[]): string[] {
  return clients.flatMap((client) => sites.get(client)?.() ?? []);
}

export interface PoolState {
  readonly label: string;
  readonly max: number;
  /** How many wait for a connection. */
  readonly waiting: number;
  readonly taken: readonly PgClient[];
}

/** A sentence about a pool that has no connection left for those who want one. */
export function describeExhaustion({ label, max, waiting, taken }: PoolState): string[] {
  if (waiting === 0 || taken.length < max) return [];
  const known = sitesOf(taken);
  const unknown = taken.length - known.length;
  const holders = [...known.map((site) => `at ${site}`), ...(unknown > 0 ? [`${unknown} by single queries`] : [])];
  const who = waiting === 1 ? 'A query waits' : `${waiting} queries wait`;
  const pool = max === 1 ? 'the only one of its pool is' : `all ${max} of its pool are`;
  return [`${who} for a connection to ${label}: ${pool} checked out, ${holders.join(', ')}.`];
}
