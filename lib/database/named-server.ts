import os from 'node:os';
import { readService } from './service-file';

/** A server that the environment names by libpq's variables instead of DATABASE_URL. */
export interface NamedServer {
  /** Without a password: URLs end up in logs. */
  readonly url: string;
  /** What pg has to find in the environment beside the URL. */
  readonly env: Readonly<Record<string, string>>;
}

// PGUSER or PGPASSWORD alone name no server.
const NAMING = ['PGHOST', 'PGHOSTADDR', 'PGPORT', 'PGDATABASE', 'PGSERVICE'];

/**
 * The server that `PG*` variables name (PostgreSQL manual, "libpq: Environment Variables"); undefined where they name
 * none. The password stays in PGPASSWORD, where pg looks for it if the URL has none.
 */
export function namedServer(env: NodeJS.ProcessEnv): NamedServer | undefined {
  if (!NAMING.some((name) => env[name])) return undefined;
  const service: ReadonlyMap<string, string> = env.PGSERVICE ? readService(env.PGSERVICE, env) : new Map();
  // A service overrides the environment (manual, "The Connection Service File").
  const setting = (key: string): string | undefined => service.get(key) || env[`PG${key.toUpperCase()}`] || undefined;

  const user = setting('user') ?? os.userInfo().username;
  const host = setting('hostaddr') ?? setting('host') ?? 'localhost';
  const url = new URL(`postgresql://localhost:${setting('port') ?? '5432'}`);
  url.username = encodeURIComponent(user);
  url.pathname = `/${encodeURIComponent(setting('dbname') ?? env.PGDATABASE ?? user)}`;
  if (host.startsWith('/')) url.searchParams.set('host', host);
  else url.hostname = host.includes(':') ? `[${host}]` : host;

  const password = service.get('password');
  const sslmode = service.get('sslmode');
  return {
    url: url.href,
    env: { ...(password ? { PGPASSWORD: password } : {}), ...(sslmode ? { PGSSLMODE: sslmode } : {}) },
  };
}
