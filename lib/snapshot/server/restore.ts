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

-- One function per relation, made when it is first needed: its plans stay cached on our connection.
--
-- Why it is exact: under the lock, a row version older than "fresh_from" is by MVCC an untouched row of the checkpoint
-- (row locks, VACUUM, FREEZE and VACUUM FULL leave xmin alone), and so is one that we wrote ourselves. All others go.
-- What is missing then comes from the copy. Contents are never compared, so types don't matter.
create function rewind.prepare(target oid) returns void language plpgsql as $$
declare
  r rewind.relation;
  is_new text := 'age(t.xmin) <= age(fresh_from) and t.xmin <> all (own)';
  put_back text;
  bypasses boolean := (select rolsuper or rolbypassrls from pg_catalog.pg_roles where rolname = current_user);
begin
  select * into strict r from rewind.relation where relid = target;
  put_back := format('insert into %s %s select %s from %s s where s.rewind_level = at_level',
    r.name, case when r.columns <> '' then format('(%s) overriding system value', r.columns) end, r.restored, r.copy);
  execute format($f$
    create or replace function rewind.bring_back_%s(fresh_from xid, own xid[], at_level int, expected bigint, out removed bigint, out added bigint)
    language plpgsql as $b$
    declare
      n bigint;
      undo text[] := '{}';
      undo_checks text[] := '{}';
    begin
      added := 0;
      lock table only %s in share row exclusive mode;
      %s
      %s
      %s
      %s
    end $b$ $f$,
    r.slot, r.name,
    concat_ws(' ',
      case when r.guarded then format('undo := rewind.silence(%s);', target) end,
      case when r.forced and not bypasses then format('undo := undo || rewind.lift_row_security(array[%s]);', target) end),
    -- TRUNCATE costs files, DELETE costs rows: only for many rows in a table that was empty, and that nothing references.
    format(case when r.truncatable and not r.guarded and (not r.forced or bypasses) then $p$
      if expected = 0 and (select count(*) from (select from only %1$s limit 10001) t) > 10000 then
        select count(*) into removed from only %1$s;
        truncate only %1$s;
        return;
      end if; $p$ else '' end || $p$
      delete from only %1$s t where %2$s;
      get diagnostics removed = row_count; $p$, r.name, is_new),
    case when r.copy is not null then format($p$
      if expected > 0 then
        select count(*) into n from only %s;
        if n <> expected then
          %s
          %s
          get diagnostics added = row_count;
          perform rewind.run(undo_checks);
        end if;
      end if; $p$,
      r.name,
      case when r.unchecked then format('undo_checks := rewind.lift_unchecked(%s);', target) end,
      case when r.key_match is not null then format('%s and not exists (select from only %s t where %s);', put_back, r.name, r.key_match)
      else format('delete from only %s; removed := removed + n; %s;', r.name, put_back) end)
    end,
    concat(case when r.guarded or (r.forced and not bypasses) then 'perform rewind.run(undo);' end,
      -- What no longer fits is left as it is: the test that altered the table has been told.
      case when r.altered then ' exception when data_exception or integrity_constraint_violation or syntax_error_or_access_rule_violation then removed := 0; added := 0;' end));
  update rewind.relation set prepared = true where relid = target;
end $$;

-- Brings relations to a level. Returns what was done to those that differed.
create function rewind.bring_back(targets oid[], at_level int, fresh_from xid, own xid[]) returns jsonb language plpgsql as $$
declare
  root rewind.relation;
  out_rows bigint;
  in_rows bigint;
  done jsonb := '[]';
begin
  if current_setting('session_replication_role') <> 'replica' then
    return rewind.bring_back_as_owner(targets, at_level, fresh_from, own);
  end if;
  for root in select * from rewind.journals_of(targets) loop
    select u.removed, u.added into out_rows, in_rows from rewind.undo_journal(root, rewind.journal_position_at(at_level)) u;
    if out_rows > 0 or in_rows > 0 then
      done := done || jsonb_build_object('name', root.name, 'removed', out_rows, 'added', in_rows);
    end if;
  end loop;
  return done || rewind.bring_back_freely(targets, at_level, fresh_from, own);
end $$;

create function rewind.bring_back_freely(targets oid[], at_level int, fresh_from xid, own xid[]) returns jsonb language plpgsql as $$
declare
  r record;
  out_rows bigint;
  in_rows bigint;
  done jsonb := '[]';
begin
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

-- Back to the checkpoint of a level, dropping those above.
create function rewind.restore(target int) returns jsonb language plpgsql as $$
declare
  -- Before anything is read: whoever writes after this reading has this transaction id or a later one.
  now_running xid := rewind.oldest_writer();
  present_level int;
  change text;
  suspects oid[];
  m record;
  todo oid[];
  c rewind.checkpoint;
  done jsonb := '[]';
  moved_sequences int;
  large_objects int;
  stale text[];
begin
  select level into strict present_level from rewind.state;
  if target > present_level then raise 'there is no checkpoint % (the highest is %)', target, present_level; end if;
  if rewind.schema_moved() or (target < present_level and exists (select from rewind.object where level > target)) then
    select * into change, suspects from rewind.look_at_schema(target);
  end if;
  if rewind.journals_failed() then
    change := concat_ws('; ', change, 'a journalled table was altered, and not all of its rows can be brought back');
    perform rewind.note_journals_failed();
  end if;
  select * into m from rewind.moved();
  todo := rewind.holding_rows(m.relids || suspects);
  if target < present_level then
    todo := todo || array(select distinct relid from rewind.capture where level > target) || rewind.filled_journals();
  end if;
  if m.groups is not null or todo <> '{}' or target < present_level then
    select * into strict c from rewind.checkpoint where level = target;
    if target < present_level then perform rewind.drop_levels_above(target); end if;
    if todo <> '{}' then done := rewind.bring_back(todo, target, c.fresh_from, c.own); end if;
    perform rewind.note_moved(m.relids, m.readings, m.groups, m.group_readings);
    update rewind.checkpoint set fresh_from = now_running,
      own = array(select x from unnest(c.own || pg_current_xact_id()::xid) x where age(x) <= age(now_running))
    where level = target;
  end if;
  moved_sequences := rewind.restore_sequences();
  large_objects := rewind.restore_large_objects(target);
  stale := rewind.restore_matviews(target);
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
