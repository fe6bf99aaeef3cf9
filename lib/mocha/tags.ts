import path from 'node:path';
import { type Plan, type PlannedTest, auditKey } from '../audit-plan';
import { RewindError } from '../errors';
import { explicitModeOf } from '../explicit-mode';
import type { ModeOrigin } from '../facts';
import { MODES, type Mode } from '../modes';
import type { Tagging } from './index';
import type { Suite, Test } from './mocha-private';
import { suggestionFor } from './near-miss';

type Node = Suite | Test;

/** What a scan of all titles has found. */
export interface TagFindings {
  /** Contradicting tags: the run must not start. */
  readonly error: RewindError | undefined;
  /** Words that look like a tag and are none. */
  readonly warnings: readonly string[];
}

/**
 * Says which mode a test or suite has: its own tag (in its title or in code), else the nearest enclosing one, else a rule,
 * else the default.
 */
export class TagReader {
  readonly #modeOfWord = new Map<string, Mode>();
  readonly #modes = new WeakMap<Node, Mode>();

  /** @param plan - an audit's, which has the last word on the tests it names. */
  constructor(
    private readonly tagging: Tagging,
    private readonly plan?: Plan,
  ) {
    for (const mode of MODES) for (const word of tagging.tags[mode]) this.#modeOfWord.set(word, mode);
  }

  modeOfWord(word: string): Mode | undefined {
    return this.#modeOfWord.get(word);
  }

  modeOf(node: Node): Mode {
    const known = this.#modes.get(node);
    if (known) return known;
    const mode = this.#planned(node)?.mode ?? this.#inheritedTag(node) ?? this.#ruleFor(node) ?? this.tagging.default;
    this.#modes.set(node, mode);
    return mode;
  }

  /** Whether an audit leaves this test out. */
  isLeftOut(test: Test): boolean {
    return this.plan !== undefined && this.#planned(test) === undefined;
  }

  originOf(test: Test): ModeOrigin {
    if (this.#planned(test)?.mode) return { by: 'audit' };
    for (let n: Node | undefined = test; n; n = n.parent) {
      const level = levelOf(n);
      const otherwise = (): Mode =>
        (n?.parent && this.#inheritedTag(n.parent)) ?? this.#ruleFor(test) ?? this.tagging.default;
      if (explicitModeOf(n)) return { by: 'code', level, otherwise: otherwise() };
      const word = wordsIn(n.title).find((found) => this.#modeOfWord.has(found));
      if (word !== undefined) return { by: 'tag', level, word, otherwise: otherwise() };
    }
    return this.#ruleFor(test) ? { by: 'rule', otherwise: this.tagging.default } : { by: 'default' };
  }

  scan(root: Suite): TagFindings {
    const contradictions: string[] = [];
    const nearMisses = new Map<string, { readonly suggestion: string; readonly where: string; count: number }>();
    visit(root, (node) => {
      const words = wordsIn(node.title);
      const tags = words.filter((word) => this.#modeOfWord.has(word));
      const inCode = explicitModeOf(node);
      const modes = new Set([...tags.map((word) => this.#modeOfWord.get(word)), ...(inCode ? [inCode] : [])]);
      if (modes.size > 1) {
        const given = [...tags.map((word) => `@${word}`), ...(inCode ? [`${inCode} in code`] : [])];
        contradictions.push(`${placeOf(node)} has ${given.join(' and ')}`);
      }
      for (const word of words) {
        if (this.#modeOfWord.has(word)) continue;
        const seen = nearMisses.get(word);
        if (seen) seen.count++;
        const suggestion = seen ? undefined : suggestionFor(word, [...this.#modeOfWord.keys()]);
        if (suggestion) nearMisses.set(word, { suggestion, where: placeOf(node), count: 1 });
      }
    });
    return {
      error: contradictions.length === 0 ? undefined : contradiction(contradictions),
      warnings: [...nearMisses].map(([word, { suggestion, where, count }]) => {
        const more = count > 1 ? `, and in ${count - 1} more` : '';
        return `@${word} is no tag: did you mean @${suggestion}? It is in the title of ${where}${more}.`;
      }),
    };
  }

  #planned(node: Node): PlannedTest | undefined {
    return this.plan?.get(auditKey(relativeFile(node.file), node.fullTitle()));
  }

  #inheritedTag(node: Node): Mode | undefined {
    for (let n: Node | undefined = node; n; n = n.parent) {
      const inCode = explicitModeOf(n);
      if (inCode) return inCode;
      for (const word of wordsIn(n.title)) {
        const mode = this.#modeOfWord.get(word);
        if (mode) return mode;
      }
    }
    return undefined;
  }

  #ruleFor(node: Node): Mode | undefined {
    if (this.tagging.rules.length === 0) return undefined;
    const file = relativeFile(node.file);
    const title = node.fullTitle();
    return this.tagging.rules.find(
      (rule) => (!rule.files || (file !== undefined && rule.files(file))) && (!rule.title || rule.title(title)),
    )?.mode;
  }
}

/**
 * The words behind an `@` that stands for itself: not the middle of an e-mail address, and not a decorator's name
 * (`@Column()`) or a package's scope (`@types/node`).
 */
export function wordsIn(title: string): string[] {
  const words: string[] = [];
  for (const [, run = '', next = ''] of title.matchAll(/(?<![\p{L}\p{N}_.@/+-])@([\p{L}\p{N}_:.-]+)(.?)/gu)) {
    const word = run.replace(/[:.-]+$/, '');
    if (word && !'(/@'.includes(next || ' ')) words.push(word);
  }
  return words;
}

export function relativeFile(file: string | undefined): string | undefined {
  return file === undefined ? undefined : path.relative(process.cwd(), file).split(path.sep).join('/');
}

function contradiction(places: readonly string[]): RewindError {
  return new RewindError('REWIND_TAGS', {
    problem: `One title can have one mode: ${places.join('; ')}.`,
    remedy: 'Keep one of the tags. No test was run.',
  });
}

function placeOf(node: Node): string {
  const file = relativeFile(node.file);
  return `"${node.fullTitle()}"${file === undefined ? '' : ` (${file})`}`;
}

/** Where its title is in the path of titles. */
function levelOf(node: Node): number {
  let level = 0;
  for (let suite = node.parent; suite; suite = suite.parent) if (!suite.root) level++;
  return level;
}

function visit(suite: Suite, look: (node: Node) => void): void {
  look(suite);
  suite.tests.forEach(look);
  for (const child of suite.suites) visit(child, look);
}
