import fs from 'node:fs';
import path from 'node:path';
import { MODES, type Mode } from '../modes';
import { globs } from './globs';
import type { RewindConfig, Rule } from './index';

/** Which tests get which mode: the settings, ready to be asked. Same shape as the `mocha` room's. */
export interface Tagging {
  readonly default: Mode;
  readonly tags: Readonly<Record<Mode, readonly string[]>>;
  readonly rules: readonly TaggingRule[];
}

export interface TaggingRule {
  readonly files?: (file: string) => boolean;
  readonly title?: (fullTitle: string) => boolean;
  readonly mode: Mode;
}

/** @param root - the package's folder, which the globs of rules are relative to. */
export function taggingOf(config: RewindConfig, root: string): Tagging {
  const words = (mode: Mode): readonly string[] => [...new Set([mode, ...[config.tags?.[mode] ?? []].flat()])];
  return {
    default: config.default ?? 'rollback',
    tags: Object.fromEntries(MODES.map((mode) => [mode, words(mode)])) as unknown as Tagging['tags'],
    rules: (config.rules ?? []).map((rule) => compile(rule, root)),
  };
}

/** Sentences on rules that can't match anything, mostly for a typing error. */
export function emptyRules({ rules = [] }: RewindConfig, root: string): readonly string[] {
  return rules.flatMap(({ files }, i) => {
    const base = files === undefined ? '' : globs().baseOf(files);
    if (fs.existsSync(path.join(root, base))) return [];
    return [`rules[${i}] of the config matches no file: there is no ${base} in the package's folder.`];
  });
}

function compile({ files, title, mode }: Rule, root: string): TaggingRule {
  return {
    ...(files !== undefined && { files: matcherOf(files, root) }),
    ...(title !== undefined && { title: titleMatcher(title) }),
    mode,
  };
}

function matcherOf(files: string, root: string): (file: string) => boolean {
  return globs().fileMatcher(files, root);
}

function titleMatcher(title: RegExp | string): (fullTitle: string) => boolean {
  if (typeof title === 'string') return (fullTitle) => fullTitle.includes(title);
  // A copy, and always from the start: with the flags g and y a RegExp goes on where its last match ended.
  const own = new RegExp(title.source, title.flags);
  return (fullTitle) => {
    own.lastIndex = 0;
    return own.test(fullTitle);
  };
}
