const CONTEXT = 2;

/** A change of one file as a person reads it. Good for changes in one place, which is all that is made here. */
export function diffLines(before: string | undefined, after: string): string[] {
  const old = before === undefined ? [] : linesOf(before);
  const now = linesOf(after);
  let start = 0;
  while (start < old.length && start < now.length && old[start] === now[start]) start++;
  let end = 0;
  while (end < old.length - start && end < now.length - start && old.at(-1 - end) === now.at(-1 - end)) end++;
  return [
    ...old.slice(Math.max(0, start - CONTEXT), start).map((line) => `  ${line}`),
    ...old.slice(start, old.length - end).map((line) => `- ${line}`),
    ...now.slice(start, now.length - end).map((line) => `+ ${line}`),
    ...old.slice(old.length - end, old.length - end + CONTEXT).map((line) => `  ${line}`),
  ].map((line) => line.trimEnd());
}

function linesOf(text: string): string[] {
  return text.replace(/\n$/, '').split('\n');
}
