// What of a foreign error concerns the user: its own words and the user's own frames, not ours, Mocha's or Node's.
import path from 'node:path';
import { messageOf } from '../errors';

const OURS = path.resolve(__dirname, '..') + path.sep;
const MOST_FRAMES = 3;

/** The message; with the source line in front where Node or a compiler put one there (a SyntaxError). */
export function ownMessage(thrown: unknown): string {
  const message = withoutForeignRequirers(messageOf(thrown));
  if (!(thrown instanceof Error)) return message;
  const title = thrown.name === 'Error' ? message : `${thrown.name}: ${message}`;
  const head = (thrown.stack ?? '').split(thrown.name)[0]?.trimEnd();
  return head?.includes('\n') ? `${title}\n${head.replaceAll(/^/gm, '    ')}` : title;
}

/** The innermost frames in files of the user's, as V8 writes them. */
export function framesOf(thrown: unknown): string[] {
  if (!(thrown instanceof Error)) return [];
  return (thrown.stack ?? '')
    .split('\n')
    .filter((line) => /^\s+at (?:.*[ (])?(?:file:\/\/)?(?:\/|[A-Za-z]:[\\/]).*:\d+:\d+\)?$/.test(line))
    .filter((line) => !isForeign(line))
    .slice(0, MOST_FRAMES);
}

function isForeign(line: string): boolean {
  return line.includes('node:') || /[\\/]node_modules[\\/]/.test(line) || line.includes(OURS);
}

/** Node lists everybody who required the missing module (`Require stack:`), the loader's own files included. */
function withoutForeignRequirers(message: string): string {
  return message
    .split('\n')
    .filter((line) => !line.startsWith('- ') || !isForeign(line))
    .join('\n');
}
