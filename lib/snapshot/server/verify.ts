/** Proof that the database equals its checkpoint, and what people may want to read. */
export const verifySql = /* sql */ `
-- Of a copied table: rows that are there and should not be, and the other way round, by contents.
create function rewind.difference(r rewind.relation, at_level int, out extra bigint, out missing bigint) language plpgsql as $$
declare
  undo text[];
  c record;
begin
  select level, rows into c from rewind.capture where relid = r.relid and level <= at_level order by level desc limit 1;
  if not found then return; end if;
  undo := rewind.lift_row_security(array[r.relid]);
  if r.columns = '' or r.copy is null then
    execute format('select greatest(n - $1, 0), greatest($1 - n, 0) from (select count(*) as n from only %s) x', r.name) into extra, missing using c.rows;
  else
    execute format($q$
      select coalesce(sum(n) filter (where n > 0), 0), coalesce(-sum(n) filter (where n < 0), 0)
      from (
        select sum(weight) as n from (
          select hashtextextended(row(%s)::text, 0) as h, 1 as weight from only %s t
          union all
          select hashtextextended(row(%s)::text, 0), -1 from %s s where rewind_level = $1
        ) u group by h having sum(weight) <> 0
      ) d $q$, r.stored, r.name, r.kept, r.copy) into extra, missing using c.level;
  end if;
  perform rewind.run(undo);
end $$;

create function rewind.verify() returns table (name text, extra bigint, missing bigint) language plpgsql as $$
#variable_conflict use_column
declare
  r rewind.relation;
  at_level int := (select level from rewind.state);
  more bigint;
  less bigint;
begin
  for r in select * from rewind.relation where kind = 'r' and journal_root is null order by name loop
    select d.extra, d.missing into more, less from rewind.difference(r, at_level) d;
    if more > 0 or less > 0 then
      name := r.name; extra := more; missing := less;
      return next;
    end if;
  end loop;
  -- Of a journalled table only the baseline's number and hash are known.
  if at_level = 0 then
    return query
      select j.name, greatest(present - wanted, 0) + (present = wanted)::int, greatest(wanted - present, 0) + (present = wanted)::int
      from rewind.journal_difference j;
  end if;
  return query select 'sequence ' || s.name, 1::bigint, 1::bigint from rewind.moved_sequence join rewind.sequence_now s using (seqid);
  return query select 'large object ' || d.loid, (d.present is not null)::int::bigint, (d.wanted is not null)::int::bigint from rewind.large_object_differences(at_level) d;
  return query select 'materialized view ' || m.name, 1::bigint, 1::bigint from rewind.matview_differences(at_level, null) m order by m.name;
end $$;

-- What can't be brought back, by name, in sentences.
create function rewind.limits(journal_above bigint) returns setof text language sql stable set search_path = pg_catalog as $$
  with spaces as (
    select oid, nspname from pg_namespace where nspname not in ('rewind', 'information_schema') and nspname !~ '^pg_'
  ), extended as (
    select extname, d.objid as relid from pg_depend d
    join pg_extension x on d.refclassid = 'pg_extension'::regclass and d.refobjid = x.oid and d.deptype = 'e'
    join pg_class c on d.classid = 'pg_class'::regclass and d.objid = c.oid and c.relkind in ('r', 'p', 'S', 'm')
  )
  select format('not restored: %s (owned by another role)', string_agg(name, ', ' order by name)) from (
    select name from rewind.watchable where not ours
    union all
    select format('%I.%I', nspname, relname) from spaces s join pg_class c on c.relnamespace = s.oid
    where relkind in ('S', 'm') and relpersistence <> 't' and not pg_has_role(relowner, 'USAGE') and c.oid not in (select relid from extended)
    union all
    select format('large object %s', oid) from pg_largeobject_metadata where not pg_has_role(lomowner, 'USAGE')
  ) others having count(*) > 0
  union all
  select format('not restored: %s (members of extensions)', string_agg(
    format('%s of %I', case when n > 3 then n || ' tables, sequences and views' else names end, extname), ', ' order by extname))
  from (select extname, count(*) as n, string_agg(relid::regclass::text, ', ' order by relid::regclass::text) as names from extended group by extname) e
  having count(*) > 0
  union all
  select format('not restored: %s (foreign tables)', string_agg(oid::regclass::text, ', ' order by oid::regclass::text))
  from pg_class where relkind = 'f' and relnamespace in (select oid from spaces) having count(*) > 0
  union all
  select format('not restored in sessions that hold values in their cache: %s (sequences with CACHE above 1)', string_agg(name, ', ' order by name))
  from rewind.sequence_now join pg_sequence on seqrelid = seqid where seqcache > 1 having count(*) > 0
  union all
  select format('neither noticed nor restored: what comes by subscription (%s), which fires no statement triggers', string_agg(quote_ident(subname), ', ' order by subname))
  from pg_subscription where subdbid = (select oid from pg_database where datname = current_database()) having count(*) > 0
  union all
  select format('given to our own role, without grants, where a test has removed them and a restore brings them back: %s large objects', count(*))
  from pg_largeobject_metadata where lomacl is not null or lomowner <> current_user::regrole having count(*) > 0
  union all
  select format('copied as a whole, and read as a whole after each test that has written to it, for no journal would be exact: %s',
    string_agg(format('%s (%s rows; %s)', name, rows, obstacle), ', ' order by name))
  from rewind.large_copies(journal_above) having count(*) > 0
  union all
  select 'while tests roll back, a large object whose bytes are changed from outside is noticed before the next committing test, or at the end'
  where exists (select from rewind.large_object where data is not null)
$$;

-- What a restore would run for the tables touched now.
create function rewind.plan() returns text language plpgsql as $$
declare
  r rewind.relation;
  parts text[] := '{}';
begin
  for r in select * from rewind.relation where relid = any ((select rewind.holding_rows(rewind.moved()))::oid[]) order by name loop
    if r.journal_root is not null then
      select * into r from rewind.relation where relid = r.journal_root;
      parts := parts || format(E'-- %s: undo its journal\\n%s', r.name, rewind.first_images(r, '$1'));
    elsif current_setting('session_replication_role') = 'replica' then
      perform rewind.prepare(array[r.slot]);
      parts := parts || format(E'-- %s\\n%s', r.name, (select prosrc from pg_catalog.pg_proc where oid = ('rewind.bring_back_' || r.slot)::regproc));
    else
      parts := parts || format(E'-- %s, in one statement with the others\\n%s', r.name,
        array_to_string(rewind.in_place(r.relid, 'only ' || r.name, 'select * from ' || r.copy, 'age(t.xmin) <= age(fresh_from)'), E',\\n'));
    end if;
  end loop;
  return array_to_string(parts, E'\\n\\n');
end $$;
`;
