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
  run(values: Readonly<Record<string, unknown>>): Promise<number>;
}

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
};
