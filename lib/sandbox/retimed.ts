// Functions of the app's that ask for the time: a trigger that keeps `updated_at` is the usual one. In a sandbox's
// transaction they would get the time of its BEGIN. So they are made again in it, asking for the time in our way instead,
// and that is rolled back with everything else: no other connection ever sees it.
import { CASTS } from './clock';
import { scan, type Token } from './parser';

/** Set to the time of the app's transaction, as seconds; empty outside of one. */
export const BEGUN = 'rewind.begun';

/**
 * Before functions are made again, and after: without a look at bodies, which are the app's, and without our own counters
 * noticing (see the snapshot room).
 */
export const QUIETLY = quietly('off', 'on');
export const LOUDLY = quietly('on', '');

function quietly(bodies: string, working: string): string {
  return `SELECT pg_catalog.set_config('check_function_bodies', '${bodies}', true), pg_catalog.set_config('rewind.working', '${working}', true)`;
}

const TIME =
  `COALESCE(pg_catalog.to_timestamp(NULLIF(pg_catalog.current_setting('${BEGUN}', true), '')::pg_catalog.float8), ` +
  'pg_catalog.statement_timestamp())';

/** What creates the function with our time in the place of PostgreSQL's; undefined where that can't be done. */
export function retimed({ definition, body }: { definition: string; body: string }): string | undefined {
  // without a body between quotes it is one with BEGIN ATOMIC, or RETURN
  const at = body === '' ? definition.length : definition.lastIndexOf(body);
  if (at < 0) return undefined;
  try {
    const changed = inSource(definition.slice(0, at)) + inSource(body) + definition.slice(at + body.length);
    return changed === definition ? undefined : changed;
  } catch {
    return undefined; // not even PostgreSQL's scanner can read it
  }
}

/** Source code with our time in it. PL/pgSQL has the same tokens as SQL. */
function inSource(source: string): string {
  // a definition ends within its quotes here
  const readable = source.replace(/AS (\$\w*\$)$/, (_, tag: string) => `AS ${' '.repeat(tag.length)}`);
  const tokens = scan(readable).filter(({ text }) => !text.startsWith('--') && !text.startsWith('/*'));
  let text = '';
  let last = 0;
  for (let i = 0; i < tokens.length; i++) {
    const use = useAt(tokens, i);
    if (!use) continue;
    text += source.slice(last, use.from) + use.put + (isColumn(tokens, use) ? ` AS "${use.column}"` : '');
    last = use.to;
    i = use.end;
  }
  return text + source.slice(last);
}

interface FoundUse {
  readonly from: number;
  readonly to: number;
  /** Its first and last token. */
  readonly start: number;
  readonly end: number;
  readonly put: string;
  /** What PostgreSQL would call its column. */
  readonly column: string;
}

function useAt(tokens: readonly Token[], i: number): FoundUse | undefined {
  const token = tokens[i] as Token;
  const name = token.text.replace(/^"(.*)"$/, '$1');
  const qualified = tokens[i - 1]?.text === '.';
  const found = (start: number, end: number, put: string): FoundUse => ({
    from: (tokens[start] as Token).from,
    to: (tokens[end] as Token).to,
    start,
    end,
    put,
    column: name,
  });
  if (name === 'now' || name === 'transaction_timestamp') {
    if (tokens[i + 1]?.text !== '(' || tokens[i + 2]?.text !== ')') return undefined;
    if (!qualified) return found(i, i + 2, TIME);
    return tokens[i - 2]?.text === 'pg_catalog' ? found(i - 2, i + 2, TIME) : undefined;
  }
  const type = CASTS[token.text.toUpperCase()];
  if (type === undefined || qualified) return undefined;
  const precise =
    tokens[i + 1]?.text === '(' && tokens[i + 3]?.text === ')' ? (tokens[i + 2] as Token).text : undefined;
  return found(i, precise === undefined ? i : i + 3, `CAST(${TIME} AS ${withPrecision(type, precise)})`);
}

function withPrecision(type: string, precision: string | undefined): string {
  if (precision === undefined) return type;
  return type.endsWith('tz') ? `${type.slice(0, -2)}(${precision}) with time zone` : `${type}(${precision})`;
}

/** Whether it stands as a column of its own, which may be read by its name. */
function isColumn(tokens: readonly Token[], { start, end }: FoundUse): boolean {
  const next = tokens[end + 1]?.text ?? ';';
  return (
    ['select', 'distinct', 'returning'].includes(tokens[start - 1]?.text ?? '') &&
    ['into', 'from', ';', ',', 'where', ')', 'end', 'union', 'limit', 'order'].includes(next)
  );
}
