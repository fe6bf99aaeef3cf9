// The contract of the database room: which database this is, and the server it is on.
import type { Clones } from './clones';

/** What the live connection says of its database. */
export interface DatabaseInfo {
  readonly name: string;
  /** Address the server sees itself at; undefined on a unix socket. */
  readonly address: string | undefined;
  readonly port: number | undefined;
  readonly user: string;
  readonly superuser: boolean;
  /** Server version, e.g. `180001`. */
  readonly version: number;
  readonly sizeBytes: number;
  /** Number of tables outside the system's and our own schema. */
  readonly tables: number;
  /** True for a server that `mocha-rewind/embedded` started. */
  readonly embedded: boolean;
}

/** Which database a live connection is on. `oid` and `start` together are one database, for as long as its server runs. */
export interface DatabaseIdentity {
  readonly oid: string;
  readonly name: string;
  /** When its server was started, in UTC. */
  readonly start: string;
  /** Address and port that the server sees itself at; empty on a unix socket. */
  readonly place: string;
}

/* eslint-disable @typescript-eslint/no-require-imports -- late: most runs start no server, and need no other database */
const clones = (): typeof import('./clones') => require('./clones') as typeof import('./clones');
const kept = (): typeof import('./kept') => require('./kept') as typeof import('./kept');
const server = (): typeof import('./server') => require('./server') as typeof import('./server');
const named = (): typeof import('./named-server') => require('./named-server') as typeof import('./named-server');
/* eslint-enable @typescript-eslint/no-require-imports */

export const openClones: typeof Clones.open = (options) => clones().Clones.open(options);
export const keepDatabase: typeof import('./kept').keepDatabase = (...args) => kept().keepDatabase(...args);
export const keepServer: typeof import('./server').keepServer = (...args) => server().keepServer(...args);
export const startServer: typeof import('./server').startServer = (...args) => server().startServer(...args);
export const namedServer: typeof import('./named-server').namedServer = (...args) => named().namedServer(...args);

export type { Clone, Clones, ClonesOptions, Stock } from './clones';
export { describeDatabase, identifyDatabase } from './describe';
export { type AllowDatabase, assertTestDatabase } from './safety';
export type { EmbeddedServer, ServerOptions } from './server';
export type { NamedServer } from './named-server';
export {
  announceRun,
  assertNotShared,
  dropDatabasesOfWorkers,
  leadUrl,
  makeDatabasesOfWorkers,
  pointWorkerAtOwnDatabase,
  createWorkerDatabase,
} from './worker-environment';
