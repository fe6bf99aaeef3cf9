/** The least a room needs of a connection: one statement (or, without values, several), its rows. */
export type Query = <Row = Record<string, unknown>>(
  sql: string,
  values?: readonly unknown[],
) => Promise<{ rows: Row[]; rowCount?: number | null }>;

/** A connection of our own, on no pool. `end` never rejects. */
export interface OwnConnection {
  readonly query: Query;
  /** Backend process id. */
  readonly pid: number;
  /** A pooler stands between us and the server. */
  readonly isPooled: boolean;
  end(): Promise<void>;
}

/** The one way an identifier gets into SQL text (PostgreSQL manual, 4.1.1: double the quotes inside). */
export function quoteIdent(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** The one way a string gets into SQL text where no parameter can stand (utility statements). */
export function quoteLiteral(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`;
  return text.includes('\\') ? ` E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}
