import { RewindError, messageOf } from '../errors';
import type { OwnConnection, Query } from '../sql';

/** A connection of ours, set up for the server side. */
export interface Session extends OwnConnection {
  /** May create event triggers. */
  readonly superuser: boolean;
  /** As in `server_version_num`. */
  readonly serverVersion: number;
}

// The app's search_path is kept: check constraints, defaults and generated columns may call functions that rely on it. What
// is ours is written with its schema, and what is PostgreSQL's is found first. So is the time zone, for the same reason.
const SETTINGS = `
  select pg_catalog.set_config('search_path', pg_catalog.concat_ws(', ', 'pg_catalog', nullif(pg_catalog.current_setting('search_path'), '')), false);
  set row_security = off;                    -- what policies would hide from us becomes an error
  set statement_timeout = 0;
  set idle_in_transaction_session_timeout = 0;
  select set_config(name, '0', false) from pg_catalog.pg_settings where name in ('idle_session_timeout', 'transaction_timeout');
  set default_transaction_isolation = 'read committed';
  set default_transaction_read_only = off;
  set synchronous_commit = off;
  set synchronize_seqscans = off;            -- copies keep the order of rows
  set jit = off;
  set plan_cache_mode = force_generic_plan;
  set client_min_messages = warning;
  set check_function_bodies = off;           -- ours are many, and work: reading them takes a fifth of the installation
  set datestyle = 'ISO';                     -- what is kept as text has to be read by another session
  set intervalstyle = 'postgres';
  set extra_float_digits = 1;
  set bytea_output = 'hex';
  set xmloption = 'content';
  set array_nulls = on;
  set quote_all_identifiers = off;
  set rewind.working = 'on';                 -- our own triggers look away
`;

export async function openSession(connect: () => Promise<OwnConnection>): Promise<Session> {
  const connection = await connect();
  try {
    await connection.query(SETTINGS);
    const { rows } = await connection.query<{ version: number; superuser: boolean }>(
      `select current_setting('server_version_num')::int as version, rolsuper as superuser
       from pg_catalog.pg_roles where rolname = current_user`,
    );
    const { version = 0, superuser = false } = rows[0] ?? {};
    if (version < 140000) {
      throw new RewindError('REWIND_RESTORE', {
        problem: `The server is PostgreSQL ${Math.floor(version / 10000)}; @truncate tests need 14 or newer.`,
        remedy: 'Use a newer server for tests.',
      });
    }
    if (superuser) await connection.query(`set deadlock_timeout = '100ms'`);
    // Longer than deadlock_timeout: only then autovacuum, or a deadlock, gets out of our way.
    await connection.query(
      `select set_config('lock_timeout', (setting::int + 200)::text, false) from pg_catalog.pg_settings where name = 'deadlock_timeout'`,
    );
    await switchTriggersOff(connection.query);
    const { query, pid, isPooled } = connection;
    return { query, pid, isPooled, end: () => connection.end(), superuser, serverVersion: version };
  } catch (error) {
    await connection.end();
    throw error;
  }
}

/**
 * Triggers, rules and foreign keys are out of the way of a restore, if our role may do that: a superuser, or who was
 * granted the parameter. Where it may not, the server side restores as a plain owner of the tables can.
 */
async function switchTriggersOff(query: Query): Promise<void> {
  try {
    await query(`set session_replication_role = 'replica'`);
  } catch (error) {
    if (codeOf(error) !== INSUFFICIENT_PRIVILEGE) throw error;
  }
}

export const INSUFFICIENT_PRIVILEGE = '42501';

/** The SQLSTATE of an error of pg's. */
export function codeOf(error: unknown): string | undefined {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}

/** Whether the connection is gone, rather than the statement refused. */
export function isLost(error: unknown): boolean {
  const code = codeOf(error);
  // 57P01 to 57P05: the server ends the session or itself; class 08: connection exceptions (manual, appendix A).
  if (code !== undefined) return code.startsWith('08') || /^57P0[1-5]$/.test(code);
  return /ECONNRESET|EPIPE|ECONNREFUSED|terminated|not queryable|closed|ended|timeout expired/i.test(
    `${messageOf(error)} ${typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : ''}`,
  );
}
