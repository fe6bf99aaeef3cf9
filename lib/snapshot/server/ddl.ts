/** Changes of the schema: compared in full only when something moved, and said in words. */
export const ddlSql = /* sql */ `
-- Everything that is schema, one row per object, with what it is made of as sorted lines of text.
create function rewind.present_objects() returns table (kind text, name text, id oid, parts text[])
language sql stable set search_path = pg_catalog as $$
  with spaces as (
    select oid, nspname, nspacl, nspowner from pg_namespace where nspname not in ('rewind', 'information_schema') and nspname !~ '^pg_'
  ), extended as (
    select classid, objid from pg_depend where deptype = 'e'
  ), relations as (
    select c.*, format('%I.%I', s.nspname, c.relname) as name,
      case c.relkind when 'r' then 'table' when 'p' then 'table' when 'v' then 'view' when 'm' then 'materialized view'
        when 'S' then 'sequence' when 'f' then 'foreign table' else 'type' end as word
    from pg_class c join spaces s on s.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'v', 'm', 'S', 'f', 'c') and c.relpersistence <> 't'
      and not exists (select from extended e where e.classid = 'pg_class'::regclass and e.objid = c.oid)
  ), parts as (
    select oid as id, concat_ws(' ', 'owner', relowner::regrole, 'rights', relacl, 'storage', relpersistence, reloptions,
        case when relrowsecurity then 'row security' end, case when relforcerowsecurity then 'forced' end) as part
    from relations
    union all
    select r.oid, concat_ws(' ', 'column', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
        case when a.attnotnull then 'not null' end, 'default ' || pg_get_expr(d.adbin, d.adrelid),
        nullif(concat(a.attidentity, a.attgenerated), ''), a.attacl, case when a.attcollation <> ty.typcollation then a.attcollation::regcollation::text end)
    from relations r join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
    join pg_type ty on ty.oid = a.atttypid
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where r.relkind <> 'S'
    union all
    select r.oid, concat_ws(' ', 'constraint', quote_ident(k.conname), pg_get_constraintdef(k.oid))
    from relations r join pg_constraint k on k.conrelid = r.oid
    union all
    select r.oid, concat_ws(' ', 'index', pg_get_indexdef(i.indexrelid), case when not i.indisvalid then 'invalid' end)
    from relations r join pg_index i on i.indrelid = r.oid
    union all
    select r.oid, concat_ws(' ', 'trigger', t.tgenabled, pg_get_triggerdef(t.oid))
    from relations r join pg_trigger t on t.tgrelid = r.oid and not t.tgisinternal and t.tgfoid not in (select oid from pg_proc where pronamespace = 'rewind'::regnamespace)
    union all
    select r.oid, concat_ws(' ', 'policy', quote_ident(p.polname), p.polcmd, p.polpermissive, p.polroles::text,
        pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
    from relations r join pg_policy p on p.polrelid = r.oid
    union all
    select r.oid, concat_ws(' ', case when w.rulename = '_RETURN' then 'query' else 'rule' end, w.ev_enabled, pg_get_ruledef(w.oid))
    from relations r join pg_rewrite w on w.ev_class = r.oid
    union all
    select r.oid, concat_ws(' ', 'parent', i.inhparent::regclass, pg_get_expr(r.relpartbound, r.oid))
    from relations r join pg_inherits i on i.inhrelid = r.oid
    union all
    select r.oid, concat_ws(' ', 'sequence', format_type(s.seqtypid, null), s.seqstart, s.seqincrement, s.seqmax, s.seqmin, s.seqcache, s.seqcycle)
    from relations r join pg_sequence s on s.seqrelid = r.oid
  )
  select r.word, r.name, r.oid, p.parts
  from relations r join (select id, array_agg(part order by part) as parts from parts group by id) p on p.id = r.oid
  union all
  select 'function', p.oid::regprocedure::text, p.oid,
    array[concat_ws(' ', md5(p.prosrc), md5(p.prosqlbody::text), p.prorettype::regtype, p.provolatile, p.prosecdef, p.proconfig, p.proacl, p.proowner::regrole)]
  from pg_proc p join spaces s on s.oid = p.pronamespace
  where not exists (select from extended e where e.classid = 'pg_proc'::regclass and e.objid = p.oid)
  union all
  select 'type', format('%I.%I', s.nspname, t.typname), t.oid,
    array[concat_ws(' ', t.typtype, t.typnotnull, t.typdefault, t.typbasetype::regtype, t.typowner::regrole)]
    || array(select 'label ' || quote_literal(enumlabel) from pg_enum where enumtypid = t.oid order by enumsortorder)
    || array(select concat_ws(' ', 'constraint', quote_ident(conname), pg_get_constraintdef(oid)) from pg_constraint where contypid = t.oid order by conname)
  from pg_type t join spaces s on s.oid = t.typnamespace
  where t.typtype in ('e', 'd', 'r')
    and not exists (select from extended e where e.classid = 'pg_type'::regclass and e.objid = t.oid)
  union all
  select 'schema', quote_ident(nspname), oid, array[concat_ws(' ', nspowner::regrole, nspacl)] from spaces
  union all
  select 'extension', quote_ident(extname), oid, array[extversion] from pg_extension
$$;

-- Notes the schema as that of a level, where it isn't that of the level below anyway.
create function rewind.note_schema(at_level int) returns void language plpgsql as $$
begin
  perform rewind.note_glance(rewind.ddl_reading());
  delete from rewind.object where level = -1 or level >= at_level;
  insert into rewind.object select -1, o.* from rewind.present_objects() o;
  insert into rewind.object select at_level, kind, name, id, parts from rewind.object where level = -1
    and (at_level = 0 or rewind.schema_difference(rewind.schema_level(at_level), -1) is not null);
end $$;

create function rewind.schema_level(at_level int) returns int language sql stable as $$
  select max(level) from rewind.object where level between 0 and at_level
$$;

create function rewind.schema_difference(from_level int, to_level int) returns text language plpgsql as $$
declare lines text[];
begin
  select array_agg(line order by line) into lines from (
    select case
      when o.id is null then format('%s %s was created', n.kind, n.name)
      when n.id is null then format('%s %s was dropped', o.kind, o.name)
      when n.name <> o.name then format('%s %s is now %s', o.kind, o.name, n.name)
      else format('%s %s was altered (%s)', o.kind, o.name, concat_ws('; ',
        'now: ' || nullif(array_to_string(array(select unnest(n.parts) except select unnest(o.parts)), ', '), ''),
        'before: ' || nullif(array_to_string(array(select unnest(o.parts) except select unnest(n.parts)), ', '), '')))
    end as line
    from (select * from rewind.object where level = from_level) o
    full join (select * from rewind.object where level = to_level) n on n.kind = o.kind and n.id = o.id
    where n.id is null or o.id is null or n.name <> o.name or n.parts <> o.parts
  ) d;
  return array_to_string(lines[1:20], '; ') || case when cardinality(lines) > 20 then format('; and %s more', cardinality(lines) - 20) else '' end;
end $$;

-- Relations whose description or trigger is not what it was. The planner may have any of these functions called first, and
-- for any row, as statistics have it: they have to bear that.
create function rewind.outdated(out relid oid, out gone boolean) returns setof record language sql as $$
  select r.relid, d.relid is null
  from rewind.relation r
  cross join lateral rewind.describe(r.relid, null) d
  where not exists (select from pg_catalog.pg_trigger t where t.tgrelid = r.relid and t.tgname = 'rewind_counter' and t.tgenabled = 'A')
    or (r.journal_root is not null and (select count(*) from pg_catalog.pg_trigger t where t.tgrelid = r.relid and t.tgname ~ '^rewind_journal_' and t.tgenabled = 'A')
      < case r.kind when 'r' then 4 else 3 end)
    or (r.name, r.columns, r.types, r.stored, r.restored, r.key_match, r.truncatable, r.guarded, r.unchecked, r.forced, r.form)
      is distinct from (d.name, d.columns, d.types, d.stored, d.restored, d.key_match, d.truncatable, d.guarded, d.unchecked, d.forced, d.form)
$$;

-- Columns the copy has in the form in which they would be kept now.
create function rewind.still_copied(target oid, copy text) returns text[] language sql stable set search_path = pg_catalog as $$
  select coalesce(array_agg(a.attname::text order by a.attnum), '{}')
  from pg_attribute a join pg_attribute c on c.attrelid = copy::regclass and quote_ident(c.attname) = rewind.copied_as(a.attname) and not c.attisdropped
  where a.attrelid = target and a.attnum > 0 and not a.attisdropped
    and c.atttypid = coalesce(rewind.stored_as(a.atttypid)::regtype, a.atttypid)
$$;

-- Makes room in a copy for columns that are new, so that a checkpoint has them.
create function rewind.widen_copy(target oid) returns void language plpgsql as $$
declare
  r rewind.relation;
  d rewind.relation;
  c record;
begin
  select * into r from rewind.relation where relid = target and altered and copy is not null;
  if not found then return; end if;
  for c in select rewind.copied_as(attname) as name, coalesce(rewind.stored_as(atttypid), format_type(atttypid, atttypmod)) as type
    from pg_catalog.pg_attribute a where attrelid = target and attnum > 0 and not attisdropped and attgenerated = ''
      and not exists (
        select from pg_catalog.pg_attribute x where x.attrelid = r.copy::regclass and quote_ident(x.attname) = rewind.copied_as(a.attname) and not x.attisdropped)
  loop
    execute format('alter table %s add column %s %s', r.copy, c.name, c.type);
  end loop;
  d := rewind.describe(target, rewind.still_copied(target, r.copy));
  update rewind.relation set (columns, types, stored, copied, kept, restored, key_columns, key_copied, key_match, updatable, copied_columns)
    = (d.columns, d.types, d.stored, d.copied, d.kept, d.restored, d.key_columns, d.key_copied, d.key_match, d.updatable, d.copied_columns)
  where relid = target;
  perform rewind.unprepare(target);
end $$;

-- Follows a change of the schema while checkpoints have to be kept. What a relation no longer has can't be brought back;
-- what it has newly is not in the copies. Returns the relations that need a copy, or can't be trusted to be untouched.
create function rewind.adopt_schema(at_level int) returns oid[] language plpgsql as $$
declare
  o record;
  r rewind.relation;
  d rewind.relation;
  copy text;
  suspects oid[] := '{}';
begin
  for o in select * from rewind.outdated() loop
    if o.gone then perform rewind.disarm(o.relid); continue; end if;
    suspects := suspects || o.relid;
    select * into r from rewind.relation where relid = o.relid;
    copy := coalesce(r.copy, (select journal from rewind.relation where relid = r.journal_root));
    d := rewind.describe(o.relid, case when copy is not null then rewind.still_copied(o.relid, copy) end);
    d.altered := copy is not null and (not d.copied_columns @> r.copied_columns
      or d.copied_columns is distinct from (rewind.describe(o.relid, null)).copied_columns);
    update rewind.relation set
      (name, columns, types, stored, copied, kept, restored, key_columns, key_copied, key_match, updatable, truncatable, guarded, unchecked, forced, form, altered)
      = (d.name, d.columns, d.types, d.stored, d.copied, d.kept, d.restored, d.key_columns, d.key_copied, d.key_match, d.updatable, d.truncatable,
        d.guarded, d.unchecked, d.forced, d.form, d.altered)
    where relid = o.relid returning * into r;
    perform rewind.unprepare(o.relid);
    perform rewind.arm_trigger(r);
    if r.journal_root is not null then
      perform rewind.arm_journal(r, (select slot from rewind.relation where relid = r.journal_root));
      perform nextval('rewind.journal_failed'); -- it may not have all of the changes
    end if;
  end loop;
  for o in select w.relid from rewind.watchable w where w.ours and not exists (select from rewind.relation x where x.relid = w.relid) order by w.relid loop
    perform rewind.arm(o.relid);
    suspects := suspects || o.relid;
  end loop;
  return suspects;
end $$;

-- The schema may have moved. Says what is different, unless it is the checkpoint's again, or has been said before.
create function rewind.look_at_schema(target int, out change text, out suspects oid[]) language plpgsql as $$
declare
  new oid;
  reading bigint := rewind.ddl_reading();
begin
  suspects := rewind.adopt_schema(target);
  perform rewind.note_glance(reading);
  delete from rewind.object where level = -2;
  insert into rewind.object select -2, o.* from rewind.present_objects() o;
  if rewind.schema_difference(rewind.schema_level(target), -2) is not null then
    -- On the way down from a checkpoint with another schema, what its hooks did not undo has not been said yet.
    change := rewind.schema_difference(
      case when exists (select from rewind.object where level > target) then rewind.schema_level(target) else -1 end, -2);
  end if;
  delete from rewind.object where level = -1;
  update rewind.object set level = -1 where level = -2;
  perform rewind.forget_lost_sequences();
  -- New tables stay, as the test has left them.
  foreach new in array suspects loop
    if not exists (select from rewind.capture where relid = new) and (select kind = 'r' and journal_root is null from rewind.relation where relid = new) then
      perform rewind.capture(new, target);
    end if;
  end loop;
end $$;

-- What is different since the schema was last looked at, said once. Nothing is locked: the next restore follows it.
create function rewind.look_for_ddl() returns text language plpgsql as $$
declare change text;
begin
  if not rewind.schema_moved() then return null; end if;
  delete from rewind.object where level = -2;
  insert into rewind.object select -2, o.* from rewind.present_objects() o;
  change := rewind.schema_difference(-1, -2);
  delete from rewind.object where level = -1;
  update rewind.object set level = -1 where level = -2;
  if change is not null then update rewind.state set fingerprint = null; end if;
  return change;
end $$;

-- For taking anew: whatever is not what it was is let go, to be armed and copied like a new one.
create function rewind.discard_outdated() returns void language plpgsql as $$
declare o record;
begin
  for o in select * from rewind.outdated() loop
    if exists (select from rewind.relation where relid = o.relid) then perform rewind.disarm(o.relid); end if;
  end loop;
end $$;
`;
