import type { RewindConfig } from './index';

/** PostgreSQL's undefined_table. */
const UNDEFINED_TABLE = '42P01';

/** Whether it is the error of a table that nobody has made, where the config doesn't say how tables come to be. */
export function missesMigrate({ migrate }: RewindConfig, error: unknown): boolean {
  return !migrate && (error as { code?: unknown } | undefined)?.code === UNDEFINED_TABLE;
}

/** What there is to say of such an error. `withoutTables` names the database that has none at all. */
export async function hintOnTables(
  config: RewindConfig,
  error: unknown,
  withoutTables: () => Promise<string | undefined>,
): Promise<string | undefined> {
  const label = missesMigrate(config, error) ? await withoutTables() : undefined;
  return (
    label &&
    `${label} has no tables, and no config says how they come to be. Name the instance and \`migrate\` in rewind.config.ts, e.g. \`{ knex, migrate: (db) => db.migrate.latest() }\`, or migrate the database before the tests.`
  );
}
