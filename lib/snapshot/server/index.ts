// The server side: tables and functions in schema "rewind". One round trip per restore, whatever it has to do.
import { createHash } from 'node:crypto';
import { ddlSql } from './ddl';
import { eventTriggersSql, glanceSql } from './glance';
import { journalSql } from './journal';
import { leaksSql } from './leaks';
import { othersSql } from './others';
import { ownerSql } from './owner';
import { prepareSql } from './prepare';
import { WATCHABLE, relationsSql } from './relations';
import { restoreSql } from './restore';
import { schemaSql } from './schema';
import { takeSql } from './take';
import { touchedSql } from './touched';
import { verifySql } from './verify';

export { WATCHABLE, eventTriggersSql };

export interface ServerSide {
  readonly sql: string;
  /** Changes with every change of the SQL: a snapshot made by another version of this package is of no use to us. */
  readonly version: string;
}

/** `serverVersion` as in `server_version_num`. */
export function serverSide(serverVersion: number): ServerSide {
  const unlogged = serverVersion >= 150000 ? 'unlogged' : '';
  const sql = [
    schemaSql(unlogged),
    relationsSql(unlogged),
    glanceSql,
    ddlSql,
    othersSql(serverVersion),
    touchedSql,
    journalSql,
    ownerSql,
    prepareSql,
    restoreSql,
    takeSql,
    verifySql,
    leaksSql(unlogged),
  ].join('\n');
  return { sql, version: createHash('sha256').update(sql).digest('hex').slice(0, 16) };
}
