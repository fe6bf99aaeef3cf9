import fs from 'node:fs';
import { MODES, type Mode, type Phase, phaseOf } from '../modes';
import type { Plug } from './plug';
import { relativeFile, wordsIn } from './tags';

/**
 * For the main process of `--parallel`, which loads no spec file: files whose text mentions committing tests are queued
 * last, so that a worker's rolled-back files tend to come before its committing ones; inside a phase the longest first, so
 * that no worker is left alone with one at the end. A hint: nothing depends on it.
 */
export function inQueueOrder(files: readonly string[], plug: Plug): string[] {
  const { tags, tagging } = plug;
  const phaseOfFile = (file: string, text: string): Phase => {
    const name = relativeFile(file) ?? file;
    const byRule = tagging.rules.find((rule) => !rule.title && rule.files?.(name))?.mode ?? tagging.default;
    const inTitles = wordsIn(text).flatMap((word) => tags.modeOfWord(word) ?? []);
    const modes = [byRule, ...inTitles, ...modesInCode(text)];
    return modes.map(phaseOf).sort().at(-1) ?? 1;
  };
  const keyed = files.map((file) => {
    const text = read(file);
    return { file, phase: phaseOfFile(file, text), length: text.length };
  });
  return keyed.sort((a, b) => a.phase - b.phase || b.length - a.length).map(({ file }) => file);
}

/** `truncate.it(…)`. */
const IN_CODE = new RegExp(String.raw`\b(${MODES.join('|')})\.(?:it|specify|test|describe|context|suite)\b`, 'g');

function modesInCode(text: string): Mode[] {
  return [...text.matchAll(IN_CODE)].map((match) => match[1] as Mode);
}

function read(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return ''; // Mocha will say it better.
  }
}
