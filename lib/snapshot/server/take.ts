/** Making the present contents the baseline, or finding that most of what an earlier run has kept still is. */
export const takeSql = /* sql */ `
-- Taking the baseline, in several transactions, so that no lock table is too small for it: begin_take, then arm and
-- capture until nothing is left, then end_take.
create function rewind.begin_take() returns void language plpgsql as $$
declare
  now_running xid := rewind.oldest_writer();
  moved record;
begin
  perform rewind.drop_levels_above(0);
  update rewind.state set status = 'taking';
  if rewind.schema_moved() then perform rewind.discard_outdated(); end if;
  moved := rewind.take_moved(exists (select from rewind.alive));
  if moved.parents then perform rewind.wait_for_routing(moved.relids); end if;
  delete from rewind.capture where relid = any (rewind.holding_rows(moved.relids));
  perform rewind.settle_journals(moved.relids);
  insert into rewind.alive select true where not exists (select from rewind.alive);
  insert into rewind.checkpoint values (0, now_running, '{}', nextval('rewind.journal_position'))
  on conflict (level) do update set fresh_from = excluded.fresh_from, own = '{}', journal_position = excluded.journal_position;
end $$;

-- Arms up to so many relations; returns how many were found.
create function rewind.arm_some(at_most int) returns int language plpgsql as $$
declare
  r oid;
  n int := 0;
begin
  for r in select w.relid from rewind.watchable w where w.ours and not exists (select from rewind.relation x where x.relid = w.relid) order by w.relid limit at_most loop
    perform rewind.arm(r);
    n := n + 1;
  end loop;
  return n;
end $$;

create function rewind.capture_some(at_most int) returns int language plpgsql as $$
declare
  r oid;
  n int := 0;
begin
  for r in select relid from rewind.relation x where kind = 'r' and journal_root is null
    and not exists (select from rewind.capture c where c.relid = x.relid and c.level = 0) order by relid limit at_most
  loop
    perform rewind.capture(r, 0);
    n := n + 1;
  end loop;
  return n;
end $$;

create function rewind.end_take(fingerprint text) returns void language plpgsql as $$
begin
  delete from rewind.large_object;
  delete from rewind.matview;
  perform rewind.note_sequences(0);
  perform rewind.settle_sequences();
  perform rewind.note_large_objects(0);
  perform rewind.note_matviews(0);
  if rewind.schema_moved() or not exists (select from rewind.object where level = 0) then perform rewind.note_schema(0); end if;
  update rewind.state set status = 'running', level = 0, fingerprint = end_take.fingerprint, taken_at = pg_catalog.clock_timestamp();
  perform rewind.note_restored();
end $$;
`;
