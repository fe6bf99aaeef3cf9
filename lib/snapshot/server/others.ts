/** What no trigger sees: sequences, large objects, materialized views. Each is compared. */
export const othersSql = (serverVersion: number): string => /* sql */ `
${serverVersion >= 180000 ? sequences18 : sequencesBefore18}

-- Whether the next move of a sequence is written to the server's log: nextval() writes there once for 32 numbers to come,
-- setval() always, after which nextval() begins anew (PostgreSQL, sequence.c). One that CYCLEs may be back where it was.
create function rewind.sequence_state(target oid, out last_value bigint, out is_called boolean, out logged boolean) language plpgsql as $$
begin
  execute format('select last_value, is_called, log_cnt = 0 from %s', target::regclass) into last_value, is_called, logged;
  logged := logged and rewind.is_loggable(target);
end $$;

create function rewind.is_loggable(target oid) returns boolean language sql stable as $$
  select relpersistence = 'p' and not seqcycle from pg_catalog.pg_class c join pg_catalog.pg_sequence on seqrelid = c.oid where c.oid = target
$$;

-- Sets those that would move unlogged to where they are. Not while somebody might be taking a number from one, which would
-- be given out again: ALTER takes a lock that nextval() has to wait for, also where it changes nothing.
create function rewind.settle_sequences() returns void language plpgsql set lock_timeout = '1ms' as $$
declare s record;
begin
  if exists (
    select from pg_catalog.pg_stat_activity
    where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid() and state is distinct from 'idle')
  then return; end if;
  for s in
    select n.*, c.relowner::regrole as owner from rewind.sequence_now n join pg_catalog.pg_class c on c.oid = n.seqid
    where not logged and rewind.is_loggable(seqid) order by seqid
  loop
    begin
      execute format('alter sequence %s owner to %s', s.seqid::regclass, s.owner);
    exception when lock_not_available then continue; -- somebody has just come
    end;
    update rewind.sequence_now n set logged = setval(n.seqid, n.last_value, n.is_called) is not null from rewind.sequence_state(s.seqid) present
    where n.seqid = s.seqid and (present.last_value, present.is_called) = (n.last_value, n.is_called);
  end loop;
end $$;

create function rewind.forget_lost_sequences() returns void language plpgsql as $$
begin
  update rewind.sequence_now set logged = false where logged and rewind.is_loggable(seqid) is not true;
  delete from rewind.sequence_now s where not exists (select from pg_catalog.pg_class c where c.oid = s.seqid and c.relkind = 'S');
  if found then perform rewind.prepare_sequences(); end if;
end $$;

-- Notes the sequences' present state as the one to go back to; above the baseline the old state is kept for the way down.
create function rewind.note_sequences(at_level int) returns void language plpgsql as $$
declare moved oid[];
begin
  perform rewind.forget_lost_sequences();
  moved := array(select seqid from rewind.moved_sequence);
  if at_level > 0 then
    insert into rewind.sequence_below select at_level, seqid, last_value, is_called from rewind.sequence_now where seqid = any (moved)
    on conflict do nothing;
  end if;
  update rewind.sequence_now set (last_value, is_called, logged) = (select last_value, is_called, logged from rewind.sequence_state(seqid))
  where seqid = any (moved);
  insert into rewind.sequence_now
  with ours as materialized ( -- or those of others might be read before they are left out
    select c.oid, format('%I.%I', n.nspname, c.relname) as name
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'S' and c.relpersistence <> 't' and n.nspname not in ('rewind', 'information_schema') and n.nspname !~ '^pg_'
      and pg_has_role(c.relowner, 'USAGE')
      and not exists (select from rewind.sequence_now x where x.seqid = c.oid)
      and not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
  )
  select ours.oid, ours.name, s.last_value, s.is_called, s.logged from ours, rewind.sequence_state(ours.oid) s;
  perform rewind.prepare_sequences();
end $$;

-- Large objects at a level: the nearest level at or below that says something of one.
create function rewind.large_objects_at(at_level int) returns table (loid oid, data bytea) language sql stable as $$
  select distinct on (loid) loid, data from rewind.large_object where level <= at_level order by loid, level desc
$$;

-- Most databases have none, and are spared the rest.
create view rewind.with_large_objects as
select exists (select from pg_catalog.pg_largeobject_metadata) or exists (select from rewind.large_object) as there_are;

create function rewind.large_object_differences(at_level int) returns table (loid oid, wanted bytea, present bytea) language sql as $$
  select * from (
    select coalesce(b.loid, m.oid) as loid, b.data, case when m.oid is not null then lo_get(m.oid) end as present
    from (select * from rewind.large_objects_at(at_level)) b
    full join (select oid from pg_catalog.pg_largeobject_metadata where pg_has_role(lomowner, 'USAGE')) m on m.oid = b.loid
  ) d where d.data is distinct from d.present
$$;

create function rewind.large_objects_moved() returns boolean language plpgsql as $$
begin
  return (select there_are from rewind.with_large_objects) and exists (select from rewind.large_object_differences((select level from rewind.state)));
end $$;

create function rewind.restore_large_objects(at_level int) returns void language plpgsql as $$
declare d record;
begin
  for d in select * from rewind.large_object_differences(at_level) loop
    if d.wanted is null then perform lo_unlink(d.loid);
    elsif d.present is null then perform lo_from_bytea(d.loid, d.wanted);
    else
      perform lo_truncate64(fd, 0) from lo_open(d.loid, 131072) fd; -- INV_WRITE; closed at the end of the transaction
      perform lo_put(d.loid, 0, d.wanted);
    end if;
  end loop;
end $$;

create function rewind.note_large_objects(at_level int) returns void language sql as $$
  insert into rewind.large_object select at_level, loid, present from rewind.large_object_differences(at_level)
  on conflict (loid, level) do update set data = excluded.data
$$;

-- REFRESH, in both forms, makes a new version of the view's row in pg_class.
create function rewind.moved_matviews() returns setof rewind.matview language sql stable as $$
  select m.* from (
    select distinct on (relid) * from rewind.matview where level <= (select level from rewind.state) order by relid, level desc
  ) m join pg_catalog.pg_class c on c.oid = m.relid where c.xmin <> m.seen
$$;

-- Nulls of one that is not populated, which can't be read.
create function rewind.matview_contents(target oid, out populated boolean, out rows bigint, out hash numeric) language plpgsql as $$
begin
  populated := (select relispopulated from pg_catalog.pg_class where oid = target);
  if populated then
    execute format('select count(*), coalesce(sum(hashtextextended((t.*)::text, 0)::numeric), 0) from %s t', target::regclass) into rows, hash;
  end if;
end $$;

-- Of the given ones (null: all).
create function rewind.matview_differences(at_level int, among oid[]) returns table (name text) language sql stable as $$
  with noted as materialized (
    select distinct on (m.relid) m.* from rewind.matview m join pg_catalog.pg_class c on c.oid = m.relid
    where level <= at_level and (among is null or m.relid = any (among)) order by m.relid, level desc
  )
  select m.name from noted m cross join lateral rewind.matview_contents(m.relid) h
  where (h.populated, h.rows, h.hash) is distinct from (m.populated, m.rows, m.hash)
$$;

create function rewind.note_matviews(at_level int) returns void language plpgsql as $$
begin
  delete from rewind.matview m where not exists (select from pg_catalog.pg_class c where c.oid = m.relid and c.relkind = 'm');
  insert into rewind.matview
  with ours as materialized (
    select c.oid, format('%I.%I', n.nspname, c.relname) as name, c.xmin as seen
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'm' and pg_has_role(c.relowner, 'USAGE')
      and not exists (
        select from rewind.matview m where m.relid = c.oid and m.level = (select max(level) from rewind.matview x where x.relid = c.oid) and m.seen = c.xmin)
      and not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
  )
  select at_level, ours.oid, ours.name, ours.seen, h.populated, h.rows, h.hash from ours cross join lateral rewind.matview_contents(ours.oid) h
  on conflict (relid, level) do update set seen = excluded.seen, name = excluded.name, populated = excluded.populated, rows = excluded.rows, hash = excluded.hash;
end $$;

-- Refreshes what was refreshed, after what it reads from. Returns those that REFRESH has given other contents than they had.
create function rewind.restore_matviews(at_level int) returns text[] language plpgsql as $$
declare
  m record;
  now_there record;
  changed text[] := '{}';
begin
  for m in
    -- What each reads, by way of views, too. One that reads another has more of these than that, unless they read each other.
    with recursive reads (reader, relid) as (
      select relid, relid from rewind.moved_matviews()
      union
      select reader, d.refobjid from reads
      join pg_catalog.pg_rewrite w on w.ev_class = reads.relid
      join pg_catalog.pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid and d.refclassid = 'pg_class'::regclass
      join pg_catalog.pg_class c on c.oid = d.refobjid and c.relkind in ('v', 'm')
    )
    select moved.*, (select count(*) from reads where reader = moved.relid) as n from rewind.moved_matviews() moved order by n, moved.relid
  loop
    execute format('refresh materialized view %s %s', m.relid::regclass, case when not m.populated then 'with no data' end);
    select * into now_there from rewind.matview_contents(m.relid);
    if (now_there.rows, now_there.hash) is distinct from (m.rows, m.hash) then changed := changed || m.name; end if;
    insert into rewind.matview
    select at_level, m.relid, m.name, c.xmin, m.populated, now_there.rows, now_there.hash from pg_catalog.pg_class c where c.oid = m.relid
    on conflict (relid, level) do update set seen = excluded.seen, rows = excluded.rows, hash = excluded.hash;
  end loop;
  return changed;
end $$;
`;

