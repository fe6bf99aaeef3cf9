import type { Query } from '../sql';

/** Where a sequence stands. Numbers as text: the app may have replaced pg's parsers for them. */
interface SequenceState {
  readonly id: string;
  readonly last: string;
  readonly called: string;
}

export type Sequences = readonly SequenceState[];

/** Each sequence is read by a query of its own kind: no catalog says where one stands that was never called (before 18). */
const READERS = `
  select string_agg(format('select %s::text as id, last_value::text as last, is_called::text as called from %I.%I',
    c.oid, n.nspname, c.relname), ' union all ') as sql
  from pg_catalog.pg_sequence s join pg_catalog.pg_class c on c.oid = s.seqrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.relpersistence <> 't' and n.nspname not in ('rewind', 'information_schema') and n.nspname !~ '^pg_'
    and has_sequence_privilege(s.seqrelid, 'SELECT') and has_sequence_privilege(s.seqrelid, 'UPDATE')`;

const RESET = `
  select setval(s.seqrelid, noted.last, noted.called)
  from unnest($1::oid[], $2::bigint[], $3::boolean[]) noted (id, last, called)
  join pg_catalog.pg_sequence s on s.seqrelid = noted.id
  where not noted.called or pg_sequence_last_value(s.seqrelid) is distinct from noted.last`;

/** All sequences that our role may set. */
export async function readSequences(query: Query): Promise<Sequences> {
  const [readers] = (await query<{ sql: string | null }>(READERS)).rows;
  return readers?.sql ? (await query<SequenceState>(readers.sql)).rows : [];
}

export async function resetSequences(query: Query, sequences: Sequences): Promise<void> {
  if (sequences.length === 0) return;
  await query(RESET, [sequences.map((s) => s.id), sequences.map((s) => s.last), sequences.map((s) => s.called)]);
}
