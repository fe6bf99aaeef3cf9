/**
 * Large tables are not copied: statement triggers with transition tables write signed row images to a journal, and a
 * restore undoes it. Counting rows by xmin would scan the table; this costs what the test changed.
 *
 * A partition tree has one journal, its root's: statement triggers fire on the relation that is named, so every member
 * writes to it. A table with classic inheritance is never journalled: its parent's transition tables lack the columns
 * of the children. Journals are ordinary logged tables, so a crash of the server loses none of it.
 */
export const journalSql = /* sql */ `
create function rewind.family(root oid) returns setof rewind.relation language sql stable as $$
  with recursive tree (relid) as (
    select root union select inhrelid from tree join pg_catalog.pg_inherits on inhparent = tree.relid
  )
  select r.* from tree join rewind.relation r using (relid)
$$;

create function rewind.hash_relation(r rewind.relation, out rows bigint, out hash numeric) language plpgsql as $$
begin
  execute format('select count(*), coalesce(sum(hashtextextended(row(%s)::text, 0)::numeric), 0) from %s t', r.stored, r.name) into rows, hash;
end $$;

-- Why a table or partition tree can't be journalled, or its journal not be undone; null if it can.
create function rewind.obstacle(root rewind.relation) returns text language sql stable as $$
  select case
    when root.key_match is null then 'no primary key'
    when exists (select from pg_catalog.pg_inherits where inhrelid = root.relid or (inhparent = root.relid and root.kind = 'r')) then 'inheritance'
    when bool_or(f.guarded) then 'triggers or rules that are ALWAYS on, or rows without replica identity'
    when bool_or(f.unchecked) then 'a constraint that is NOT VALID'
    when bool_or(f.forced) then 'FORCE ROW LEVEL SECURITY'
    when bool_or(c.relpersistence <> 'p') then 'UNLOGGED' -- a crash empties it unseen
    -- It may write to any of the tables that are truncated, after their rows were journalled.
    when exists (select from pg_catalog.pg_trigger where tgtype & 34 = 34 and rewind.is_users(tgconstraint, tgfoid)) then 'a trigger BEFORE TRUNCATE'
  end
  from rewind.family(root.relid) f join pg_catalog.pg_class c on c.oid = f.relid
$$;

-- Chooses tables that are worth a journal: more rows than this, and nothing in the way.
create function rewind.choose_journals(above bigint) returns void language plpgsql as $$
declare
  r rewind.relation;
  n bigint;
begin
  for r in select * from rewind.relation x
    where x.journal_root is null
      and not exists (select from rewind.capture c where c.relid = x.relid and c.level = 0)
      and (select sum(pg_relation_size(relid)) >= above * 28 from rewind.family(x.relid)) -- a row takes no less
      and rewind.obstacle(x) is null
  loop
    execute format('select count(*) from (select from %s limit $1) t', r.name) into n using above + 1;
    if n > above then perform rewind.start_journal(r); end if;
  end loop;
end $$;

-- Tables with more rows than this that are copied for all that.
create function rewind.large_copies(above bigint) returns table (name text, rows bigint, obstacle text) language sql stable as $$
  with large as materialized (
    select r, n.rows
    from rewind.relation r
    cross join lateral (select sum(k.rows)::bigint as rows from rewind.capture k where k.level = 0 and k.relid in (select relid from rewind.family(r.relid))) n
    where r.journal_root is null and n.rows > above and (select not relispartition from pg_catalog.pg_class where oid = r.relid)
  )
  select (r).name, rows, rewind.obstacle(r) from large where rewind.obstacle(r) is not null
$$;

create function rewind.arm_journal(m rewind.relation, journal_slot int) returns void language plpgsql as $$
begin
  execute format('create or replace trigger rewind_journal_insert after insert on %s referencing new table as new_rows for each statement execute function rewind.journal_%s_insert()', m.name, journal_slot);
  execute format('create or replace trigger rewind_journal_delete after delete on %s referencing old table as old_rows for each statement execute function rewind.journal_%s_delete()', m.name, journal_slot);
  execute format('create or replace trigger rewind_journal_update after update on %s referencing old table as old_rows new table as new_rows for each statement execute function rewind.journal_%s_update()', m.name, journal_slot);
  execute format('alter table only %s enable always trigger rewind_journal_insert, enable always trigger rewind_journal_delete, enable always trigger rewind_journal_update', m.name);
  if m.kind = 'r' then -- fires for every relation that TRUNCATE, with or without CASCADE, empties
    execute format('create or replace trigger rewind_journal_truncate before truncate on %s for each statement execute function rewind.journal_%s_truncate()', m.name, journal_slot);
    execute format('alter table only %s enable always trigger rewind_journal_truncate', m.name);
  end if;
end $$;

create function rewind.start_journal(root rewind.relation) returns void language plpgsql as $$
declare
  m rewind.relation;
  journal_table text := 'rewind.journal_' || root.slot;
  -- What is kept as text is read by our session, and written here by the app's, in the same way by all of them. Each setting costs time.
  as_text text := case when root.stored ~ '::text' then
    $b$ set datestyle = 'ISO' set intervalstyle = 'postgres' set extra_float_digits = 1 set bytea_output = 'hex' set xmloption = 'content'
      set timezone = 'UTC' set lc_monetary = 'C' set quote_all_identifiers = off $b$ else '' end;
  body text := $b$ returns trigger language plpgsql security definer set search_path = pg_catalog $b$ || as_text || $b$ as %L $b$;
  work text := $b$
    begin
      if current_setting('rewind.working', true) = 'on' then return null; end if;
      %s;
      return null;
    exception when others then -- e.g. the test has altered the table: its own statement must not fail for that
      perform nextval('rewind.journal_failed');
      return null;
    end $b$;
  image text := 'insert into %s select j.n, %s, %s from nextval(''rewind.journal_position'') j (n), %s t';
  on_event record;
begin
  execute format('create table %s (rewind_n, rewind_sign, %s) as select null::int8, null::int2, %s from %s t limit 0', journal_table, root.copied, root.stored, root.name);
  perform rewind.guard(journal_table::regclass);
  execute format('alter table %s replica identity full', journal_table); -- as that of a copy
  -- Dead rows would slow down every later undo: they go with their file, if no level below needs the journal.
  execute format($c$
    create function rewind.clear_journal_%1$s(rewind_since bigint) returns void language plpgsql as $f$
    begin
      if pg_relation_size(%2$L) < 1000000 or exists (select from %2$s where rewind_n <= rewind_since) then delete from %2$s where rewind_n > rewind_since;
      else truncate %2$s;
      end if;
    end $f$ $c$, root.slot, journal_table);
  for on_event in
    select * from (values
      ('insert', format(image, journal_table, 1, root.stored, 'new_rows')),
      ('delete', format(image, journal_table, -1, root.stored, 'old_rows')),
      -- Within a statement the old image comes first.
      ('update', format('insert into %1$s select j.n, i.* from nextval(''rewind.journal_position'') j (n), (select -1::int2, %2$s from old_rows t union all select 1, %2$s from new_rows t) i',
        journal_table, root.stored)),
      ('truncate', 'execute format(' || quote_literal(format(image, journal_table, -1, replace(root.stored, '%', '%%'), 'only %s')) || ', tg_relid::regclass)')
    ) v (name, does)
  loop
    execute format('create function rewind.journal_%s_%s()' || body, root.slot, on_event.name, format(work, on_event.does));
  end loop;
  for m in select * from rewind.family(root.relid) loop
    perform rewind.arm_journal(m, root.slot);
    if m.copy is not null then execute format('drop table %s', m.copy); end if;
    delete from rewind.capture where relid = m.relid;
    update rewind.relation set journal_root = root.relid, copy = null, restorer = root.slot, journal = case when relid = root.relid then journal_table end
    where relid = m.relid;
    perform rewind.note_members(m.group_slot);
    perform rewind.unprepare(m.relid);
  end loop;
  insert into rewind.journal_baseline select root.relid, h.rows, h.hash from rewind.hash_relation(root) h;
end $$;

-- The whole family goes back to being copied.
create function rewind.stop_journal(target oid) returns void language plpgsql as $$
declare
  root rewind.relation;
  m record;
  t text;
begin
  select * into root from rewind.relation where relid = (select journal_root from rewind.relation where relid = target);
  if root.relid is null then return; end if;
  for m in select relid, group_slot, name from rewind.relation where journal_root = root.relid loop
    update rewind.relation set journal_root = null, journal = null, restorer = case kind when 'r' then slot end where relid = m.relid;
    perform rewind.note_members(m.group_slot);
    perform rewind.unprepare(m.relid);
    if not exists (select from pg_catalog.pg_class where oid = m.relid) then continue; end if;
    foreach t in array array['insert', 'update', 'delete', 'truncate'] loop
      execute format('drop trigger if exists rewind_journal_%s on %s', t, m.relid::regclass);
    end loop;
  end loop;
  foreach t in array array['insert', 'update', 'delete', 'truncate'] loop
    execute format('drop function rewind.journal_%s_%s()', root.slot, t);
  end loop;
  execute format('drop function rewind.clear_journal_%s(bigint)', root.slot);
  execute format('drop table %s', root.journal);
  delete from rewind.journal_baseline where relid = root.relid;
end $$;

create function rewind.wait_for_writers(target oid) returns void language plpgsql as $$
begin
  execute format('lock table %s in share mode', (select name from rewind.relation where relid = target));
end $$;

-- Roots whose journal has an entry. An entry of a rolled back transaction is rolled back too, so this is exact.
create function rewind.filled_journals() returns oid[] language plpgsql as $$
declare
  r record;
  filled boolean;
  roots oid[] := '{}';
begin
  for r in select relid, journal from rewind.relation where journal is not null loop
    execute format('select exists (select from %s)', r.journal) into filled;
    if filled then roots := roots || r.relid; end if;
  end loop;
  return roots;
end $$;

-- The present contents of journalled tables become the baseline. Whoever is writing to one might commit entries later whose
-- positions come before it.
create function rewind.settle_journals(moved oid[]) returns void language plpgsql as $$
declare r rewind.relation;
begin
  for r in select * from rewind.journals_of(moved) loop perform rewind.wait_for_writers(r.relid); end loop;
  if rewind.journals_failed() then
    for r in select * from rewind.relation where journal is not null loop perform rewind.stop_journal(r.relid); end loop;
    perform rewind.note_journals_failed();
  end if;
  for r in select * from rewind.relation where relid = any ((select rewind.filled_journals())::oid[]) loop
    perform rewind.wait_for_writers(r.relid);
    execute format('delete from %s', r.journal);
    update rewind.journal_baseline b set (rows, hash) = (select h.rows, h.hash from rewind.hash_relation(r) h) where relid = r.relid;
  end loop;
end $$;

-- Journalled tables that are not what the baseline was.
create view rewind.journal_difference as
with journalled as materialized (select r, b.rows, b.hash from rewind.relation r join rewind.journal_baseline b using (relid)) -- or all tables were read
select (b.r).name, b.rows as wanted, h.rows as present from journalled b, rewind.hash_relation(b.r) h where (h.rows, h.hash) is distinct from (b.rows, b.hash);

create function rewind.lost_journals() returns text language sql as $$
  select string_agg(name, ', ' order by name) from rewind.journal_difference
$$;

create function rewind.journals_failed() returns boolean language sql as $$
  select pg_sequence_last_value('rewind.journal_failed') is not null
$$;
create function rewind.note_journals_failed() returns void language sql as $$
  select setval('rewind.journal_failed', 1, false)
$$;

-- Undoes what was journalled after a position. What was written first, nothing tells: statements that run inside another
-- (triggers, cascades, functions) may be journalled before it, or after. But whatever the order, each image of a row that was
-- written and overwritten has as many + as -; so of one key, at most one is left with a -, which was there in the beginning, and
-- at most one with a +, which is there now. Where none is left, the row is what it was.
create function rewind.prepare_journalled(r rewind.relation) returns void language plpgsql as $$
begin
  if r.key_match is null then -- the test has dropped the key, and was told
    execute format('create or replace function rewind.bring_back_%s(fresh_from xid, own xid[], at_level int) returns jsonb language sql as ''select null::jsonb''', r.slot);
    return;
  end if;
  execute format('create or replace function rewind.bring_back_%s(fresh_from xid, own xid[], at_level int) returns jsonb language plpgsql as %L', r.slot, format($b$
    #variable_conflict use_column
    declare -- columns of the app's are named here without their table
      rewind_since bigint := rewind.journal_position_at(at_level);
      rewind_removed bigint;
      rewind_added bigint;
    begin
      lock table %2$s in share row exclusive mode;
      with first as materialized (%3$s), gone as (
        delete from %2$s t using first s where %4$s and (s.rewind_sign = 1 or row(%5$s)::record *<> row(%6$s)::record) returning 1
      ), back as (
        %7$s from first s where s.rewind_sign = -1 and (select count(*) from gone) >= 0
          and not exists (select from %2$s t where %4$s and row(%5$s)::record *= row(%6$s)::record) returning 1
      )
      select (select count(*) from gone), (select count(*) from back) into rewind_removed, rewind_added;
      perform rewind.clear_journal_%1$s(rewind_since);
      return rewind.done(%8$L, rewind_removed, rewind_added);
      %9$s
    end $b$,
    r.slot, r.name, rewind.first_images(r, 'rewind_since'), r.key_match, r.stored, r.kept, rewind.insert_into(r), r.name,
    -- What no longer fits is left as it is: the test that altered the table has been told.
    case when r.altered then 'exception when data_exception or integrity_constraint_violation or syntax_error_or_access_rule_violation then return null;' end));
end $$;

-- Without a key nothing can be undone.
create function rewind.journals_of(targets oid[]) returns setof rewind.relation language sql stable as $$
  select * from rewind.relation where relid in (select journal_root from rewind.relation where relid = any (targets)) and key_match is not null
  order by relid
$$;
create function rewind.journal_position_at(at_level int) returns bigint language sql stable as $$
  select journal_position from rewind.checkpoint where level = at_level
$$;

-- Of most keys there is one image, or the two of one UPDATE, whose old one was there: to find what is left, these need not be
-- compared.
create function rewind.first_images(r rewind.relation, since text) returns text language sql immutable as $$
  select format($q$
    with several as materialized (
      select %1$s, true as rewind_several from %4$s where rewind_n > %5$s group by %1$s having count(*) > 2 or min(rewind_n) < max(rewind_n)
    )
    select distinct on (%1$s) %2$s, sign(rewind_left) as rewind_sign
    from (
      select %2$s, rewind_sign as rewind_left from %4$s left join several using (%1$s) where rewind_n > %5$s and rewind_several is null
      union all
      select %2$s, sum(rewind_sign) over (partition by %1$s, row(%3$s)::text collate "C") from %4$s s join several using (%1$s) where rewind_n > %5$s
    ) s
    where rewind_left <> 0 order by %1$s, rewind_left$q$, r.key_copied, r.copied, r.kept, r.journal, since)
$$;
`;
