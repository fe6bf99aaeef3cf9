/** Restoring, for a session that may set session_replication_role: no trigger, rule or foreign key is in the way. */
export const restoreSql = /* sql */ `
-- Switches off what would fire in our session, and returns the statements that switch it on again.
create function rewind.silence(target oid) returns text[] language plpgsql as $$
declare
  r record;
  replica boolean := current_setting('session_replication_role') = 'replica';
  undo text[] := '{}';
  name text := (select rel.name from rewind.relation rel where relid = target);
begin
  for r in select tgname, tgenabled from pg_catalog.pg_trigger
    where tgrelid = target and not tgisinternal and tgparentid = 0 and tgname !~ '^rewind_'
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

-- A row of the copy, to be compared with r.stored: equal texts, and equal record images, are equal contents.
create function rewind.kept(r rewind.relation) returns text language sql immutable as $$
  select coalesce(string_agg(format('s.%I', c), ', ' order by n), '') from unnest(r.copied_columns) with ordinality u (c, n)
  where strpos(', ' || r.columns || ', ', ', ' || quote_ident(c) || ', ') > 0
$$;

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
      r.slot, r.name, r.stored, rewind.kept(r), r.copy, at_level),
    format('i%1$s as (%7$s
      from (select s.*, row(%4$s)::text collate "C" as rewind_image, row_number() over (partition by row(%4$s)::text collate "C") as rewind_nth from %5$s s where s.rewind_level = %6$s) s
      left join (select row(%3$s)::text collate "C" as image, count(*) as n from only %2$s t group by 1) h on h.image = s.rewind_image
      where s.rewind_nth > coalesce(h.n, 0) and (select count(*) from d%1$s) >= 0 returning 1)',
      r.slot, r.name, r.stored, rewind.kept(r), r.copy, at_level, rewind.insert_into(r))]
$$;

-- One function per relation, made when it is first needed: its plans stay cached on our connection.
--
-- Why it is exact: under the lock, a row version older than "fresh_from" is by MVCC an untouched row of the checkpoint
-- (row locks, VACUUM, FREEZE and VACUUM FULL leave xmin alone), and so is one that we wrote ourselves. Others only look new
-- at times, e.g. for a transaction that was already running when they were seeded: they are compared with the copy, byte by
-- byte, and go if they differ. What is missing then comes from the copy.
create function rewind.prepare(target oid) returns void language plpgsql as $$
declare
  r rewind.relation;
  bypasses boolean := (select rolsuper or rolbypassrls from pg_catalog.pg_roles where rolname = current_user);
  lifts boolean;
  work text;
begin
  select * into strict r from rewind.relation where relid = target;
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
      case when r.altered then 'false' else format('row(%s)::record *= row(%s)::record', r.stored, rewind.kept(r)) end,
      rewind.insert_into(r));
  end if;
  -- Where no row of the checkpoint is missing, all others are too many.
  work := format('if n - coalesce(cardinality(strangers), 0) = expected then delete from only %s t using unnest(strangers) u (place) where t.ctid = u.place; get diagnostics removed = row_count; else %s end if;', r.name, work);
  -- TRUNCATE costs files, DELETE costs rows: only for many rows in a table that was empty, and that nothing references.
  if r.truncatable and not r.guarded and not lifts then
    work := format('if expected = 0 and n > 10000 then truncate only %s; removed := n; else %s end if;', r.name, work);
  end if;
  if r.unchecked then
    work := format('undo_checks := rewind.lift_unchecked(%s); %s perform rewind.run(undo_checks);', target, work);
  end if;
  if r.guarded then work := format('undo := undo || rewind.silence(%s); %s', target, work); end if;
  execute format($f$
    create or replace function rewind.bring_back_%1$s(fresh_from xid, own xid[], at_level int, expected bigint, out removed bigint, out added bigint)
    language plpgsql as $b$
    #variable_conflict use_variable
    declare
      n bigint;
      strangers tid[];
      undo text[] := '{}';
      undo_checks text[] := '{}';
    begin
      removed := 0;
      added := 0;
      lock table only %2$s in share row exclusive mode;
      %3$s
      select count(*), array_agg(t.ctid) filter (where age(t.xmin) <= age(fresh_from) and t.xmin <> all (own)) into n, strangers from only %2$s t;
      if strangers is not null or n <> expected then
        %4$s
      end if;
      %5$s
    end $b$ $f$,
    r.slot, r.name,
    case when lifts then format('undo := rewind.lift_row_security(array[%s]);', target) end,
    work,
    concat(case when r.guarded or lifts then 'perform rewind.run(undo);' end,
      -- What no longer fits is left as it is: the test that altered the table has been told.
      case when r.altered then ' exception when data_exception or integrity_constraint_violation or syntax_error_or_access_rule_violation then removed := 0; added := 0;' end));
  update rewind.relation set prepared = true where relid = target;
end $$;

-- Brings relations to a level. Returns what was done to those that differed.
create function rewind.bring_back(targets oid[], at_level int, fresh_from xid, own xid[]) returns jsonb language plpgsql as $$
begin
  if current_setting('session_replication_role') <> 'replica' then
    return rewind.bring_back_as_owner(targets, at_level, fresh_from, own);
  end if;
  return rewind.bring_back_freely(targets, at_level, fresh_from, own);
end $$;

-- With nothing in the way: no trigger, no foreign key.
create function rewind.bring_back_freely(targets oid[], at_level int, fresh_from xid, own xid[]) returns jsonb language plpgsql as $$
declare
  root rewind.relation;
  r record;
  out_rows bigint;
  in_rows bigint;
  done jsonb := '[]';
begin
  if exists (select from rewind.journal_baseline) then
    for root in select * from rewind.journals_of(targets) loop
      select u.removed, u.added into out_rows, in_rows from rewind.undo_journal(root, rewind.journal_position_at(at_level)) u;
      if out_rows > 0 or in_rows > 0 then
        done := done || jsonb_build_object('name', root.name, 'removed', out_rows, 'added', in_rows);
      end if;
    end loop;
  end if;
  for r in
    select rel.relid, rel.slot, rel.name, rel.prepared, c.level, c.rows
    from rewind.relation rel
    join lateral (select level, rows from rewind.capture where relid = rel.relid and level <= at_level order by level desc limit 1) c on true
    where rel.relid = any (targets) and rel.kind = 'r'
    order by rel.relid
  loop
    if not r.prepared then perform rewind.prepare(r.relid); end if;
    execute format('select * from rewind.bring_back_%s($1, $2, $3, $4)', r.slot) into out_rows, in_rows using fresh_from, own, r.level, r.rows;
    if out_rows > 0 or in_rows > 0 then
      done := done || jsonb_build_object('name', r.name, 'removed', out_rows, 'added', in_rows);
    end if;
  end loop;
  return done;
end $$;

create function rewind.drop_levels_above(target int) returns void language plpgsql as $$
declare r record;
begin
  for r in select distinct rel.copy from rewind.capture c join rewind.relation rel using (relid) where c.level > target and rel.copy is not null loop
    execute format('delete from %s where rewind_level > $1', r.copy) using target;
  end loop;
  update rewind.sequence_now s set last_value = b.last_value, is_called = b.is_called
  from (select distinct on (seqid) * from rewind.sequence_below where level > target order by seqid, level) b where b.seqid = s.seqid;
  if found then perform rewind.prepare_sequences(); end if; -- another choice of sequences may be uncalled now
  delete from rewind.sequence_below where level > target;
  delete from rewind.capture where level > target;
  delete from rewind.large_object where level > target;
  delete from rewind.matview where level > target;
  delete from rewind.object where level > target;
  delete from rewind.checkpoint where level > target;
  update rewind.state set level = target;
end $$;

-- Whether a level is the present one, and nothing has moved since: the cheapest signs first.
create function rewind.is_calm(at_level int) returns boolean language plpgsql as $$
begin
  if not exists (select from rewind.alive)
    or exists (select from rewind.counter_group where pg_sequence_last_value(counter) is distinct from seen)
    or (select level from rewind.state) <> at_level
  then return false; end if;
  return not rewind.schema_moved() and not rewind.journals_failed() and rewind.moved_sequences() = '{}'
    and not rewind.large_objects_moved() and not rewind.matviews_moved();
end $$;

-- Back to the checkpoint of a level, dropping those above.
create function rewind.restore(target int) returns jsonb language plpgsql as $$
declare
  now_running xid;
  present_level int;
  fresh_from xid;
  own xid[];
  change text;
  suspects oid[];
  m record;
  todo oid[];
  done jsonb := '[]';
  moved_sequences int := 0;
  large_objects int := 0;
  stale text[] := '{}';
begin
  if not rewind.is_calm(target) then
    -- Before the counters are read: whoever writes after this has this transaction id or a later one.
    now_running := rewind.oldest_writer();
    select level into strict present_level from rewind.state;
    select c.fresh_from, c.own into fresh_from, own from rewind.checkpoint c where c.level = target;
    if target > present_level then raise 'there is no checkpoint % (the highest is %)', target, present_level; end if;
    if rewind.schema_moved() or (target < present_level and exists (select from rewind.object where level > target)) then
      select * into change, suspects from rewind.look_at_schema(target);
    end if;
    if rewind.journals_failed() then
      change := concat_ws('; ', change, 'a journalled table was altered, and not all of its rows can be brought back');
      perform rewind.note_journals_failed();
    end if;
    m := rewind.moved();
    todo := rewind.holding_rows(m.relids || suspects);
    if target < present_level then
      todo := todo || array(select distinct relid from rewind.capture where level > target) || rewind.filled_journals();
      perform rewind.drop_levels_above(target);
    end if;
    if todo <> '{}' then done := rewind.bring_back(todo, target, fresh_from, own); end if;
    perform rewind.note_moved(m.relids, m.readings, m.groups, m.group_readings);
    update rewind.checkpoint c set fresh_from = now_running,
      own = array(select x from unnest(c.own || pg_current_xact_id()::xid) x where age(x) <= age(now_running))
    where level = target;
    moved_sequences := rewind.restore_sequences();
    large_objects := rewind.restore_large_objects(target);
    stale := rewind.restore_matviews(target);
  end if;
  return jsonb_build_object('tables', done, 'sequences', moved_sequences, 'largeObjects', large_objects,
    'schemaChange', change, 'stale', to_jsonb(stale));
end $$;

-- Makes the present contents a checkpoint. Only what was touched since the level below is copied.
create function rewind.push(new_level int) returns void language plpgsql as $$
declare
  now_running xid := rewind.oldest_writer();
  present_level int;
  m record;
  r oid;
  adopted oid[];
begin
  select level into strict present_level from rewind.state;
  if present_level = new_level then return; end if; -- the answer to the first call was lost
  if present_level <> new_level - 1 then raise 'checkpoint % can''t be made on top of %', new_level, present_level; end if;
  if rewind.schema_moved() then adopted := rewind.adopt_schema(new_level); end if;
  select * into m from rewind.moved();
  for r in select unnest(rewind.holding_rows(m.relids || adopted)) loop
    if (select journal_root is null from rewind.relation where relid = r) then
      perform rewind.widen_copy(r);
      perform rewind.capture(r, new_level);
    else perform rewind.wait_for_writers(r); end if;
  end loop;
  insert into rewind.checkpoint values (new_level, now_running, '{}', nextval('rewind.journal_position'));
  perform rewind.note_sequences(new_level);
  perform rewind.note_large_objects(new_level);
  perform rewind.note_matviews(new_level);
  if adopted is not null then perform rewind.note_schema(new_level); end if;
  perform rewind.note_moved(m.relids, m.readings, m.groups, m.group_readings);
  update rewind.state set level = new_level;
end $$;
`;
