// The contract of the database room: which database this is, and the server it is on.
import type { Query } from '../sql';

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

export interface DatabaseRoom {
  describeDatabase(query: Query): Promise<DatabaseInfo>;
  /** Throws `REWIND_UNSAFE_DATABASE` unless the database looks like one for tests, or `allow` says yes. */
  assertTestDatabase(info: DatabaseInfo, allow?: (info: DatabaseInfo) => boolean | Promise<boolean>): Promise<void>;
}
