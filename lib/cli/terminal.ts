// What the commands say and ask.
import readline from 'node:readline/promises';
import pc from 'picocolors';

export const say = (line = ''): void => void process.stdout.write(`${line}\n`);
export const complain = (line: string): void => void process.stderr.write(`${line}\n`);

/** Whether somebody is there to answer. */
function isInteractive(): boolean {
  return process.stdin.isTTY && process.stdout.isTTY;
}

/** No is the answer to anything but a yes; also to an input that ends. */
async function confirm(question: string): Promise<boolean> {
  const terminal = readline.createInterface({ input: process.stdin, output: process.stdout });
  const closed = new Promise<string>((resolve) => terminal.once('close', () => resolve('')));
  try {
    return /^y(es)?$/i.test((await Promise.race([terminal.question(`${question} [y/N] `), closed])).trim());
  } finally {
    terminal.close();
  }
}

/**
 * Whether files that have been shown may be written: yes by option, or by whoever is at the terminal.
 *
 * @param again - the command that would write them without asking.
 */
export async function mayWrite(files: readonly string[], yes: boolean, again: string): Promise<boolean> {
  const names = files.join(' and ');
  say();
  if (yes) return true;
  if (!isInteractive()) {
    say(`Nothing was written: nobody is here to say yes. To write ${names}: ${again}`);
    return false;
  }
  if (await confirm(`Write ${names}?`)) return true;
  say('Nothing was written.');
  return false;
}

/** Lines of a diff, in its colours. */
export function sayDiff(lines: readonly string[]): void {
  for (const line of lines) say(line.startsWith('+') ? pc.green(line) : line.startsWith('-') ? pc.red(line) : line);
}

/** `1 table`, `2 tables`. */
export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}

export { pc };
