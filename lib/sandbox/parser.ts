// The seam to libpg-query (read on 18.1.5): PostgreSQL's own parser, compiled to WASM. Its trees are plain JSON, one key
// per node type; only this file and those that read statements look into them.
import v8 from 'node:v8';
import { RewindError } from '../errors';

/** A node of the tree: `{ SelectStmt: { … } }` somewhere, arrays and scalars elsewhere. */
export type Node = Readonly<Record<string, unknown>>;

export interface ParsedStatement {
  /** Node type, e.g. `SelectStmt`. */
  readonly type: string;
  readonly body: Node;
  /** This statement's own text, without the `;`. */
  readonly text: string;
}

interface RawStatement {
  readonly stmt?: Node;
  readonly stmt_location?: number;
  readonly stmt_len?: number;
}
interface Library {
  loadModule(): Promise<void>;
  parseSync(sql: string): { stmts?: readonly RawStatement[] };
  scanSync(sql: string): { tokens: readonly { start: number; end: number; text: string }[] };
}

export interface Token {
  /** In lower case. */
  readonly text: string;
  readonly from: number;
  readonly to: number;
  /** `from` as the parser counts. */
  readonly byte: number;
}

let library: Library | undefined;
let loading: Promise<void> | undefined;

/** Has to be awaited once before {@link parse}; about 20 ms, which is why it isn't done while this package loads. */
export function loadParser(): Promise<void> {
  loading ??= (async () => {
    // eslint-disable-next-line @typescript-eslint/no-require-imports -- loaded on first use only
    const loaded = require('libpg-query') as Library;
    // V8 would optimize its largest functions at their first use, for half a second of CPU, and win back microseconds.
    v8.setFlagsFromString('--liftoff-only');
    await loaded.loadModule();
    v8.setFlagsFromString('--no-liftoff-only');
    library = loaded;
  })();
  return loading;
}

export function parserLoaded(): boolean {
  return library !== undefined;
}

/** The statements of `sql`; undefined where this parser can't read it (a mistake, or a newer server's grammar). */
export function parse(sql: string): readonly ParsedStatement[] | undefined {
  if (!library)
    throw new RewindError('REWIND_SERVER', { problem: 'The SQL parser is not loaded.', remedy: 'Please report this.' });
  if (sql.trim() === '') return [];
  let raw: readonly RawStatement[];
  try {
    raw = library.parseSync(sql).stmts ?? [];
  } catch {
    return undefined;
  }
  // stmt_location and stmt_len are byte offsets (parsenodes.h, RawStmt)
  const bytes = raw.length > 1 ? Buffer.from(sql) : undefined;
  return raw.flatMap(({ stmt, stmt_location: from = 0, stmt_len: length }) => {
    const [type, body] = Object.entries(stmt ?? {})[0] ?? [];
    if (type === undefined) return [];
    if (!bytes) return [{ type, body: body as Node, text: sql }];
    const text = bytes.subarray(from, length ? from + length : undefined);
    return parse(text.toString().trim()) ?? []; // again, so that places in the tree are those in its own text
  });
}

/** The tokens of what {@link parse} could read. */
export function scan(sql: string): readonly Token[] {
  return (library?.scanSync(sql).tokens ?? []).map(({ start, end, text }) => ({
    text: text.toLowerCase(),
    from: characterAt(sql, start),
    to: characterAt(sql, end),
    byte: start,
  }));
}

/** The parser counts bytes. */
export function characterAt(sql: string, byte: number): number {
  if (Buffer.byteLength(sql) === sql.length) return byte;
  return Buffer.from(sql).subarray(0, byte).toString().length;
}
