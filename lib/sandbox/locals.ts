// Parameters that a function of the app's sets.
import { scan, type Token } from './parser';
import type { LocalName } from './calls';

/** What the source of a function sets, until the end of the transaction or for the session. */
export interface Assignments {
  readonly locals: readonly LocalName[];
  readonly sets: readonly LocalName[];
}

export function assignmentsIn(source: string): Assignments {
  const locals: LocalName[] = [];
  const sets: LocalName[] = [];
  if (!/\bset(_config)?\b/i.test(source)) return { locals, sets };
  let tokens: readonly Token[];
  try {
    tokens = scan(source).filter(({ text }) => !text.startsWith('--') && !text.startsWith('/*'));
  } catch {
    return { locals: ['computed'], sets };
  }
  const texts = tokens.map(({ text }) => text);
  for (const [i, text] of texts.entries()) {
    if (text === 'set' && NO_PARAMETERS.includes(texts[i + 1] ?? '')) continue;
    if (text === 'set' && texts[i + 1] === 'local') locals.push({ literal: parameter(texts.slice(i + 2)) });
    else if (text === 'set' && [undefined, ...BEGINNINGS].includes(texts[i - 1])) {
      sets.push({ literal: parameter(texts.slice(texts[i + 1] === 'session' ? i + 2 : i + 1)) });
    }
    if (text !== 'set_config' || texts[i + 1] !== '(') continue;
    const literal = /^'([^']*)'$/.exec(texts[i + 2] ?? '')?.[1];
    const name = literal !== undefined && texts[i + 3] === ',' ? { literal } : 'computed';
    (lastArgument(texts, i + 1) === 'false' ? sets : locals).push(name);
  }
  return { locals, sets };
}

const NO_PARAMETERS = ['constraints', 'transaction'];
/** What a statement of PL/pgSQL's or SQL's follows. */
const BEGINNINGS = [';', 'begin', 'then', 'else', 'loop'];

/** The last token before the parenthesis that closes the one at `open`. */
function lastArgument(texts: readonly string[], open: number): string | undefined {
  let depth = 0;
  for (let i = open; i < texts.length; i++) {
    if (texts[i] === '(') depth++;
    if (texts[i] === ')' && --depth === 0) return texts[i - 1];
  }
  return undefined;
}

function parameter([first = '', second, third]: readonly string[]): string {
  if (first === 'time' && second === 'zone') return 'timezone';
  if (first === 'session' && second === 'authorization') return 'session_authorization';
  return second === '.' ? `${first}.${third}` : first;
}
