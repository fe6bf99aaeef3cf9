// Parameters that a function of the app's sets.
import { scan, type Token } from './parser';
import type { LocalName } from './statement';

/** Those that the source of a function sets until the end of the transaction. */
export function localsIn(source: string): LocalName[] {
  if (!/set_config|set\s+local/i.test(source)) return [];
  let tokens: readonly Token[];
  try {
    tokens = scan(source).filter(({ text }) => !text.startsWith('--') && !text.startsWith('/*'));
  } catch {
    return ['computed'];
  }
  const texts = tokens.map(({ text }) => text);
  return texts.flatMap((text, i): LocalName[] => {
    if (text === 'set' && texts[i + 1] === 'local') return [{ literal: parameter(texts.slice(i + 2)) }];
    if (text !== 'set_config' || texts[i + 1] !== '(') return [];
    const literal = /^'([^']*)'$/.exec(texts[i + 2] ?? '')?.[1];
    return [literal !== undefined && texts[i + 3] === ',' ? { literal } : 'computed'];
  });
}

function parameter([first = '', second, third]: readonly string[]): string {
  if (first === 'time' && second === 'zone') return 'timezone';
  if (first === 'session' && second === 'authorization') return 'session_authorization';
  return second === '.' ? `${first}.${third}` : first;
}
