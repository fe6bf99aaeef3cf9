#!/usr/bin/env node
// `npx mocha-rewind …`. Exit codes: 0 fine, 1 not (an error, or `verify` found differences), 2 wrong usage.
import fs from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { RewindError, messageOf } from '../errors';
import { COMMANDS, type Command } from './commands';
import { complain, pc, say } from './terminal';

const WRONG_USAGE = 2;

async function main([name, ...args]: readonly string[]): Promise<number> {
  if (name === undefined || ['--help', '-h', 'help'].includes(name)) {
    say(overview());
    return name === undefined ? WRONG_USAGE : 0;
  }
  if (name === '--version') {
    const manifest = fs.readFileSync(path.join(__dirname, '..', '..', 'package.json'), 'utf8');
    say((JSON.parse(manifest) as { version: string }).version);
    return 0;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!command) {
    complain(`mocha-rewind has no command ${JSON.stringify(name)}.\n\n${overview()}`);
    return WRONG_USAGE;
  }
  return run(command, args);
}

async function run(command: Command, args: readonly string[]): Promise<number> {
  let values: Readonly<Record<string, unknown>>;
  const end = command.takesRest ? args.indexOf('--') : -1;
  const [own, rest] = end < 0 ? [args, []] : [args.slice(0, end), args.slice(end + 1)];
  try {
    const options = { ...command.options, help: { type: 'boolean', short: 'h' } } as const;
    values = parseArgs({ args: [...own], options, strict: true }).values;
  } catch (error) {
    complain(`${messageOf(error)}\n\n${help(command)}`);
    return WRONG_USAGE;
  }
  if (values['help'] === true) {
    say(help(command));
    return 0;
  }
  return command.run(values, rest);
}

function overview(): string {
  const lines = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(9)}${summary}`);
  return ['Usage: mocha-rewind <command> [options]', '', ...lines, '', 'mocha-rewind <command> --help says more.'].join(
    '\n',
  );
}

function help({ usage, summary, details }: Command): string {
  return `Usage: mocha-rewind ${usage}\n\n${summary[0]?.toUpperCase()}${summary.slice(1)}.\n\n${details}`;
}

/** The app's pools would hold the process for as long as they like; what was said must be out before it ends. */
function exit(code: number): void {
  process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
}

// Whoever reads us through a pipe may have seen enough (`| head`).
process.stdout.on('error', () => process.exit(1));

main(process.argv.slice(2)).then(exit, (error: unknown) => {
  // A mistake of the user's has its place in its message; anything else is a bug, and its stack is what helps.
  if (error instanceof RewindError) complain(pc.red(error.message));
  else complain(error instanceof Error ? (error.stack ?? error.message) : String(error));
  exit(1);
});
