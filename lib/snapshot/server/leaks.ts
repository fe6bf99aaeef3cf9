/**
 * Rows that reached the database from outside: not from a sandbox (the tables' own counters can't tell, a sandbox bumps
 * them too), and not as part of a committing test. Looking takes no lock that a sandbox or an app would meet.
 */
export const leaksSql = (unlogged: string): string => /* sql */ `
-- How often anybody but a sandbox, or we, has written, or changed the schema (where event triggers can be had). Also rolled-back work: whether anything came of it is for the look.
create function rewind.outside() returns text language sql as $$
  select coalesce(pg_sequence_last_value('rewind.outside'::regclass), 0)::text
$$;

-- The same, and what is committed that no trigger counts: it is there until it is restored.
create function rewind.outside_by_all_means() returns text language plpgsql as $$
declare
  at_level int := (select level from rewind.state);
begin
  return concat_ws(' ', rewind.outside(),
    case when exists (select from rewind.matview) then (select string_agg(m.relid || '@' || c.xmin, ',' order by m.relid) from rewind.moved_matviews() m join pg_catalog.pg_class c on c.oid = m.relid) end,
    case when (select there_are from rewind.with_large_objects) then (
      select string_agg(loid::text, ',' order by loid)
      from (select oid as loid from pg_catalog.pg_largeobject_metadata where pg_has_role(lomowner, 'USAGE')) m
      full join (select loid from rewind.large_objects_at(at_level) where data is not null) b using (loid)
      where m.loid is null or b.loid is null) end);
end $$;

-- A restore, and the reading of before it: what is written later is found next time.
--
-- The sign of calm: where the server's log ends, and how often others have written. While it is what it was when nothing
-- was found to do, nothing has changed: a transaction that has changed something says so in the log when it ends, and a
-- "logged" sequence when it moves. Transactions that are still open are the counter's business.
create function rewind.restore_and_read(target int) returns jsonb language plpgsql as $$
declare
  outside text := rewind.outside();
  sign text := concat_ws(' ', target, pg_current_wal_insert_lsn(), outside);
  late_for float8;
  report jsonb;
  noted bigint;
begin
  if sign = current_setting('rewind.calm', true) then
    report := jsonb_build_object('outside', outside, 'tables', '[]'::jsonb, 'sequences', 0, 'schemaChange', null, 'refreshed', '[]'::jsonb);
  else
    late_for := date_part('epoch', pg_catalog.clock_timestamp()) * 1000 - pg_sequence_last_value('rewind.late_since') / 1000.0;
    report := rewind.restore(target, sign, outside);
    if late_for is not null then
      report := report || jsonb_build_object('lateForMs', late_for);
      noted := setval('rewind.late_since', 1, false);
    end if;
  end if;
  noted := rewind.note_restored(); -- an assignment, for it costs less than a statement
  return report;
end $$;

-- Whoever begins later is the next test's, also in the same microsecond. Where sequences can't be unlogged it would be written to the log each time.
create function rewind.note_restored() returns bigint language sql as $$
  select ${unlogged ? `setval('rewind.restored_at', floor(date_part('epoch', pg_catalog.clock_timestamp()) * 1000000)::int8)` : 'null::bigint'}
$$;

create function rewind.push_and_read(new_level int) returns text language plpgsql as $$
declare reading text := rewind.outside();
begin
  perform rewind.push(new_level);
  return reading;
end $$;

-- What committed transactions have changed since the checkpoint, by contents. The sessions with these pids are sandboxes:
-- what they hold open is nobody's leak. "open" tells of others that have written and are not over; they are looked at
-- first, so that whoever commits in between is found with the rows.
create function rewind.look(sandboxes int[], out outside text, out open boolean, out differences jsonb, out "schemaChange" text) language plpgsql as $$
declare
  targets oid[];
  at_level int := (select level from rewind.state);
  r rewind.relation;
  d record;
begin
  outside := rewind.outside_by_all_means();
  open := exists (
    select from pg_catalog.pg_locks l
    where l.locktype = 'relation' and l.granted and l.mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
      and l.database = (select oid from pg_catalog.pg_database where datname = current_database())
      and l.relation in (select relid from rewind.relation)
      and l.pid is distinct from pg_backend_pid() and (l.pid is null or l.pid <> all (sandboxes))
      and (l.pid is null or exists (select from pg_catalog.pg_stat_activity a where a.pid = l.pid and a.usesysid is not null)));
  differences := '[]';
  "schemaChange" := rewind.look_for_ddl();
  targets := rewind.holding_rows(rewind.moved());
  for r in
    select * from rewind.relation where relid = any (targets) and journal_root is null union all select * from rewind.journals_of(targets) order by name
  loop
    begin
      execute format('lock table only %s in access share mode nowait', r.name);
      if r.journal is null then select * into d from rewind.difference(r, at_level);
      else select * into d from rewind.journalled_difference(r, at_level);
      end if;
      if d.extra > 0 or d.missing > 0 then
        differences := differences || jsonb_build_object('name', r.name, 'extra', d.extra, 'missing', d.missing);
      end if;
    exception
      when lock_not_available then open := true; -- it can't be read now, by nobody
      when syntax_error_or_access_rule_violation then null; -- altered: the next restore will tell
    end;
  end loop;
  if (select there_are from rewind.with_large_objects) then
    differences := differences || coalesce((
      select jsonb_agg(jsonb_build_object('name', 'large object ' || b.loid, 'extra', (present is not null)::int, 'missing', (wanted is not null)::int) order by b.loid)
      from rewind.large_object_differences(at_level) b), '[]');
  end if;
  begin
    differences := differences || coalesce((
      select jsonb_agg(jsonb_build_object('name', 'materialized view ' || m.name, 'extra', 1, 'missing', 1) order by m.name)
      from rewind.matview_differences(at_level, array(select relid from rewind.moved_matviews())) m), '[]');
  exception when lock_not_available then open := true;
  end;
end $$;

-- The same from a journal: what each key was before its first entry, and what it is.
create function rewind.journalled_difference(r rewind.relation, at_level int, out extra bigint, out missing bigint) language plpgsql as $$
begin
  execute format($q$
    select count(*) filter (where present and (rewind_sign = 1 or not same)), count(*) filter (where rewind_sign = -1 and not (present and same))
    from (
      select s.rewind_sign, t.* is distinct from null as present, row(%1$s)::record *= row(%2$s)::record as same
      from (%3$s) s left join %4$s t on %5$s
    ) x $q$,
    r.stored, r.kept, rewind.first_images(r, '$1'), r.name, r.key_match)
  into extra, missing using rewind.journal_position_at(at_level);
end $$;

-- Brings these tables to the checkpoint although a sandbox's transaction is open: what that has not committed is not
-- seen, and where it has locked a row (or the table has to be locked: see the last lines) this fails, by lock_timeout.
create function rewind.repair(names text[]) returns void language plpgsql as $$
declare
  r record;
  c rewind.checkpoint;
  described rewind.relation;
  n bigint;
  others oid[] := '{}';
begin
  select * into strict c from rewind.checkpoint where level = (select level from rewind.state);
  for r in
    select rel.*, k.level, k.rows from rewind.relation rel
    left join lateral (select level, rows from rewind.capture where relid = rel.relid and level <= c.level order by level desc limit 1) k on true
    where rel.name = any (names) order by rel.relid
  loop
    if r.journal_root is not null or r.guarded or r.unchecked or r.forced or r.altered or current_setting('session_replication_role') <> 'replica' then
      others := others || r.relid;
      continue;
    end if;
    select * into described from rewind.relation where relid = r.relid;
    if r.copy is null then
      execute format('delete from only %s', r.name);
    elsif r.key_match is null then
      execute format('with %s select', array_to_string(rewind.by_count(described, r.level::text), ', '));
    else
      execute format('delete from only %s t where age(t.xmin) <= age($1) and t.xmin <> all ($2)
          and not exists (select from %s s where s.rewind_level = $3 and %s and row(%s)::record *= row(%s)::record)',
        r.name, r.copy, r.key_match, r.stored, r.kept) using c.fresh_from, c.own, r.level;
      execute format('select count(*) from only %s', r.name) into n;
      if n <> r.rows then
        execute format('%s from %s s where s.rewind_level = $1 and not exists (select from only %s t where %s)',
          rewind.insert_into(described), r.copy, r.name, r.key_match) using r.level;
      end if;
    end if;
  end loop;
  if others <> '{}' then perform rewind.bring_back(rewind.restorers_of(others), c.level, c.fresh_from, c.own); end if;
  update rewind.checkpoint set own = own || pg_current_xact_id()::xid where level = c.level;
  if exists (select from unnest(names) u where u like 'large object %') then perform rewind.restore_large_objects(c.level); end if;
  if exists (select from unnest(names) u where u like 'materialized view %') then perform rewind.restore_matviews(c.level); end if;
end $$;
`;
