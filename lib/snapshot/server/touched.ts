/** Which relations may have changed, by their counters. */
export const touchedSql = /* sql */ `
-- What moved since it was last noted. A group is read before its members. After a server crash every counter has moved.
create function rewind.moved() returns oid[] language plpgsql as $$
begin
  return array(
    select m.relid
    from (select *, pg_sequence_last_value(counter) as reading from rewind.counter_group offset 0) g
    cross join unnest(g.relids, g.counters, g.members_seen) m (relid, counter, seen)
    where (g.reading is distinct from g.seen and pg_sequence_last_value(m.counter) is distinct from m.seen)
      or not exists (select from rewind.alive));
end $$;

-- The same, noted, in the fewest steps; null where nothing did. Comes before anything is locked or restored: a bump that comes
-- later is found next time. "alive": the counters can be trusted. "parents": rows may be in descendants, too.
create function rewind.take_moved(alive boolean, out relids oid[], out restorers int[], out parents boolean) language plpgsql as $$
declare g rewind.counter_group;
begin
  for g in select * from rewind.counter_group order by slot loop
    continue when alive and pg_sequence_last_value(g.counter) is not distinct from g.seen;
    g.seen := pg_sequence_last_value(g.counter);
    for n in 1 .. cardinality(g.relids) loop
      continue when alive and pg_sequence_last_value(g.counters[n]) is not distinct from g.members_seen[n];
      g.members_seen[n] := pg_sequence_last_value(g.counters[n]);
      relids := relids || g.relids[n];
      if g.restorers[n] is not null and array_position(restorers, g.restorers[n]) is null then restorers := restorers || g.restorers[n]; end if;
    end loop;
    update rewind.counter_group set seen = g.seen, members_seen = g.members_seen where slot = g.slot
    returning take_moved.parents or exists (select from pg_catalog.pg_inherits where inhparent = any (take_moved.relids)) into parents;
  end loop;
end $$;

-- Whoever inserts by way of a partitioned table is counted, and has locked it, before he locks the partition it is for.
create function rewind.wait_for_routing(relids oid[]) returns void language plpgsql as $$
declare name text;
begin
  for name in select r.name from rewind.relation r where relid = any (relids) and kind = 'p' order by relid loop
    execute format('lock table only %s in share row exclusive mode', name);
  end loop;
end $$;

create function rewind.restorers_of(relids oid[]) returns int[] language plpgsql as $$
begin
  return array(select distinct restorer from rewind.relation where relid = any (relids) and restorer is not null order by 1);
end $$;

-- Relations that hold rows, of these and everything that inherits from them: a statement's triggers fire on the relation
-- it names, and its rows may be in any descendant.
create function rewind.holding_rows(relids oid[]) returns oid[] language plpgsql as $$
begin
  if relids = '{}' or relids is null then return '{}'; end if;
  if exists (select from pg_catalog.pg_inherits where inhparent = any (relids)) then
    return array(
      with recursive tree (relid) as (
        select unnest(relids) union select inhrelid from tree join pg_catalog.pg_inherits on inhparent = tree.relid
      )
      select relid from tree join rewind.relation using (relid) where kind = 'r');
  end if;
  return array(select relid from rewind.relation where relid = any (relids) and kind = 'r');
end $$;

-- The oldest that is writing: transactions of other databases of the server are left out where we can see whose
-- they are, for they would make untouched rows look new, for no reason.
create function rewind.oldest_of(s pg_snapshot) returns xid language plpgsql as $$
begin
  return coalesce((
    select x from pg_snapshot_xip(s) x
    where not exists (
      select from pg_catalog.pg_stat_activity a
      where a.backend_xid = x::xid and a.datid <> (select oid from pg_catalog.pg_database where datname = current_database()))
    order by x limit 1), pg_snapshot_xmax(s))::xid;
end $$;

-- Whoever writes to this database from now on has this transaction id or a later one.
create function rewind.oldest_writer() returns xid language sql as $$
  select case when pg_snapshot_xmin(pg_current_snapshot()) = pg_snapshot_xmax(pg_current_snapshot())
    then pg_snapshot_xmax(pg_current_snapshot())::xid
    else rewind.oldest_of(pg_current_snapshot()) end
$$;

-- Whether every transaction that has an id is over, and its work to be seen. age() counts from the next id to be given.
create function rewind.all_is_visible() returns boolean language sql as $$
  select pg_snapshot_xmin(pg_current_snapshot()) = pg_snapshot_xmax(pg_current_snapshot())
    and age(pg_snapshot_xmax(pg_current_snapshot())::xid) <= 0
$$;

-- For people and for deciding whether a checkpoint is worth making: never a false "no".
create function rewind.touched() returns text[] language plpgsql as $$
declare names text[] := array(select name from rewind.relation where relid = any ((select rewind.holding_rows(rewind.moved()))::oid[]) order by name);
begin
  if rewind.schema_moved() then return names || 'the schema'::text; end if; -- some of the others may be gone
  return names
    || array(select 'sequence ' || name from rewind.moved_sequence order by name)
    || array(select 'large objects' where rewind.large_objects_moved())
    || array(select 'materialized view ' || name from rewind.moved_matviews() order by name);
end $$;
`;
