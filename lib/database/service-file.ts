import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { RewindError } from '../errors';

/**
 * The settings of a libpq connection service (PostgreSQL manual, "The Connection Service File"): an INI file, the user's
 * before the system's. pg knows nothing of it, so it has to be read here.
 */
export function readService(name: string, env: NodeJS.ProcessEnv): ReadonlyMap<string, string> {
  const files = [
    env.PGSERVICEFILE ?? path.join(os.homedir(), '.pg_service.conf'),
    ...(env.PGSYSCONFDIR ? [path.join(env.PGSYSCONFDIR, 'pg_service.conf')] : []),
    '/etc/postgresql-common/pg_service.conf', // Debian's sysconfdir
  ];
  for (const file of files) {
    const settings = fs.existsSync(file) && sectionOf(fs.readFileSync(file, 'utf8'), name);
    if (settings) return settings;
  }
  throw new RewindError('REWIND_CONFIG', {
    problem: `PGSERVICE is "${name}", but no such service is in ${files.join(', ')}.`,
    remedy: 'Add it there, set PGSERVICEFILE, or set DATABASE_URL instead.',
  });
}

function sectionOf(text: string, name: string): Map<string, string> | undefined {
  let section: Map<string, string> | undefined;
  for (const line of text.split('\n').map((l) => l.trim())) {
    if (line.startsWith('[')) {
      if (section) return section;
      if (line === `[${name}]`) section = new Map();
    } else if (section && line !== '' && !line.startsWith('#')) {
      const equals = line.indexOf('=');
      const key = line.slice(0, equals).trim();
      if (equals > 0 && !section.has(key)) section.set(key, line.slice(equals + 1).trim()); // the first value counts
    }
  }
  return section;
}
