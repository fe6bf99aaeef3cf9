// Which statements empty whole tables: what suites clean with that isolate their tests themselves.
import { type Node, type ParsedStatement, loadParser, parse } from './parser';
import { readScript, scriptWrites } from './statement';

/** What a text does to the contents of tables, by the names it has for them. `cleaned`: those that it empties. */
export interface CleaningEffect {
  readonly cleans: boolean;
  readonly cleaned: readonly string[];
  /** Tables it inserts into. */
  readonly filled: readonly string[];
  /** Whether it writes rows, or changes some. */
  readonly writes: boolean;
}

/** Whether a text may empty a table; quick, and never a false no. */
export function mayClean(sql: string): boolean {
  return /\b(?:truncate|delete)\b/i.test(sql);
}

/** Reads one text. */
export async function cleaningEffectOf(sql: string): Promise<CleaningEffect> {
  await loadParser();
  const effects = (parse(sql) ?? []).map(effectOf);
  return {
    cleans: effects.some((effect) => effect.cleans),
    cleaned: effects.flatMap((effect) => effect.cleaned),
    filled: effects.flatMap((effect) => effect.filled),
    writes: effects.some((effect) => effect.writes),
  };
}

const NOTHING: CleaningEffect = { cleans: false, cleaned: [], filled: [], writes: false };
/** What surrounds a cleaning and leaves no rows behind: sequences set back, triggers switched off and on. */
const AROUND =
  /^\s*alter\s+sequence\b|\bsetval\s*\(|\b(?:enable|disable)\s+trigger\b|^\s*(?:lock|set|vacuum|analyze)\b/i;

function effectOf({ type, body, text }: ParsedStatement): CleaningEffect {
  if (type === 'TruncateStmt') {
    const relations = body.relations as readonly { RangeVar: Node }[];
    return { ...NOTHING, cleans: true, cleaned: relations.map(({ RangeVar }) => nameOf(RangeVar)) };
  }
  if (type === 'DeleteStmt' && !body.whereClause && !body.usingClause && !body.withClause) {
    return { ...NOTHING, cleans: true, cleaned: [nameOf(body.relation as Node)] };
  }
  if (type === 'DoStmt' && /\btruncate\b|\bdelete\s+from\b/i.test(text)) {
    return { ...NOTHING, cleans: true, writes: /\b(?:insert|update)\b/i.test(text) };
  }
  if (type === 'InsertStmt') return { ...NOTHING, filled: [nameOf(body.relation as Node)], writes: true };
  return AROUND.test(text) ? NOTHING : { ...NOTHING, writes: scriptWrites(readScript(text)) };
}

function nameOf({ schemaname, relname }: Node): string {
  return typeof schemaname === 'string' ? `${schemaname}.${String(relname)}` : String(relname);
}
