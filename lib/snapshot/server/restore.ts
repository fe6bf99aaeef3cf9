/** Back to a checkpoint, and one more on top. */
export const restoreSql = /* sql */ `
-- Brings relations to a level. Returns what was done to those that differed.
create function rewind.bring_back(restorers int[], at_level int, fresh_from xid, own xid[]) returns jsonb language plpgsql as $$
begin
  if current_setting('session_replication_role') = 'replica' then return rewind.bring_back_freely(restorers, at_level, fresh_from, own); end if;
  return rewind.bring_back_as_owner(array(select relid from rewind.relation r where r.restorer = any (restorers)), at_level, fresh_from, own);
end $$;

-- With nothing in the way: no trigger, no foreign key.
create function rewind.bring_back_freely(restorers int[], at_level int, fresh_from xid, own xid[]) returns jsonb language plpgsql as $$
declare
  slot int;
  done jsonb := '[]';
begin
  if cardinality(restorers) > 4 then perform rewind.prepare(restorers); end if; -- together, those that have to be
  foreach slot in array restorers loop
    done := done || coalesce(rewind.bring_back_one(slot, fresh_from, own, at_level), '[]');
  end loop;
  return done;
end $$;

-- Those of these transactions that are no older than this one.
create function rewind.not_before(oldest xid, transactions xid[]) returns xid[] language plpgsql as $$
declare
  x xid;
  kept xid[];
begin
  foreach x in array transactions loop
    if age(x) <= age(oldest) then kept := kept || x; end if;
  end loop;
  return kept;
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

-- Back to the checkpoint of a level, dropping those above. In few steps: what each expression costs when a transaction
-- evaluates it for the first time is what some rows do, and a statement costs ten times that.
create function rewind.restore(target int, sign text default null, outside text default null) returns jsonb language plpgsql as $$
declare
  here record;
  change text;
  lost text;
  suspects oid[];
  moved record;
  ours xid[];
  done jsonb;
  sequences record;
  refreshed text[];
begin
  -- Before the counters are read: whoever writes after this has the transaction id "now_running" or a later one.
  select s.level, s.ddl_seen, c.fresh_from, c.own, w.sees, l.there_are as large_objects, exists (select from rewind.alive) as alive,
    exists (select from rewind.matview) as matviews, rewind.oldest_writer() as now_running, rewind.all_is_visible() as settled
  into strict here
  from rewind.state s cross join rewind.ddl_watch w cross join rewind.with_large_objects l left join rewind.checkpoint c on c.level = target;
  if target > here.level then raise 'there is no checkpoint % (the highest is %)', target, here.level; end if;
  if (here.sees and pg_sequence_last_value('rewind.ddl') is distinct from here.ddl_seen) or (not here.sees and rewind.schema_moved())
    or (target < here.level and exists (select from rewind.object where level > target))
  then
    select * into change, suspects from rewind.look_at_schema(target);
  end if;
  -- DDL may have changed rows and left them their age: all are compared.
  if suspects <> '{}' or (target < here.level and exists (select from rewind.checkpoint where level > target and adopted)) then
    here.fresh_from := '2';
    here.own := '{}';
  end if;
  moved := rewind.take_moved(here.alive);
  if not here.alive then insert into rewind.alive values (true); end if;
  if moved.parents then perform rewind.wait_for_routing(moved.relids); end if;
  if moved.parents or suspects <> '{}' then moved.restorers := rewind.restorers_of(rewind.holding_rows(moved.relids || suspects)); end if;
  if target < here.level then
    moved.restorers := array(select unnest(moved.restorers) union select unnest(rewind.restorers_of(
      array(select relid from rewind.capture where level > target) || rewind.filled_journals())) order by 1);
    perform rewind.drop_levels_above(target);
  end if;
  if moved.restorers <> '{}' then
    done := rewind.bring_back(moved.restorers, target, here.fresh_from, here.own);
    ours := rewind.not_before(here.now_running, here.own || pg_current_xact_id()::xid);
    update rewind.checkpoint set fresh_from = here.now_running, own = ours where level = target;
  end if;
  if rewind.journals_failed() then
    lost := case when target > 0 then 'a large table' else rewind.lost_journals() end;
    change := nullif(concat_ws('; ', change, lost || ' was altered, or its triggers were off, and not all of its rows can be brought back'), '');
    perform rewind.note_journals_failed();
  end if;
  if change is not null then update rewind.state set fingerprint = null; end if; -- what is kept is not what was seeded any more
  -- The bounds may have been altered, which is reported as such.
  select array_agg(seqid) filter (where not logged) as unlogged, count(case
    when last_value between (pg_sequence_parameters(seqid)).minimum_value and (pg_sequence_parameters(seqid)).maximum_value
    then setval(seqid, last_value, is_called) end) as n
  into sequences from rewind.moved_sequence;
  if sequences.unlogged is not null then
    update rewind.sequence_now set logged = true where seqid = any (sequences.unlogged) and rewind.is_loggable(seqid);
  end if;
  if here.large_objects then perform rewind.restore_large_objects(target); end if;
  if here.matviews then refreshed := rewind.restore_matviews(target); end if;
  if here.settled and pg_current_xact_id_if_assigned() is null and not exists (select from rewind.sequence_now where not logged) then
    perform set_config('rewind.calm', sign, false);
  end if;
  return jsonb_build_object('outside', outside, 'tables', coalesce(done, '[]'), 'sequences', sequences.n, 'schemaChange', change,
    'refreshed', coalesce(refreshed, '{}'));
end $$;

-- Makes the present contents a checkpoint. Only what was touched since the level below is copied.
create function rewind.push(new_level int) returns void language plpgsql as $$
declare
  now_running xid := rewind.oldest_writer();
  present_level int;
  moved record;
  r oid;
  adopted oid[];
begin
  select level into strict present_level from rewind.state;
  if present_level = new_level then return; end if; -- the answer to the first call was lost
  if present_level <> new_level - 1 then raise 'checkpoint % can''t be made on top of %', new_level, present_level; end if;
  if rewind.schema_moved() then adopted := rewind.adopt_schema(new_level); end if;
  moved := rewind.take_moved(exists (select from rewind.alive));
  if moved.parents then perform rewind.wait_for_routing(moved.relids); end if;
  for r in select unnest(rewind.holding_rows(moved.relids || adopted)) loop
    if (select journal_root is null from rewind.relation where relid = r) then
      perform rewind.widen_copy(r);
      perform rewind.capture(r, new_level);
    else perform rewind.wait_for_writers(r); end if;
  end loop;
  insert into rewind.checkpoint values (new_level, now_running, '{}', nextval('rewind.journal_position'), adopted is not null);
  perform rewind.note_sequences(new_level);
  perform rewind.note_large_objects(new_level);
  perform rewind.note_matviews(new_level);
  if adopted is not null then perform rewind.note_schema(new_level); end if;
  update rewind.state set level = new_level;
end $$;
`;
