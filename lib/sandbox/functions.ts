// Built-in functions that can't write (PostgreSQL 18 manual, chapter 9). A function that is missing here costs its caller
// a savepoint, nothing else; one that is here wrongly could lose a write. nextval and setval count as pure: what they do
// is not undone by a rollback in production either.
import type { Node } from './parser';
import { inner, list, walk } from './tree';

const PURE = new Set(
  `
  count sum avg min max every bool_and bool_or bit_and bit_or array_agg string_agg json_agg jsonb_agg json_object_agg
  jsonb_object_agg range_agg any_value percentile_cont percentile_disc mode stddev stddev_pop stddev_samp variance var_pop
  var_samp corr covar_pop covar_samp row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value
  nth_value grouping
  abs ceil ceiling floor round trunc sign sqrt cbrt power exp ln log mod div gcd lcm pi degrees radians sin cos tan asin
  acos atan atan2 random setseed width_bucket numeric int4 int8 float8
  length char_length character_length octet_length bit_length lower upper initcap trim btrim ltrim rtrim lpad rpad left
  right repeat replace reverse translate substr substring overlay position strpos split_part string_to_array
  string_to_table array_to_string concat concat_ws format quote_ident quote_literal quote_nullable ascii chr md5 sha224
  sha256 sha384 sha512 encode decode to_hex starts_with regexp_match regexp_matches regexp_replace regexp_split_to_array
  regexp_split_to_table regexp_count regexp_instr regexp_like regexp_substr unistr normalize convert_from convert_to
  now transaction_timestamp statement_timestamp clock_timestamp timeofday age date date_part date_trunc date_bin extract
  make_date make_time make_timestamp make_timestamptz make_interval justify_days justify_hours justify_interval to_char
  to_date to_timestamp to_number timezone isfinite timestamp timestamptz pg_sleep pg_sleep_for pg_sleep_until
  json_build_object jsonb_build_object json_build_array jsonb_build_array json_object jsonb_object to_json to_jsonb
  row_to_json array_to_json json_array_length jsonb_array_length json_each jsonb_each json_each_text jsonb_each_text
  json_array_elements jsonb_array_elements json_array_elements_text jsonb_array_elements_text json_object_keys
  jsonb_object_keys json_extract_path jsonb_extract_path json_extract_path_text jsonb_extract_path_text json_typeof
  jsonb_typeof json_strip_nulls jsonb_strip_nulls jsonb_set jsonb_insert jsonb_pretty jsonb_path_query
  jsonb_path_query_array jsonb_path_query_first jsonb_path_exists jsonb_path_match json_populate_record
  jsonb_populate_record json_populate_recordset jsonb_populate_recordset json_to_record jsonb_to_record
  json_to_recordset jsonb_to_recordset
  unnest array_length array_ndims array_upper array_lower array_position array_positions array_append array_prepend
  array_cat array_remove array_replace array_fill array_dims cardinality trim_array generate_series generate_subscripts
  coalesce nullif greatest least num_nulls num_nonnulls
  to_tsvector to_tsquery plainto_tsquery phraseto_tsquery websearch_to_tsquery ts_rank ts_rank_cd ts_headline setweight
  gen_random_uuid uuidv4 uuidv7 uuid_generate_v4 similarity word_similarity
  currval lastval nextval setval pg_get_serial_sequence
  version current_setting current_database current_schema current_schemas current_catalog pg_backend_pid
  inet_client_addr inet_server_addr inet_server_port pg_my_temp_schema pg_is_in_recovery pg_typeof format_type
  pg_table_is_visible pg_get_constraintdef pg_get_indexdef pg_get_viewdef pg_get_expr pg_get_functiondef pg_get_triggerdef
  pg_get_userbyid to_regclass to_regtype to_regproc to_regnamespace obj_description col_description shobj_description
  has_table_privilege has_schema_privilege has_database_privilege pg_relation_size pg_table_size pg_total_relation_size
  pg_indexes_size pg_database_size pg_size_pretty pg_column_size pg_blocking_pids txid_current_if_assigned
  pg_current_xact_id_if_assigned pg_postmaster_start_time pg_conf_load_time
  `
    .trim()
    .split(/\s+/),
);

function isPureFunction(name: string): boolean {
  return PURE.has(name);
}

/** Whether a query can't change anything: no INTO, no data-modifying WITH, no row locks, only functions known as pure. */
export function readsOnly(query: unknown): boolean {
  let reads = true;
  walk(query, (type, node) => {
    if (type === 'FuncCall' && !isPureFunction(functionName(node))) reads = false;
    if (type === 'LockingClause' || (type.endsWith('Stmt') && type !== 'SelectStmt')) reads = false;
    if (type === 'SelectStmt' && (node.intoClause !== undefined || node.lockingClause !== undefined)) reads = false;
  });
  return reads;
}

/** What a statement locks without waiting for who has it: it gets an error, or goes without. */
export interface Tries {
  readonly otherwise: 'error' | 'skip';
  /** The tables that it names. */
  readonly tables: readonly string[];
  /** It does nothing else than to lock what it finds. */
  readonly onlyLocks: boolean;
}

export function triesIn(body: Node): Tries | undefined {
  let otherwise: Tries['otherwise'] | undefined = body.nowait === true ? 'error' : undefined;
  const tables: string[] = [];
  walk(body, (type, node) => {
    if (type === 'RangeVar') tables.push(String(node.relname));
    if (type !== 'LockingClause') return;
    if (node.waitPolicy === 'LockWaitError') otherwise = 'error';
    if (node.waitPolicy === 'LockWaitSkip') otherwise ??= 'skip';
  });
  // LOCK TABLE has its tables without the key that tells their type
  for (const one of list(body.relations))
    if (inner(one, 'RangeVar') === undefined) tables.push(String((one as Node).relname));
  const onlyLocks =
    body.lockingClause !== undefined && readsOnly({ SelectStmt: { ...body, lockingClause: undefined } });
  return otherwise && { otherwise, tables, onlyLocks };
}

/** Whether it calls a function that isn't known to be a built-in one. */
export function callsUnknown(body: Node): boolean {
  let calls = false;
  walk(body, (type, node) => (calls ||= type === 'FuncCall' && !isPureFunction(functionName(node))));
  return calls;
}

export function functionName(call: Node): string {
  const name = inner(list(call.funcname).at(-1), 'String')?.sval;
  return typeof name === 'string' ? name.toLowerCase() : '';
}
