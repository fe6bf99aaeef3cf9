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

-- The same, noted, in the fewest statements. Comes before anything is locked or restored: a bump that comes later is found
-- next time. "parents": rows may be in descendants, too.
create function rewind.take_moved(out relids oid[], out restorers int[], out parents boolean) language plpgsql as $$
declare
  alive boolean := exists (select from rewind.alive);
  g rewind.counter_group;
  reading bigint;
begin
  relids := '{}';
  restorers := '{}';
  for g in select * from rewind.counter_group order by slot loop
    reading := pg_sequence_last_value(g.counter);
    continue when alive and reading is not distinct from g.seen;
    g.seen := reading;
    for n in 1 .. cardinality(g.relids) loop
      reading := pg_sequence_last_value(g.counters[n]);
      continue when alive and reading is not distinct from g.members_seen[n];
      g.members_seen[n] := reading;
      relids := relids || g.relids[n];
      if g.restorers[n] <> all (restorers) then restorers := restorers || g.restorers[n]; end if;
    end loop;
    update rewind.counter_group set seen = g.seen, members_seen = g.members_seen where slot = g.slot;
  end loop;
  parents := relids <> '{}' and exists (select from pg_catalog.pg_inherits where inhparent = any (relids));
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
  if relids = '{}' then return relids; end if;
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

-- Whether every transaction that has an id is over, and its work to be seen. age() counts from the next id to be given.
create function rewind.all_is_visible() returns boolean language plpgsql as $$
declare s pg_snapshot := pg_current_snapshot();
begin
  return pg_snapshot_xmin(s) = pg_snapshot_xmax(s) and age(pg_snapshot_xmax(s)::xid) <= 0;
end $$;

-- For people and for deciding whether a checkpoint is worth making: never a false "no".
create function rewind.touched() returns text[] language plpgsql as $$
declare names text[] := array(select name from rewind.relation where relid = any ((select rewind.holding_rows(rewind.moved()))::oid[]) order by name);
begin
  if rewind.schema_moved() then return names || 'the schema'::text; end if; -- some of the others may be gone
  return names
    || array(select 'sequence ' || name from rewind.moved_sequence join rewind.sequence_now using (seqid) order by name)
    || array(select 'large objects' where rewind.large_objects_moved())
    || array(select 'materialized view ' || name from rewind.moved_matviews() order by name);
end $$;
`;
