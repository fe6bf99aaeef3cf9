/** Which relations may have changed, by their counters. */
export const touchedSql = /* sql */ `
-- What moved since it was last noted, with the readings to note. They are taken before anything is locked or restored:
-- a bump that comes later is found next time. After a server crash every relation has moved.
create function rewind.moved(out relids oid[], out readings bigint[], out groups int[], out group_readings bigint[]) language plpgsql as $$
begin
  select array_agg(slot), array_agg(reading) into groups, group_readings
  from (select slot, seen, pg_sequence_last_value(counter) as reading from rewind.counter_group offset 0) g
  where reading is distinct from seen or not exists (select from rewind.alive);
  if groups is null then return; end if;
  select array_agg(relid), array_agg(reading) into relids, readings
  from (select relid, seen, pg_sequence_last_value(counter) as reading from rewind.relation where group_slot = any (groups) offset 0) r
  where reading is distinct from seen or not exists (select from rewind.alive);
end $$;

create function rewind.note_moved(relids oid[], readings bigint[], groups int[], group_readings bigint[]) returns void language plpgsql as $$
begin
  update rewind.counter_group g set seen = n.reading from unnest(groups, group_readings) n (slot, reading) where g.slot = n.slot;
  update rewind.relation r set seen = n.reading from unnest(relids, readings) n (relid, reading) where r.relid = n.relid;
  insert into rewind.alive select true where not exists (select from rewind.alive);
end $$;

-- Relations that hold rows, of these and everything that inherits from them: a statement's triggers fire on the relation
-- it names, and its rows may be in any descendant.
create function rewind.holding_rows(relids oid[]) returns oid[] language plpgsql as $$
begin
  if relids is null then return '{}'; end if;
  if exists (select from pg_catalog.pg_inherits where inhparent = any (relids)) then
    return array(
      with recursive tree (relid) as (
        select unnest(relids) union select inhrelid from tree join pg_catalog.pg_inherits on inhparent = tree.relid
      )
      select relid from tree join rewind.relation using (relid) where kind = 'r');
  end if;
  return array(select relid from rewind.relation where relid = any (relids) and kind = 'r');
end $$;

-- Whoever writes to this database from now on has this transaction id or a later one. Transactions of other databases of
-- the server are left out where we can see whose they are: they would make untouched rows look new, for no reason.
create function rewind.oldest_writer() returns xid language plpgsql as $$
declare s pg_snapshot := pg_current_snapshot();
begin
  if pg_snapshot_xmin(s) = pg_snapshot_xmax(s) then return pg_snapshot_xmax(s)::xid; end if;
  return coalesce((
    select x from pg_snapshot_xip(s) x
    where not exists (
      select from pg_catalog.pg_stat_activity a
      where a.backend_xid = x::xid and a.datid <> (select oid from pg_catalog.pg_database where datname = current_database()))
    order by x limit 1), pg_snapshot_xmax(s))::xid;
end $$;

-- For people and for deciding whether a checkpoint is worth making: never a false "no".
create function rewind.touched() returns text[] language plpgsql as $$
declare names text[] := array(select name from rewind.relation where relid = any ((select rewind.holding_rows(relids) from rewind.moved())::oid[]) order by name);
begin
  if rewind.schema_moved() then return names || 'the schema'::text; end if; -- some of the others may be gone
  return names
    || array(select 'sequence ' || name from rewind.sequence_now where seqid = any ((select rewind.moved_sequences())::oid[]) order by name)
    || array(select 'large objects' where rewind.large_objects_moved())
    || array(select 'materialized view ' || name from rewind.moved_matviews() order by name);
end $$;
`;
