// The contract of the database room: which database this is, and the server it is on.

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

export { type Clone, Clones, type ClonesOptions, type Stock } from './clones';
export { describeDatabase } from './describe';
export { type AllowDatabase, assertTestDatabase } from './safety';
export { keepDatabase } from './kept';
export { type EmbeddedServer, type ServerOptions, keepServer, startServer } from './server';
export { type NamedServer, namedServer } from './named-server';
export {
  announceRun,
  assertNotShared,
  dropDatabasesOfWorkers,
  leadUrl,
  makeDatabasesOfWorkers,
  pointWorkerAtOwnDatabase,
  createWorkerDatabase,
} from './worker-environment';
