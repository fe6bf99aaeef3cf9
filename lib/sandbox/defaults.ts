// Which columns get the time by themselves: those whose default asks for it.
import { CLOCK } from './catalog';
import { clockUses } from './clock';
import { OUT_OF_REACH, type Insert } from './insert';
import { mentioning } from './names';
import { parse } from './parser';

export interface ClockColumn {
  readonly name: string;
  /** Its default, with `now` as the time. */
  readonly at: (now: string) => string;
}

/**
 * As JSON, each table that has such columns; with `kept` where something that is out of reach may give the time as well: a
 * trigger whose source isn't SQL, or what lies below a view.
 */
export const CLOCK_TABLES = `
  (select coalesce(json_agg(json_build_object('id', c.oid::int8, 'schema', n.nspname, 'table', c.relname,
            'visible', v.visible, 'kept', k.kept, 'checked', h.checked, 'stamps', b.stamps, 'columns', coalesce(a.columns, '[]'))), '[]')::text
     from pg_catalog.pg_class c
     join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     cross join lateral (select pg_catalog.pg_table_is_visible(c.oid) as visible) v
     cross join lateral (
       select json_agg(json_build_object('name', a.attname, 'expression', d.expression)) as columns
         from (select adnum, pg_catalog.pg_get_expr(adbin, adrelid) as expression
                 from pg_catalog.pg_attrdef where adrelid = c.oid) d
         join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = d.adnum
        where d.expression ~* '${CLOCK}' and pg_catalog.has_column_privilege(c.oid, a.attnum, 'INSERT')) a
     cross join lateral (
       select c.relkind = 'v' and exists (
         select from pg_catalog.pg_rewrite r
           join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = r.oid
           join pg_catalog.pg_attrdef f on f.adrelid = d.refobjid
          where r.ev_class = c.oid and d.refclassid = 'pg_catalog.pg_class'::regclass
            and pg_catalog.pg_get_expr(f.adbin, f.adrelid) ~* '${CLOCK}') as stamps) b
     cross join lateral (
       select exists (
         select from pg_catalog.pg_constraint o
          where o.conrelid = c.oid and o.contype = 'c'
            and pg_catalog.pg_get_expr(o.conbin, o.conrelid) ~* '${CLOCK}') as checked) h
     cross join lateral (
       select c.relkind = 'v' or exists (
         select from pg_catalog.pg_trigger t
           join pg_catalog.pg_proc p on p.oid = t.tgfoid
           join pg_catalog.pg_language l on l.oid = p.prolang
          where t.tgrelid = c.oid and not t.tgisinternal and l.lanname <> 'plpgsql') as kept) k
    where c.relkind in ('r', 'p', 'v') and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
      and (k.kept or a.columns is not null))`;

interface Row {
  readonly id: number;
  readonly schema: string;
  readonly table: string;
  readonly visible: boolean;
  readonly kept: boolean;
  readonly checked: boolean;
  /** Whether it is a view of what gets the time by default. */
  readonly stamps: boolean;
  readonly columns: readonly { readonly name: string; readonly expression: string }[];
}

export class ClockDefaults {
  private readonly tables = new Map<string, Row>();
  private readonly columns = new Map<Row, readonly ClockColumn[] | undefined>();
  /** Whether a statement may write times that a constraint compares with PostgreSQL's own. */
  readonly checks: (text: string) => boolean;
  /** Whether it may write to a table that gets the time by default. */
  readonly stamps: (text: string) => boolean;
  private readonly known = new WeakMap<Insert, { readonly uses: ReturnType<Insert['uses']> }>();

  /** `json` is what {@link CLOCK_TABLES} gives; `frozen` whether a trigger of a table gives PostgreSQL's own time. */
  constructor(
    json: string,
    private readonly frozen: (table: number) => boolean = () => false,
  ) {
    const rows = JSON.parse(json) as Row[];
    this.checks = mentioning(rows.filter((row) => row.checked).map(({ table }) => table));
    this.stamps = mentioning(rows.filter((row) => row.columns.length > 0).map(({ table }) => table));
    for (const row of rows) {
      this.tables.set(JSON.stringify([row.schema, row.table]), row);
      if (row.visible) this.tables.set(JSON.stringify([row.table]), row);
    }
  }

  /** Where an INSERT asks for the time, by itself or by its table's defaults. */
  usesOf(insert: Insert): ReturnType<Insert['uses']> {
    let found = this.known.get(insert);
    if (!found) {
      const row = this.rowOf(insert);
      const columns = row ? this.columnsOf(row) : [];
      const left = row && (row.stamps || row.columns.length > 0) ? OUT_OF_REACH : undefined;
      this.known.set(insert, (found = { uses: columns ? insert.uses(columns) : left }));
    }
    return found.uses;
  }

  private rowOf({ schema, table }: Insert): Row | undefined {
    return this.tables.get(JSON.stringify(schema === undefined ? [table] : [schema, table]));
  }

  private columnsOf(row: Row): readonly ClockColumn[] | undefined {
    if (!this.columns.has(row)) this.columns.set(row, row.kept || this.frozen(row.id) ? undefined : columnsOf(row));
    return this.columns.get(row);
  }
}

function columnsOf(row: Row): readonly ClockColumn[] | undefined {
  const found: ClockColumn[] = [];
  for (const { name, expression } of row.columns) {
    const prefix = 'values (';
    const sql = `${prefix}${expression})`;
    const [statement] = parse(sql) ?? [];
    if (!statement) return undefined;
    const uses = clockUses(sql, statement.type, statement.body);
    if (uses) found.push({ name, at: (now) => `(${uses.at(now).text.slice(prefix.length)}` });
  }
  return found;
}
