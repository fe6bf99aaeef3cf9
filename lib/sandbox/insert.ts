// The time in an INSERT: what it names itself, and the defaults of columns that it leaves out. All of a row has to get the
// same time, so it is both or neither.
import { collectUses, move, type Moved, type Use } from './clock';
import type { ClockColumn } from './defaults';
import { scan, type Node, type Token } from './parser';
import { quoteIdent } from '../sql';

export interface Insert {
  readonly schema: string | undefined;
  readonly table: string;
  /** The same with `now` as the time; undefined where it has to be left as it is, or asks for no time. */
  at(now: string, defaults: readonly ClockColumn[]): Moved | undefined;
}

/** Undefined for what can't be given another time without being noticed. */
export function readInsert(sql: string, body: Node): Insert | undefined {
  const relation = body.relation as Node;
  const uses: Use[] = [];
  if (!collectUses(body, sql, uses)) return undefined;
  /** For the same defaults, since finding them costs more than the INSERT. */
  let known: { readonly defaults: readonly ClockColumn[]; readonly edits: Use[] | undefined } | undefined;
  return {
    schema: relation.schemaname as string | undefined,
    table: String(relation.relname),
    at(now, defaults) {
      if (known?.defaults !== defaults) {
        known = { defaults, edits: defaults.length === 0 ? [] : editsFor(sql, body, defaults) };
      }
      const { edits } = known;
      if (!edits || uses.length + edits.length === 0) return undefined;
      return move(sql, [...uses, ...edits], now);
    },
  };
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
