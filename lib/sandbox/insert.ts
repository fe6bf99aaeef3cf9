// The time in an INSERT: what it names itself, and the defaults of columns that it leaves out. All of a row has to get the
// same time, so it is both or neither.
import { collectUses, movable, type ClockUses, type Use } from './clock';
import type { ClockColumn } from './defaults';
import { scan, type Node, type Token } from './parser';
import { quoteIdent } from '../sql';
import { walk } from './tree';

/** For an INSERT that asks for the time and has to be left as it is. */
export const OUT_OF_REACH = 'out of reach';

export interface Insert {
  readonly schema: string | undefined;
  readonly table: string;
  /**
   * Whether the server may keep it and run it again, which saves it half of its work: nothing in it is read once and for
   * all, as a literal `'now'` would be.
   */
  readonly canBeKept: boolean;
  /**
   * Where it asks for the time, if these columns of its table get it by default; undefined where it doesn't.
   */
  uses(defaults: readonly ClockColumn[]): ClockUses | typeof OUT_OF_REACH | undefined;
}

/** Undefined for what can't be given another time without being noticed. */
export function readInsert(sql: string, body: Node): Insert | undefined {
  const relation = body.relation as Node;
  const named: Use[] = [];
  if (!collectUses(body, sql, named)) return undefined;
  return {
    schema: relation.schemaname as string | undefined,
    table: String(relation.relname),
    canBeKept: canBeKept(body),
    uses(defaults) {
      const left = defaults.length === 0 ? [] : editsFor(sql, body, defaults);
      if (!left) return OUT_OF_REACH;
      return named.length + left.length > 0 ? movable(sql, [...named, ...left]) : undefined;
    },
  };
}

/** What an INSERT of values given as parameters consists of, by its keys in the tree. */
const KEEPABLE = new Set(
  (
    'relation cols selectStmt override returningList returningClause SelectStmt ResTarget List ParamRef SetToDefault ' +
    'val A_Const ival fval boolval ColumnRef String'
  ).split(' '),
);

function canBeKept(insert: Node): boolean {
  if (!Object.keys(insert).every((key) => KEEPABLE.has(key))) return false;
  let can = true;
  walk(insert, (key) => (can &&= KEEPABLE.has(key)));
  return can;
}

/** What has to be put where, so that columns with such a default are given a value. */
function editsFor(sql: string, body: Node, defaults: readonly ClockColumn[]): Use[] | undefined {
  const columns = (body.cols as readonly { ResTarget: { name: string } }[] | undefined)?.map((c) => c.ResTarget.name);
  const select = (body.selectStmt as { SelectStmt: Node } | undefined)?.SelectStmt;
  const from = Number((body.relation as Node).location);
  const tokens = scan(sql).filter((token) => token.byte > from);
  const names = (of: readonly ClockColumn[]): string => of.map(({ name }) => quoteIdent(name)).join(', ');
  const values = (of: readonly ClockColumn[], now: string): string => of.map((c) => c.at(now)).join(', ');

  if (!select) {
    const at = tokens.findIndex((t, i) => t.text === 'default' && tokens[i + 1]?.text === 'values');
    const [first, last] = [tokens[at], tokens[at + 1]];
    if (!first || !last) return undefined;
    return [edit(first.from, last.to, (now) => `(${names(defaults)}) VALUES (${values(defaults, now)})`)];
  }
  if (!columns) return undefined;
  const missing = defaults.filter(({ name }) => !columns.includes(name));
  const rows = select.valuesLists as readonly { List: { items: readonly Node[] } }[] | undefined;
  if (!rows || select.sortClause) return missing.length === 0 ? [] : undefined;

  const edits: Use[] = [];
  for (const { List } of rows) {
    for (const [i, item] of List.items.entries()) {
      const left = defaults.find(({ name }) => name === columns[i]);
      if (!left || !('SetToDefault' in item)) continue;
      const { location } = item.SetToDefault as { location: number };
      const token = tokens.find(({ byte }) => byte === location);
      if (!token) return undefined;
      edits.push(edit(token.from, token.to, (now) => left.at(now)));
    }
  }
  if (missing.length === 0) return edits;
  const list = tokens.find(({ text }) => text === '(');
  const starts = rowStarts(tokens);
  if (!list || starts.length !== rows.length) return undefined;
  edits.push(edit(list.to, list.to, () => `${names(missing)}, `));
  for (const { to } of starts) edits.push(edit(to, to, (now) => `${values(missing, now)}, `));
  return edits;
}

function edit(from: number, to: number, wrap: Use['wrap']): Use {
  return { from, to, wrap, column: undefined };
}

/** The opening parentheses of the rows behind VALUES. */
function rowStarts(tokens: readonly Token[]): Token[] {
  const starts: Token[] = [];
  let depth = 0;
  let base: number | undefined;
  for (const [i, token] of tokens.entries()) {
    if (token.text === '(') {
      const before = tokens[i - 1]?.text;
      if (depth === base && (before === 'values' || before === ',')) starts.push(token);
      depth++;
    } else if (token.text === ')') depth--;
    else if (base === undefined && token.text === 'values') base = depth;
    else if (base === depth && token.text !== ',') break;
  }
  return starts;
}
