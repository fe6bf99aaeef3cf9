import type { Knex } from 'knex';
import { RewindError, messageOf } from '../errors';
import type { RewindConfig } from './index';
import { missesMigrate } from './unmigrated';

/** `migrate`, then `seed`. */
export async function setUp(
  config: RewindConfig,
  instances: Readonly<Record<string, Knex>> | undefined,
): Promise<void> {
  for (const key of ['migrate', 'seed'] as const) {
    const step = config[key];
    if (!step) continue;
    const all = instances ?? {};
    const [first] = Object.values(all);
    if (!first) {
      throw new RewindError('REWIND_CONFIG', {
        problem: `\`${key}\` is set, but \`knex\` is not: there is no instance to give to it.`,
        remedy: 'Set `knex` to the instance your app uses.',
      });
    }
    try {
      await step(first, all);
    } catch (cause) {
      throw new RewindError('REWIND_SETUP', {
        problem: `\`${key}\` failed: ${messageOf(cause)}`,
        remedy: missesMigrate(config, cause)
          ? 'No test was run. `migrate` is not set: it runs before `seed`, and makes the tables, e.g. `(db) => db.migrate.latest()`.'
          : `No test was run. Both \`migrate\` and \`seed\` run before every test run, and have to be repeatable.`,
        cause,
      });
    }
  }
}
