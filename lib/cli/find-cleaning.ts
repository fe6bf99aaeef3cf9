import { type SourceFile, withoutComments, withoutCommentsAndStrings } from './source-files';

/** A hook of the user's that seems to clean the database. */
export interface CleaningHook {
  readonly path: string;
  readonly line: number;
  /** `beforeEach`. */
  readonly hook: string;
  /** What it was recognised by: `TRUNCATE`, `.del()`, `cleanDatabase`. */
  readonly by: string;
}

/** bdd's and tdd's names; called (`beforeEach(…)`) or a method of a root-hook object (`async beforeEach() {`). */
const HOOK =
  /(?<![\w$.])(beforeEach|afterEach|before|after|setup|teardown|suiteSetup|suiteTeardown|beforeAll|afterAll)\s*[(:]/g;

/** What empties tables, in the text without comments. */
const CLEANING = [
  /\.(?:del|delete|truncate)\s*\(\s*\)/,
  /\btruncate\b/i,
  /\bdelete\s+from\b/i,
  /\bknex-?[cC]leaner\b|\bdatabase-?[cC]leaner\b/,
  /\b(?:clean|clear|reset|wipe|empty|purge|flush)[A-Z_]?\w*(?:db|database|tables?|data)\w*\b/i,
] as const;

/** Hooks that clean, as far as their text tells: a hook that only calls a function is known by that function's name. */
export function findCleaningHooks(files: readonly SourceFile[]): CleaningHook[] {
  return files.flatMap((file) => {
    if (!/(?:Each|before|after|setup|teardown)/.test(file.text)) return [];
    const code = withoutCommentsAndStrings(file.text);
    const text = withoutComments(file.text);
    const found: CleaningHook[] = [];
    for (const match of code.matchAll(HOOK)) {
      const end = endOfHook(code, match.index + match[0].length - 1);
      const body = text.slice(match.index + match[0].length, end);
      const by = CLEANING.map((pattern) => pattern.exec(body)?.[0]).find((hit) => hit !== undefined);
      if (by === undefined) continue;
      found.push({ path: file.path, line: code.slice(0, match.index).split('\n').length, hook: match[1] ?? '', by });
    }
    return found;
  });
}

/** Where the hook that opens at `start` ends: its closing bracket, and the body that follows where it is a method. */
function endOfHook(code: string, start: number): number {
  let end = code[start] === ':' ? start + 1 : closing(code, start);
  // `beforeEach() {` of a root-hook object, and `beforeEach: async () => {`.
  const body = /^[^;,{}\n]*\{/.exec(code.slice(end));
  if (body && !/^\s*[;)]/.test(code.slice(end))) end = closing(code, end + body[0].length - 1);
  return end;
}

function closing(code: string, open: number): number {
  let depth = 0;
  for (let i = open; i < code.length; i++) {
    if ('([{'.includes(code[i] ?? '')) depth++;
    else if (')]}'.includes(code[i] ?? '') && --depth === 0) return i + 1;
  }
  return code.length;
}
