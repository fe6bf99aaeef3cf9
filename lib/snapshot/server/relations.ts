/** Every table there is to watch. Members of extensions are the extension's business. */
export const WATCHABLE = /* sql */ `
select c.oid as relid, c.relkind as kind, format('%I.%I', n.nspname, c.relname) as name, pg_has_role(c.relowner, 'USAGE') as ours
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and c.relpersistence <> 't'
  and n.nspname not in ('rewind', 'information_schema') and n.nspname !~ '^pg_'
  and not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')`;

/** What is watched, how it is described, armed with a counter, and copied. */
export const relationsSql = (unlogged: string): string => /* sql */ `
-- The type a column is kept as, null for its own. A copy must not depend on a type of the app's: a migration could no
-- longer drop the type, or add a constraint to a domain. Text goes out and in as in a dump.
create function rewind.stored_as(type oid) returns text language sql stable as $$
  with recursive base as (
    select t.oid, t.typtype, t.typbasetype, t.typnamespace from pg_catalog.pg_type t where t.oid = type
    union all
    select t.oid, t.typtype, t.typbasetype, t.typnamespace
    from base b join pg_catalog.pg_type t on t.oid = b.typbasetype where b.typtype = 'd'
  )
  select case
    when typnamespace <> 'pg_catalog'::regnamespace then 'text'
    when oid <> type then format_type(oid, -1)
  end from base where typtype <> 'd'
$$;

create view rewind.watchable as ${WATCHABLE};

-- The name of a column in copies and journals, which have columns of our own: those begin with "rewind_", and none of the app's does.
create function rewind.copied_as(column_name name) returns text language sql immutable set search_path = pg_catalog as $$
  select quote_ident(case when column_name ~ '^rewind_' then 'rewind__' || md5(column_name) else column_name end)
$$;

-- Columns that can be inserted: neither dropped nor generated. Of these, the given ones (null: all).
create function rewind.columns_of(target oid, among text[],
  out columns text, out types text, out stored text, out copied text, out kept text, out restored text, out updatable text, out names text[])
language sql stable set search_path = pg_catalog as $$
  select
    coalesce(string_agg(col, ', ' order by attnum), ''),
    coalesce(string_agg(format_type(atttypid, atttypmod), ', ' order by attnum), ''),
    coalesce(string_agg(format('t.%s%s', col, '::' || kept_as), ', ' order by attnum), ''),
    coalesce(string_agg(copy_col, ', ' order by attnum), ''),
    coalesce(string_agg('s.' || copy_col, ', ' order by attnum), ''),
    coalesce(string_agg(format('s.%s%s', copy_col, back), ', ' order by attnum), ''),
    string_agg(format('%s = s.%s%s', col, copy_col, back), ', ' order by attnum) filter (where attidentity <> 'a'),
    coalesce(array_agg(attname::text order by attnum), '{}')
  from (
    select *, quote_ident(attname) as col, rewind.copied_as(attname) as copy_col,
      case when kept_as is not null then '::' || format_type(atttypid, atttypmod) end as back
    from (
      select a.*, case when ty.typnamespace <> 'pg_catalog'::regnamespace then rewind.stored_as(a.atttypid) end as kept_as
      from pg_attribute a join pg_type ty on ty.oid = a.atttypid
      where a.attrelid = target and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' and (among is null or a.attname = any (among))
    ) a
  ) a
$$;

-- What tells rows apart: the primary key, else a unique index that is immediate, whole, over columns, none nullable.
create function rewind.key_of(target oid, among text[], out columns text[], out copied text, out match text) language sql stable set search_path = pg_catalog as $$
  select array_agg(quote_ident(a.attname) order by a.attnum),
    string_agg(rewind.copied_as(a.attname), ', ' order by a.attnum),
    string_agg(format('s.%s = t.%I%s', rewind.copied_as(a.attname), a.attname, '::' || kept_as), ' and ' order by a.attnum)
  from (
    select (i.indkey::int2[])[0:i.indnkeyatts - 1] as keys from pg_index i
    where i.indrelid = target and i.indisunique and i.indimmediate and i.indisvalid and i.indpred is null and i.indexprs is null
      and not exists (
        select from pg_attribute a where a.attrelid = target and a.attnum = any ((i.indkey::int2[])[0:i.indnkeyatts - 1])
          and (not a.attnotnull or a.attname <> all (among)
            or exists (select from pg_constraint k where k.conrelid = target and k.contype = 'n' and not k.convalidated and a.attnum = any (k.conkey))))
    order by i.indisprimary desc, i.indnkeyatts, i.indexrelid limit 1
  ) i
  cross join lateral (
    select a.*, case when ty.typnamespace <> 'pg_catalog'::regnamespace then rewind.stored_as(a.atttypid) end as kept_as
    from pg_attribute a join pg_type ty on ty.oid = a.atttypid where a.attrelid = target and a.attnum = any (i.keys)
  ) a
$$;

-- Whether a publication, of which this may be a table, forbids to delete and update its rows (manual, CREATE PUBLICATION).
create function rewind.lacks_identity(target oid) returns boolean language sql stable set search_path = pg_catalog as $$
  select exists (select from pg_publication where pubdelete or pubupdate) and case relreplident
    when 'd' then not exists (select from pg_index where indrelid = target and indisprimary and indimmediate) else relreplident = 'n' end
  from pg_class where oid = target
$$;

-- A relation as it is now, of which the given columns are copied (null: all). Null of one that is gone.
create function rewind.describe(target oid, among text[]) returns rewind.relation language plpgsql set search_path = pg_catalog as $$
declare r rewind.relation;
begin
  select relid, kind, name into r.relid, r.kind, r.name from rewind.watchable where relid = target;
  if not found then return null; end if;
  select c.columns, c.types, c.stored, c.copied, c.kept, c.restored, c.updatable, c.names
  into r.columns, r.types, r.stored, r.copied, r.kept, r.restored, r.updatable, r.copied_columns
  from rewind.columns_of(target, among) c;
  select k.columns, k.copied, k.match into r.key_columns, r.key_copied, r.key_match from rewind.key_of(target, r.copied_columns) k;
  r.truncatable := not exists (select from pg_constraint where contype = 'f' and confrelid = target and conrelid <> target);
  r.guarded := exists (select from pg_trigger where tgrelid = target and rewind.is_users(tgconstraint, tgfoid) and tgenabled in ('A', 'R'))
    or exists (select from pg_rewrite where ev_class = target and ev_type <> '1' and ev_enabled in ('A', 'R'))
    or rewind.lacks_identity(target);
  r.unchecked := exists (select from pg_constraint where conrelid = target and not convalidated);
  select relforcerowsecurity, concat_ws(' ', pg_relation_filenode(target), (select string_agg(attnum::text, ' ' order by attnum)
    from pg_attribute where attrelid = target and attnum > 0 and not attisdropped)) into r.forced, r.form from pg_class where oid = target;
  r.prepared := false;
  r.listed := false;
  r.altered := false;
  return r;
end $$;

create function rewind.note_members(in_group int) returns void language plpgsql as $$
begin
  update rewind.counter_group g set (relids, counters, restorers, members_seen) = (
    select coalesce(array_agg(r.relid order by r.slot), '{}'), array_agg(r.counter order by r.slot), array_agg(r.restorer order by r.slot),
      array_agg((select seen from unnest(g.relids, g.members_seen) u (relid, seen) where u.relid = r.relid) order by r.slot)
    from rewind.relation r where r.group_slot = g.slot)
  where g.slot = in_group;
end $$;

-- The counting trigger. It fires in any session (ALWAYS: also under session_replication_role = replica), takes no lock
-- that two writers could meet in, and its bump is seen at once and survives a rollback. PostgreSQL reads the condition anew
-- for each statement, which takes as long as it is long: the function, it keeps.
create function rewind.arm_trigger(r rewind.relation) returns void language plpgsql as $$
begin
  execute format(
    'create or replace trigger rewind_counter before insert or update or delete or truncate on %s for each statement
       when (rewind.count_write(%L, %L)) execute function rewind.never()',
    r.name, 'rewind.touched_' || r.slot, 'rewind.touched_group_' || r.group_slot);
  execute format('alter table only %s enable always trigger rewind_counter', r.name);
end $$;

create function rewind.arm(target oid) returns void language plpgsql as $$
declare
  r rewind.relation := rewind.describe(target, null);
  theirs name := (
    select tgname from pg_catalog.pg_trigger where tgrelid = target and rewind.is_users(tgconstraint, tgfoid)
      and tgname in ('rewind_counter', 'rewind_journal_insert', 'rewind_journal_update', 'rewind_journal_delete', 'rewind_journal_truncate') limit 1);
begin
  if theirs is not null then raise duplicate_object using message = format('trigger %s of %s is named like one of ours', theirs, r.name); end if;
  r.slot := nextval('rewind.slot');
  r.group_slot := r.slot / 32;
  r.restorer := case r.kind when 'r' then r.slot end;
  if not exists (select from rewind.counter_group where slot = r.group_slot) then
    execute format('create ${unlogged} sequence rewind.touched_group_%s', r.group_slot);
    insert into rewind.counter_group values (r.group_slot, ('rewind.touched_group_' || r.group_slot)::regclass, null);
  end if;
  execute format('create ${unlogged} sequence rewind.touched_%s', r.slot);
  r.counter := ('rewind.touched_' || r.slot)::regclass;
  insert into rewind.relation select r.*;
  perform rewind.note_members(r.group_slot);
  perform rewind.arm_trigger(r);
end $$;

-- Lets go of a relation that is gone, or has to be looked at anew.
create function rewind.disarm(target oid) returns void language plpgsql as $$
declare r rewind.relation;
begin
  select * into strict r from rewind.relation where relid = target;
  if r.journal_root is not null then perform rewind.stop_journal(target); end if;
  if exists (select from pg_catalog.pg_class where oid = target) then
    execute format('drop trigger if exists rewind_counter on %s', target::regclass);
  end if;
  if r.copy is not null then execute format('drop table %s', r.copy); end if;
  execute format('drop function if exists rewind.bring_back_%s', r.slot);
  execute format('drop sequence rewind.touched_%s', r.slot);
  delete from rewind.capture where relid = target;
  delete from rewind.journal_baseline where relid = target;
  delete from rewind.relation where relid = target;
  perform rewind.note_members(r.group_slot);
end $$;

-- Row security that binds the owner too would hide rows from us (row_security = off makes that an error, not a silence).
create function rewind.lift_row_security(targets oid[]) returns text[] language plpgsql as $$
declare
  r record;
  undo text[] := '{}';
begin
  if (select rolsuper or rolbypassrls from pg_catalog.pg_roles where rolname = current_user) then return undo; end if;
  for r in select name from rewind.relation where relid = any (targets) and forced order by relid loop
    execute format('alter table only %s no force row level security', r.name);
    undo := undo || format('alter table only %s force row level security', r.name);
  end loop;
  return undo;
end $$;

create function rewind.run(statements text[]) returns void language plpgsql as $$
declare s text;
begin
  foreach s in array statements loop execute s; end loop;
  -- What we change and change back must not look like a change of the schema where that is told by row versions.
  if statements <> '{}' and not rewind.sees_ddl() then perform rewind.note_glance(null); end if;
end $$;

-- Copies what the relation holds now as its contents at a level. The lock waits for writers that are under way.
create function rewind.capture(target oid, at_level int) returns bigint language plpgsql as $$
declare
  r rewind.relation;
  undo text[];
  n bigint;
begin
  select * into strict r from rewind.relation where relid = target;
  execute format('lock table only %s in share mode', r.name);
  undo := rewind.lift_row_security(array[target]);
  if r.copy is null then
    execute format('select count(*) from (select from only %s limit 1) t', r.name) into n;
    if n > 0 then
      r.copy := 'rewind.copy_' || r.slot;
      execute format('create table %s (rewind_level %s) as select null::int %s from only %s t limit 0',
        r.copy, ', ' || nullif(r.copied, ''), ', ' || nullif(r.stored, ''), r.name);
      perform rewind.guard(r.copy::regclass);
      execute format('alter table %s replica identity full', r.copy); -- or a publication FOR ALL TABLES forbids deleting
      if r.key_copied is not null then execute format('create index on %s (%s, rewind_level)', r.copy, r.key_copied); end if;
      update rewind.relation set copy = r.copy where relid = target;
      perform rewind.unprepare(target);
    end if;
  end if;
  if r.copy is not null then
    execute format('delete from %s where rewind_level = $1', r.copy) using at_level;
    execute format('insert into %s (rewind_level %s) select $1 %s from only %s t', r.copy, ', ' || nullif(r.copied, ''), ', ' || nullif(r.stored, ''), r.name) using at_level;
    get diagnostics n = row_count;
    -- Or missing rows would be looked for one by one, for want of knowing how many there are.
    if n > 1000 then execute format('analyze %s (rewind_level)', r.copy); end if;
  end if;
  perform rewind.run(undo);
  insert into rewind.capture values (at_level, target, n) on conflict (relid, level) do update set rows = excluded.rows;
  if at_level = 0 then perform rewind.unprepare(target); end if;
  return n;
end $$;
`;
