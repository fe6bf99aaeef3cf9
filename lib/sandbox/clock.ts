// now() and its like. PostgreSQL stops that clock for the length of a transaction; in production each statement of an app
// without a transaction is one, here all of them share one. So where a query, an UPDATE or a DELETE asks for the time
// itself, it is given the time that production would have given: its own, or that of its transaction's BEGIN. Costs
// nothing where no time is asked for. For INSERTs see insert.ts. Triggers are out of reach, and get the time at which the
// outermost scope began.
import { characterAt, type Node } from './parser';

export interface Use {
  /** Where it stands in the text. */
  readonly from: number;
  readonly to: number;
  /** Wraps an expression of type timestamptz. */
  readonly wrap: (now: string) => string;
  /** The name that PostgreSQL would give its column, where it stands as a column of its own. */
  readonly column: string | undefined;
}

export interface ClockUses {
  /** The text with `now` (an SQL expression of type timestamptz) in the place of each use. */
  readonly at: (now: string) => Moved;
}

export interface Moved {
  readonly text: string;
  /** The place in the app's text of a place (counted from 1, as in errors) in this one. */
  readonly original: (position: number) => number;
}

const FUNCTIONS = new Set(['now', 'transaction_timestamp']);
export const CASTS: Readonly<Record<string, string>> = {
  CURRENT_DATE: 'date',
  CURRENT_TIME: 'timetz',
  CURRENT_TIMESTAMP: 'timestamptz',
  LOCALTIME: 'time',
  LOCALTIMESTAMP: 'timestamp',
};

/** Where a statement asks for the time; undefined where it doesn't, or where we couldn't answer without being noticed. */
export function clockUses(sql: string, type: string, body: Node): ClockUses | undefined {
  if (type !== 'SelectStmt' && type !== 'UpdateStmt' && type !== 'DeleteStmt') return undefined;
  const uses: Use[] = [];
  if (!collect(body, undefined, sql, uses) || uses.length === 0) return undefined;
  return movable(sql, uses);
}

/** The last text is kept: statements that ask for the time usually ask for the same. */
export function movable(sql: string, uses: readonly Use[]): ClockUses {
  let last: { readonly now: string; readonly moved: Moved } | undefined;
  return {
    at: (now) => {
      if (last?.now !== now) last = { now, moved: move(sql, uses, now) };
      return last.moved;
    },
  };
}

/** Adds what an INSERT asks for by itself. False where it has to be left as it is. */
export function collectUses(insert: Node, sql: string, uses: Use[]): boolean {
  return collect(insert, undefined, sql, uses);
}

/** False where the statement has to be left as it is. */
function collect(node: unknown, column: string | undefined, sql: string, uses: Use[]): boolean {
  if (typeof node !== 'object' || node === null) return true;
  if (Array.isArray(node)) return node.every((item) => collect(item, undefined, sql, uses));
  for (const [key, value] of Object.entries(node as Node)) {
    if (typeof value !== 'object' || value === null) continue;
    if (key === 'InsertStmt' || key === 'MergeStmt' || key === 'intoClause') return false;
    if (key === 'FuncCall' || key === 'SQLValueFunction') {
      const use = useOf(key, value as Node, sql);
      if (use === 'unknown') return false;
      if (use) {
        if (column === 'derived') return false;
        uses.push({ ...use, column: column === 'own' ? use.column : undefined });
        continue;
      }
    }
    if (key === 'RangeFunction' && mentionsClock(value)) return false;
    if (key === 'ResTarget' && (value as Node).name === undefined) {
      const target = (value as Node).val as Node | undefined;
      const [kind] = Object.keys(target ?? {});
      // a column's name comes from the function in it, through casts and the like (parse_target.c, FigureColname)
      const passes = ['TypeCast', 'CollateClause', 'A_Indirection', 'SubLink', 'CaseExpr'].includes(kind ?? '');
      if (passes && mentionsClock(target)) return false;
      if (!collect(target, kind === 'FuncCall' || kind === 'SQLValueFunction' ? 'own' : undefined, sql, uses))
        return false;
      continue;
    }
    if (!collect(value, undefined, sql, uses)) return false;
  }
  return true;
}

function mentionsClock(node: unknown): boolean {
  return /"SQLValueFunction"|"sval":"(now|transaction_timestamp)"/.test(JSON.stringify(node));
}

function useOf(key: 'FuncCall' | 'SQLValueFunction', node: Node, sql: string): Use | 'unknown' | undefined {
  const from = characterAt(sql, Number(node.location ?? 0));
  const rest = sql.slice(from);
  if (key === 'FuncCall') {
    const name = JSON.stringify(node.funcname).match(/"sval":"(\w+)"\}\}\]$/)?.[1] ?? '';
    if (!FUNCTIONS.has(name)) return undefined;
    const found = /^(?:pg_catalog\s*\.\s*)?"?(?:now|transaction_timestamp)"?\s*\(\s*\)/i.exec(rest);
    return found ? { from, to: from + found[0].length, wrap: (now) => now, column: name } : 'unknown';
  }
  const op = String(node.op).replace('SVFOP_', '');
  const base = op.replace(/_N$/, '');
  const cast = CASTS[base];
  if (!cast) return undefined; // CURRENT_USER and the like
  const found = /^[a-z_]+(?:\s*\(\s*\d+\s*\))?/i.exec(rest);
  if (!found || !found[0].toUpperCase().startsWith(base)) return 'unknown';
  const precision = op.endsWith('_N') ? `(${Number(node.typmod ?? 0)})` : '';
  const full = cast.endsWith('tz') ? `${cast.slice(0, -2)}${precision} with time zone` : `${cast}${precision}`;
  return { from, to: from + found[0].length, wrap: (now) => `CAST(${now} AS ${full})`, column: base.toLowerCase() };
}

function move(sql: string, places: readonly Use[], now: string): Moved {
  const uses = [...places].sort((a, b) => a.from - b.from || a.to - b.to);
  let text = '';
  let last = 0;
  const shifts: { at: number; by: number }[] = [];
  for (const { from, to, wrap, column } of uses) {
    const put = wrap(now) + (column === undefined ? '' : ` AS "${column}"`);
    text += sql.slice(last, from) + put;
    last = to;
    shifts.push({ at: text.length, by: put.length - (to - from) });
  }
  text += sql.slice(last);
  return {
    text,
    original: (position) => position - shifts.filter(({ at }) => position > at).reduce((sum, { by }) => sum + by, 0),
  };
}
