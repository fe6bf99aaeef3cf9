import fs from 'node:fs';
import path from 'node:path';
import { RewindError, messageOf } from '../../errors';

/** A file that can be written, told before the audit takes its time. Undefined: none is wanted. */
export function pageAt(file: string | undefined): ((html: string) => void) | undefined {
  if (file === undefined) return undefined;
  try {
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.closeSync(fs.openSync(file, 'a'));
  } catch (cause) {
    throw new RewindError('REWIND_CONFIG', {
      problem: `--html ${JSON.stringify(file)}: ${messageOf(cause)}`,
      remedy: 'Give it a file that can be written: --html reports/audit.html.',
      cause,
    }).withoutStack();
  }
  return (html) => fs.writeFileSync(file, html);
}