// Of a sequence that was never called pg_sequence_last_value() says null, wherever setval(…, false) has put it. Of all
// others it says what pg_get_sequence_data() does, in half the time.
const sequences18 = /* sql */ `
create view rewind.moved_sequence as
select * from rewind.sequence_now s
where case when is_called then pg_sequence_last_value(seqid) is distinct from last_value
  else (select d.last_value <> s.last_value or d.is_called from pg_get_sequence_data(seqid) d) end;
create function rewind.prepare_sequences() returns void language sql as '';
`;

// Before 18, those that were never called are read by a function made for the purpose, so that its plan is cached.
const sequencesBefore18 = /* sql */ `
create function rewind.uncalled_sequences() returns table (seqid oid, last_value bigint, is_called boolean) language plpgsql as $$
begin end $$;

create view rewind.moved_sequence as
select * from rewind.sequence_now
where pg_sequence_last_value(seqid) is distinct from case when is_called then last_value end
union
select s.* from rewind.sequence_now s join rewind.uncalled_sequences() u using (seqid)
where not s.is_called and (u.last_value <> s.last_value or u.is_called <> s.is_called);

create function rewind.prepare_sequences() returns void language plpgsql as $$
declare query text;
begin
  select string_agg(format('select %s::oid, x.last_value, x.is_called from %s x', seqid, name), ' union all ') into query
  from rewind.sequence_now where not is_called;
  execute format(
    'create or replace function rewind.uncalled_sequences() returns table (seqid oid, last_value bigint, is_called boolean) language plpgsql as %L',
    'begin ' || coalesce('return query ' || query || ';', '') || ' end');
end $$;
`;
