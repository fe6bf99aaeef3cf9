import { audit } from './audit';
import { plan, remove, restore, status, verify } from './database-commands';
import { init } from './init';

/** One command of `mocha-rewind`. Its result is the exit code. */
export interface Command {
  /** One line. */
  readonly summary: string;
  /** Behind `mocha-rewind`. */
  readonly usage: string;
  /** What `--help` says beside the summary. */
  readonly details: string;
  readonly options: Readonly<
    Record<string, { readonly type: 'boolean' | 'string'; readonly short?: string; readonly multiple?: boolean }>
  >;
  /** Whether what stands behind `--` is for somebody else. */
  readonly takesRest?: true;
  run(values: Readonly<Record<string, unknown>>, rest: readonly string[]): Promise<number>;
}

const REQUIRE = { require: { type: 'string', short: 'r', multiple: true } } as const;

const ABOUT_DATABASES = `Works on the databases of \`knex\` and \`pools\` in the config, else on the one of DATABASE_URL. A database that does not
look like one for tests is refused. Packages that the Mocha config requires (ts-node/register, dotenv/config) are loaded
first; files of the project are not, since they use hooks.

  -r, --require MODULE    load this first, e.g. ./test/env.js. May be given several times`;

export const COMMANDS: Readonly<Record<string, Command>> = {
  init: {
    summary: 'add mocha-rewind to a project: shows what it would write, and asks',
    usage: 'init [--yes]',
    details: `Finds the Mocha config, the Knex instance and hooks that clean the database, by reading files; nothing is run.
Writes a rewind.config.* and the line in the Mocha config that requires the plugin. Existing configs are never
overwritten. Where cleaning hooks are found, the config starts with default: 'unmanaged': nothing changes yet.

  -y, --yes    write without asking, e.g. in scripts. Without it, and without a terminal, nothing is written.`,
    options: { yes: { type: 'boolean', short: 'y' } },
    run: (values) => init({ yes: values['yes'] === true }),
  },
  audit: {
    summary: 'run the suite in other ways, and say which tests could have another mode',
    usage:
      'audit [--unmanaged] [--dirty] [--shuffle N] [--alone] [--write [--yes]] [--json] [--html FILE] [-- mocha arguments]',
    details: `Runs mocha as it is; then each @truncate test once more as a rollback test, and each rollback test that failed
as a @truncate test; and lists which passed, with what another tag would save. A test that passed once in another mode may
still need its own: look at the list before you write it. Exit code 1: the suite could not be run as it is.

  --unmanaged      also the tests that are left alone: as rollback tests, and where they fail, as @truncate tests
  --dirty          find rollback tests that need empty tables: run them on what an earlier run has left
  --shuffle N      find tests that need their order: run the suite in N other orders
  --alone          run every test that failed in any of these runs alone, and look for the one that it needs before it
  --alone-all      the same for every test
  --write          change the tags in the spec files; shows the changes, and asks
  -y, --yes        write without asking
  --json           print the findings as JSON
  --html FILE      write them to the HTML report of the run as it is`,
    options: {
      unmanaged: { type: 'boolean' },
      dirty: { type: 'boolean' },
      shuffle: { type: 'string' },
      alone: { type: 'boolean' },
      'alone-all': { type: 'boolean' },
      write: { type: 'boolean' },
      yes: { type: 'boolean', short: 'y' },
      json: { type: 'boolean' },
      html: { type: 'string' },
    },
    takesRest: true,
    run: (values, rest) =>
      audit(
        {
          unmanaged: values['unmanaged'] === true,
          dirty: values['dirty'] === true,
          shuffle: values['shuffle'] as string | undefined,
          alone: values['alone-all'] === true ? 'all' : values['alone'] === true ? 'suspects' : 'none',
          write: values['write'] === true,
          yes: values['yes'] === true,
          json: values['json'] === true,
          html: values['html'] as string | undefined,
        },
        rest,
      ),
  },
  status: {
    summary: 'what mocha-rewind has in the database',
    usage: 'status [--require MODULE]',
    details: ABOUT_DATABASES,
    options: REQUIRE,
    run: (values) => status(requireFiles(values)),
  },
  restore: {
    summary: 'bring the database back to its baseline, e.g. after a run that was killed',
    usage: 'restore [--dry-run] [--require MODULE]',
    details: `Puts back what the last baseline held, also over changes you have made since; the next run would do the same after
a run that was killed. "verify" tells beforehand which rows differ.

  --dry-run               print the SQL instead of running it

${ABOUT_DATABASES}`,
    options: { ...REQUIRE, 'dry-run': { type: 'boolean' } },
    run: (values) => (values['dry-run'] === true ? plan : restore)(requireFiles(values)),
  },
  verify: {
    summary: 'compare the database with its baseline, row by row; exit code 1 if it differs',
    usage: 'verify [--require MODULE]',
    details: ABOUT_DATABASES,
    options: REQUIRE,
    run: (values) => verify(requireFiles(values)),
  },
  remove: {
    summary: 'take every trace of mocha-rewind out of the database; your data stays',
    usage: 'remove [--force] [--require MODULE]',
    details: `Refuses where a killed run has left its writes behind, for its baseline would be lost.

  --force                 remove it all the same

${ABOUT_DATABASES}`,
    options: { ...REQUIRE, force: { type: 'boolean' } },
    run: (values) => remove(requireFiles(values), values['force'] === true),
  },
};

function requireFiles(values: Readonly<Record<string, unknown>>): readonly string[] {
  return (values['require'] ?? []) as readonly string[];
}
