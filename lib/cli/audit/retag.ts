import fs from 'node:fs';
import type { Mode } from '../../modes';
import type { ModeFindings, Trial } from './modes';
import type { Subject } from './subjects';
import { type TagChange, changeTitle } from './titles';

/** A file with other tags in it. */
export interface FileChange {
  readonly path: string;
  readonly before: string;
  readonly after: string;
}

/** A change that people have to make. */
export interface ByHand {
  readonly what: string;
  readonly why: string;
}

export interface Retagging {
  readonly files: readonly FileChange[];
  readonly byHand: readonly ByHand[];
  /** About the config. */
  readonly advice: readonly string[];
}

/** One title to change: a test's, or that of a describe whose tests all agree. */
interface TitleChange {
  readonly file: string;
  readonly title: string;
  readonly shown: string;
  readonly change: TagChange;
}

/** How the findings get into the files. */
export function planRetagging(base: ReadonlyMap<string, Subject>, findings: ModeFindings): Retagging {
  const tests = [...base.values()];
  const free = [...findings.couldRollBack, ...findings.couldTruncate].filter(
    (trial) => trial.test.mode !== 'unmanaged' || fileIsFree(trial.test, tests, findings),
  );
  const titles: TitleChange[] = [];
  const byHand: ByHand[] = [];
  const describes = new Set<string>();
  for (const { test, mode } of free) {
    const { file, path } = test;
    const { by, level = path.length - 1, word } = test.from;
    if (file === null) {
      byHand.push({ what: shownAs(test), why: 'nobody knows its file' });
    } else if (by === 'code') {
      byHand.push({ what: shownAs(test), why: `its mode is in code: make it ${mode}` });
    } else if (by === 'tag' && word !== undefined) {
      const title = titleOf(test, file, level, word, mode);
      if (describes.has(title.shown)) continue;
      const agreed = sharing(test, level, tests).every((t) => free.some((f) => f.test === t && f.mode === mode));
      if (!agreed)
        byHand.push({ what: shownAs(test), why: `its describe is @${word}, and other tests in it need that` });
      else titles.push(title);
      if (agreed) describes.add(title.shown);
    } else if (mode === 'truncate') {
      titles.push(tagged(test, file, mode));
    }
  }
  const { advice, keep } = adviceOf(tests, free, findings.haveToCommit);
  for (const test of keep) if (test.file !== null) titles.push(tagged(test, test.file, test.mode));
  return { ...applied(titles, byHand), advice };
}

/** Unmanaged tests may build on each other: the tests of a file go together, or stay. */
function fileIsFree(test: Subject, tests: readonly Subject[], { couldRollBack, couldTruncate }: ModeFindings): boolean {
  const passed = new Set([...couldRollBack, ...couldTruncate].map((trial) => trial.test));
  return tests.filter((t) => t.file === test.file && t.mode === 'unmanaged').every((t) => passed.has(t));
}

/** Those that have their mode from the same title. */
function sharing(test: Subject, level: number, tests: readonly Subject[]): Subject[] {
  const start = JSON.stringify(test.path.slice(0, level + 1));
  return tests.filter(
    (t) => t.file === test.file && t.from.level === level && JSON.stringify(t.path.slice(0, level + 1)) === start,
  );
}

/** Takes the tag out, or puts another one in its place where the test would still have another mode. */
function titleOf(test: Subject, file: string, level: number, word: string, mode: Mode): TitleChange {
  const change = test.from.otherwise === mode ? { remove: word } : { remove: word, add: mode };
  return { file, title: test.path[level] ?? '', shown: `${file}: ${test.path.slice(0, level + 1).join(' ')}`, change };
}

function tagged(test: Subject, file: string, mode: Mode): TitleChange {
  return { file, title: test.path.at(-1) ?? '', shown: shownAs(test), change: { add: mode } };
}

function shownAs({ file, title }: Subject): string {
  return `${file ?? '(no file)'}: ${title}`;
}

/** The config gives many tests their mode: those that need it get it from a tag, then the config can let go of it. */
function adviceOf(
  tests: readonly Subject[],
  free: readonly Trial[],
  haveToCommit: readonly Trial[],
): { advice: string[]; keep: Subject[] } {
  const advice: string[] = [];
  const keep: Subject[] = [];
  for (const by of ['default', 'rule'] as const) {
    const setting = (mode: Mode): string =>
      by === 'default' ? `\`default: '${mode}'\`` : `a rule with mode '${mode}'`;
    const ofMode = (mode: Mode) => (test: Subject) => test.from.by === by && test.mode === mode;
    const could = free.filter(({ test, mode }) => mode === 'rollback' && ofMode('truncate')(test)).length;
    if (could > 0) {
      const need = haveToCommit.map(({ test }) => test).filter(ofMode('truncate'));
      keep.push(...need);
      const first = need.length > 0 ? 'With @truncate in the titles of the others, it can go.' : 'It can go.';
      advice.push(
        `${capital(setting('truncate'))}: ${could} of the ${tests.filter(ofMode('truncate')).length} tests that it commits could be rolled back. ${first}`,
      );
    }
    const files = new Set(
      free
        .map(({ test }) => test)
        .filter(ofMode('unmanaged'))
        .map(({ file }) => file),
    );
    for (const file of files) {
      advice.push(
        `${capital(setting('unmanaged'))}: ${file ?? '(no file)'} does not need it. In front of other rules: { files: '${file ?? ''}', mode: 'rollback' }`,
      );
    }
  }
  return { advice, keep };
}

function capital(text: string): string {
  return `${text[0]?.toUpperCase()}${text.slice(1)}`;
}

function applied(titles: readonly TitleChange[], byHand: ByHand[]): Pick<Retagging, 'files' | 'byHand'> {
  const texts = new Map<string, { before: string; after: string }>();
  for (const { file, title, shown, change } of titles) {
    const text = texts.get(file) ?? read(file);
    const changed = text ? changeTitle(text.after, title, change) : 'its file can’t be read';
    if (typeof changed === 'string') byHand.push({ what: shown, why: `${inWords(change)}: ${changed}` });
    else texts.set(file, { before: text?.before ?? '', after: changed.text });
  }
  return { files: [...texts].map(([path, text]) => ({ path, ...text })), byHand };
}

function inWords({ remove, add }: TagChange): string {
  if (remove === undefined) return `add @${add}`;
  return add === undefined ? `take @${remove} out` : `make @${remove} @${add}`;
}

function read(file: string): { before: string; after: string } | undefined {
  try {
    const text = fs.readFileSync(file, 'utf8');
    return { before: text, after: text };
  } catch {
    return undefined;
  }
}
