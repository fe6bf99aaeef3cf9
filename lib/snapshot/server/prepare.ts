/** The function that brings back one relation, for a session that may set session_replication_role: made when first needed. */
export const prepareSql = /* sql */ `
-- Whether a trigger is of the user's own, rather than ours or of a constraint. Before 15, those that a partition has from its
-- parent are marked as internal, too.
create function rewind.is_users(tgconstraint oid, tgfoid oid) returns boolean language sql stable as $$
  select not exists (select from pg_catalog.pg_constraint where oid = tgconstraint and contype <> 't')
    and not exists (select from pg_catalog.pg_proc where oid = tgfoid and pronamespace = 'rewind'::regnamespace)
$$;

-- Switches off what would fire in our session, and returns the statements that switch it on again.
create function rewind.silence(target oid) returns text[] language plpgsql as $$
declare
  r record;
  replica boolean := current_setting('session_replication_role') = 'replica';
  undo text[] := '{}';
  name text := (select rel.name from rewind.relation rel where relid = target);
begin
  for r in select tgname, tgenabled from pg_catalog.pg_trigger
    where tgrelid = target and rewind.is_users(tgconstraint, tgfoid)
      and case when replica then tgenabled in ('A', 'R') else tgenabled <> 'D' end
  loop
    execute format('alter table only %s disable trigger %I', name, r.tgname);
    undo := undo || format('alter table only %s enable %s trigger %I', name, case r.tgenabled when 'A' then 'always' when 'R' then 'replica' end, r.tgname);
  end loop;
  for r in select rulename, ev_enabled from pg_catalog.pg_rewrite
    where ev_class = target and ev_type <> '1' and case when replica then ev_enabled in ('A', 'R') else ev_enabled <> 'D' end
  loop
    execute format('alter table only %s disable rule %I', name, r.rulename);
    undo := undo || format('alter table only %s enable %s rule %I', name, case r.ev_enabled when 'A' then 'always' when 'R' then 'replica' end, r.rulename);
  end loop;
  if rewind.lacks_identity(target) then
    undo := undo || (select format('alter table only %s replica identity %s', name, case relreplident when 'n' then 'nothing' else 'default' end)
      from pg_catalog.pg_class where oid = target);
    execute format('alter table only %s replica identity full', name);
  end if;
  return undo;
end $$;

-- Rows may violate a constraint that is NOT VALID; such a row can only go back while the constraint is away.
create function rewind.lift_unchecked(target oid) returns text[] language plpgsql as $$
declare
  r record;
  undo text[] := '{}';
  name text := (select rel.name from rewind.relation rel where relid = target);
begin
  for r in select conname, pg_get_constraintdef(oid) as definition from pg_catalog.pg_constraint
    where conrelid = target and not convalidated and (contype <> 'f' or current_setting('session_replication_role') <> 'replica')
  loop
    execute format('alter table %s drop constraint %I', name, r.conname);
    undo := undo || format('alter table %s add constraint %I %s', name, r.conname, r.definition);
  end loop;
  return undo;
end $$;

create function rewind.insert_into(r rewind.relation) returns text language sql immutable as $$
  select format('insert into %s %s select %s', r.name, case when r.columns <> '' then format('(%s) overriding system value', r.columns) end, r.restored)
$$;

-- Without a key, equal rows are counted: those that are too many go, those that are too few come. Two steps of one statement.
create function rewind.by_count(r rewind.relation, at_level text) returns text[] language sql immutable as $$
  select array[
    format('d%1$s as (delete from only %2$s t using (
        select h.place from (select t.ctid as place, row(%3$s)::text collate "C" as image, row_number() over (partition by row(%3$s)::text collate "C") as nth from only %2$s t) h
        left join (select row(%4$s)::text collate "C" as image, count(*) as n from %5$s s where s.rewind_level = %6$s group by 1) w using (image)
        where h.nth > coalesce(w.n, 0)
      ) extra where t.ctid = extra.place returning 1)',
      r.slot, r.name, r.stored, r.kept, r.copy, at_level),
    format('i%1$s as (%7$s
      from (select s.*, row(%4$s)::text collate "C" as rewind_image, row_number() over (partition by row(%4$s)::text collate "C") as rewind_nth from %5$s s where s.rewind_level = %6$s) s
      left join (select row(%3$s)::text collate "C" as image, count(*) as n from only %2$s t group by 1) h on h.image = s.rewind_image
      where s.rewind_nth > coalesce(h.n, 0) and (select count(*) from d%1$s) >= 0 returning 1)',
      r.slot, r.name, r.stored, r.kept, r.copy, at_level, rewind.insert_into(r))]
$$;

-- One function per relation, made when it is first needed: its plans stay cached on our connection.
--
-- Why it is exact: under the lock, a row version older than "fresh_from" is by MVCC an untouched row of the checkpoint
-- (row locks, VACUUM, FREEZE and VACUUM FULL leave xmin alone), and so is one that we wrote ourselves. Others only look new
-- at times, e.g. for a transaction that was already running when they were seeded: they are compared with the copy, byte by
-- byte, and go if they differ. What is missing then comes from the copy.
create function rewind.prepare_copied(r rewind.relation) returns void language plpgsql as $$
declare
  bypasses boolean := (select rolsuper or rolbypassrls from pg_catalog.pg_roles where rolname = current_user);
  lifts boolean;
  work text;
begin
  lifts := r.forced and not bypasses;
  if r.copy is null then
    work := format('delete from only %s; get diagnostics removed = row_count;', r.name);
  elsif r.key_match is null then
    work := format('with %s select (select count(*) from d%s), (select count(*) from i%2$s) into removed, added;',
      array_to_string(rewind.by_count(r, 'at_level'), ', '), r.slot);
  else
    work := format($p$
      if strangers is not null then
        with gone as (
          delete from only %1$s t using unnest(strangers) u (place) where t.ctid = u.place
            and not exists (select from %2$s s where s.rewind_level = at_level and %3$s and %4$s) returning t.*
        ), back as (
          %5$s from %2$s s where s.rewind_level = at_level and (select count(*) from gone) >= 0
            and exists (select from gone t where %3$s) returning 1
        )
        select (select count(*) from gone), (select count(*) from back) into removed, added;
      end if;
      if n - removed + added <> expected then
        %5$s from %2$s s where s.rewind_level = at_level and not exists (select from only %1$s t where %3$s);
        get diagnostics n = row_count;
        added := added + n;
      end if; $p$,
      r.name, r.copy, r.key_match,
      case when r.altered then 'false' else format('row(%s)::record *= row(%s)::record', r.stored, r.kept) end,
      rewind.insert_into(r));
  end if;
  -- Where no row of the checkpoint is missing, all others are too many. A few are found without a join.
  work := format($p$
    if n - coalesce(cardinality(strangers), 0) <> expected then %2$s
    elsif n - expected <= 100 then
      delete from only %1$s t where t.ctid = any (strangers);
      removed := n - expected;
    else
      delete from only %1$s t using unnest(strangers) u (place) where t.ctid = u.place;
      removed := n - expected;
    end if; $p$, r.name, work);
  -- TRUNCATE costs files, DELETE costs rows: only for many rows in a table that was empty, and that nothing references.
  if r.truncatable and not r.guarded and not lifts then
    work := format('if expected = 0 and n > 10000 then truncate only %s; removed := n; else %s end if;', r.name, work);
  end if;
  if r.unchecked then
    work := format('undo_checks := rewind.lift_unchecked(%s); %s perform rewind.run(undo_checks);', r.relid, work);
  end if;
  if r.guarded then work := format('undo := undo || rewind.silence(%s); %s', r.relid, work); end if;
  execute format('create or replace function rewind.bring_back_%s(fresh_from xid, own xid[], at_level int) returns jsonb language plpgsql as %L', r.slot, format($b$
    #variable_conflict use_variable
    declare
      expected bigint := %5$L;
      removed bigint := 0;
      added bigint := 0;
      n bigint;
      strangers tid[];
      undo text[] := '{}';
      undo_checks text[];
    begin
      if at_level > 0 or expected is null then
        select c.level, c.rows into at_level, expected from rewind.capture c where c.relid = %6$s and c.level <= at_level order by c.level desc limit 1;
        if not found then return null; end if;
      end if;
      lock table only %1$s in share row exclusive mode;
      %2$s
      select count(*), array_agg(t.ctid) filter (where age(t.xmin) <= age(fresh_from) and t.xmin <> all (own)) into n, strangers from only %1$s t;
      if strangers is not null or n <> expected then
        %3$s
      end if;
      %4$s
      return rewind.done(%7$L, removed, added);
      %8$s
    end $b$,
    r.name,
    case when lifts then format('undo := rewind.lift_row_security(array[%s]);', r.relid) end,
    work,
    case when r.guarded or lifts then 'perform rewind.run(undo);' end,
    (select rows from rewind.capture where relid = r.relid and level = 0), r.relid, r.name,
    -- What no longer fits is left as it is: the test that altered the table has been told.
    case when r.altered then 'exception when data_exception or integrity_constraint_violation or syntax_error_or_access_rule_violation then return null;' end));
end $$;

create function rewind.prepare(slots int[]) returns void language plpgsql as $$
declare
  r rewind.relation;
  unlisted int[];
begin
  for r in update rewind.relation set prepared = true where slot = any (slots) and not prepared returning * loop
    if r.journal is null then perform rewind.prepare_copied(r);
    else perform rewind.prepare_journalled(r);
    end if;
    if not r.listed then unlisted := unlisted || r.slot; end if;
  end loop;
  if unlisted is null then return; end if;
  update rewind.relation set listed = true where slot = any (unlisted);
  perform rewind.list_calls(array(select distinct group_slot from rewind.relation where slot = any (unlisted)));
end $$;

-- What is generated for a relation depends on its description, and on how many rows the baseline has.
create function rewind.unprepare(target oid) returns void language plpgsql as $$
declare n int;
begin
  update rewind.relation set prepared = false where relid = target and prepared returning slot into n;
  if not found then return; end if;
  execute format('create or replace function rewind.bring_back_%s(fresh_from xid, own xid[], at_level int) returns jsonb language plpgsql as $b$
    begin
      return rewind.bring_back_unprepared(%1$s, fresh_from, own, at_level);
    end $b$', n);
end $$;

create function rewind.bring_back_unprepared(slot int, fresh_from xid, own xid[], at_level int) returns jsonb language plpgsql as $$
declare done jsonb;
begin
  perform rewind.prepare(array[slot]);
  execute format('select rewind.bring_back_%s($1, $2, $3)', slot) into done using fresh_from, own, at_level;
  return done;
end $$;

-- Calls the function of a relation, by way of one per group of relations: EXECUTE would parse and plan the call each time.
create function rewind.bring_back_one(slot int, fresh_from xid, own xid[], at_level int) returns jsonb language plpgsql as $$
begin
  return rewind.bring_back_unprepared(slot, fresh_from, own, at_level);
end $$;

create function rewind.list_calls(groups int[]) returns void language plpgsql as $$
declare
  caller text := 'create or replace function rewind.%s(slot int, fresh_from xid, own xid[], at_level int) returns jsonb language plpgsql as $b$
    begin
      case %s
%s
      else return rewind.bring_back_unprepared(slot, fresh_from, own, at_level);
      end case;
    end $b$';
  branch text := 'when %s then return rewind.bring_back_%s(%sfresh_from, own, at_level);';
  g int;
begin
  foreach g in array groups loop
    execute format(caller, 'bring_back_in_group_' || g, 'slot', (
      select string_agg(format(branch, slot, slot, ''), E'\n' order by slot) from rewind.relation where listed and group_slot = g));
  end loop;
  execute format(caller, 'bring_back_one', 'slot / 32', (
    select string_agg(format(branch, group_slot, 'in_group_' || group_slot, 'slot, '), E'\n' order by group_slot)
    from (select distinct group_slot from rewind.relation where listed) g));
end $$;

create function rewind.done(name text, removed bigint, added bigint) returns jsonb language sql as $$
  select case when removed > 0 or added > 0 then jsonb_build_object('name', name, 'removed', removed, 'added', added) end
$$;
`;
