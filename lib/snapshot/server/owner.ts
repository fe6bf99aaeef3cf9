/**
 * Restoring as a plain owner of the tables, who can't switch foreign keys off. All touched tables are brought back by
 * one statement: foreign keys are checked at its end, when every row is there, whatever the order and even in cycles.
 * Rows are changed in place: deleting a row would start ON DELETE actions, or fail on RESTRICT.
 */
export const ownerSql = /* sql */ `
create function rewind.bring_back_as_owner(targets oid[], at_level int, fresh_from xid, own xid[]) returns jsonb language plpgsql as $$
declare
  r record;
  root rewind.relation;
  is_new text := format('(age(t.xmin) <= age(%L::xid) and t.xmin <> all (%L::xid[]))', fresh_from, own);
  n_new bigint;
  n_old bigint;
  first text;
  member oid;
  source text;
  steps text[] := '{}';
  counts text[] := '{}';
  undo text[] := '{}';
  changed oid[] := '{}';
  altered_ones oid[];
  in_place boolean := true;
  done jsonb;
begin
  for r in
    select rel.*, c.level, c.rows
    from rewind.relation rel
    join lateral (select level, rows from rewind.capture where relid = rel.relid and level <= at_level order by level desc limit 1) c on true
    where rel.relid = any (targets) and rel.kind = 'r'
    order by rel.relid
  loop
    execute format('lock table only %s in share row exclusive mode', r.name);
    undo := undo || rewind.lift_row_security(array[r.relid]);
    execute format('select count(*) filter (where %1$s), count(*) filter (where not %1$s) from only %2$s t', is_new, r.name) into n_new, n_old;
    if n_new = 0 and n_old = r.rows then continue; end if;
    changed := changed || r.relid;
    undo := undo || rewind.silence(r.relid) || rewind.lift_unchecked(r.relid);
    source := format('select * from %s where rewind_level = %s', r.copy, r.level);
    if r.copy is null then
      steps := steps || format('d%s as (delete from only %s t where %s returning 1)', r.slot, r.name, is_new);
    elsif r.key_match is not null then
      in_place := in_place and rewind.updates_suffice(r.relid, 'only ' || r.name, source) and not rewind.acts_on_others(r.relid);
      steps := steps || rewind.in_place(r.relid, 'only ' || r.name, source, is_new);
    else
      in_place := in_place and not rewind.acts_on_others(r.relid);
      steps := steps || (select rewind.by_count(rel, r.level::text) from rewind.relation rel where rel.relid = r.relid);
    end if;
    counts := counts || rewind.count_steps(r.name, r.slot, steps);
  end loop;
  for root in select * from rewind.journals_of(targets) loop
    execute format('lock table %s in share row exclusive mode', root.name);
    for member in select f.relid from rewind.family(root.relid) f loop undo := undo || rewind.silence(member); end loop;
    first := rewind.first_images(root, rewind.journal_position_at(at_level)::text);
    in_place := in_place and rewind.updates_suffice(root.relid, root.name, format('select * from (%s) f where rewind_sign = -1', first))
      and not rewind.acts_on_others(root.relid);
    steps := steps || format('f%s as materialized (%s)', root.slot, first) || rewind.in_place(root.relid, root.name,
      format('select * from f%s where rewind_sign = -1', root.slot), format('exists (select from f%s s where %s)', root.slot, root.key_match));
    counts := counts || rewind.count_steps(root.name, root.slot, steps);
  end loop;
  if steps = '{}' then
    perform rewind.run(undo);
    return '[]';
  end if;
  begin
    if in_place then
      execute format('with %s select coalesce(jsonb_agg(jsonb_build_object(''name'', name, ''removed'', removed, ''added'', added)), ''[]'') from (values %s) v (name, removed, added) where removed > 0 or added > 0',
        array_to_string(steps, ', '), array_to_string(counts, ', ')) into done;
    else
      done := rewind.bring_back_unbound(changed || array(select relid from rewind.journals_of(targets)), at_level, fresh_from, own);
    end if;
    set constraints all immediate;
  exception when integrity_constraint_violation or data_exception or syntax_error_or_access_rule_violation then
    altered_ones := array(
      select relid from rewind.relation where altered
        and (relid = any (changed) or journal_root in (select j.relid from rewind.journals_of(targets) j where j.altered)));
    if altered_ones <> '{}' then
      -- What no longer fits is left as it is: the test that altered the table has been told.
      targets := array(select unnest(targets) except select unnest(altered_ones));
      done := rewind.bring_back_as_owner(targets, at_level, fresh_from, own);
    elsif sqlstate in ('23505', '23P01', '23503', '23001') then
      -- E.g. two kept rows whose unique values were swapped: neither can be changed first.
      done := rewind.bring_back_unbound(changed || array(select relid from rewind.journals_of(targets)), at_level, fresh_from, own);
    else
      raise;
    end if;
  end;
  for root in select * from rewind.journals_of(targets) loop
    execute format('select rewind.clear_journal_%s($1)', root.slot) using rewind.journal_position_at(at_level);
  end loop;
  perform rewind.run(undo);
  return done;
end $$;

-- Extra rows out, changed rows put back in place, missing rows in, in this order.
-- "reach" is the relation with or without its descendants.
create function rewind.in_place(target oid, reach text, source text, candidate text) returns text[] language plpgsql as $$
declare r rewind.relation;
begin
  select * into strict r from rewind.relation where relid = target;
  return array_remove(array[
    format('d%s as (delete from %s t where %s and not exists (select from (%s) s where %s) returning 1)', r.slot, reach, candidate, source, r.key_match),
    case when r.updatable is not null then
      format('u%s as (update %s t set %s from (%s) s where %s and %s and row(%s)::record *<> row(%s)::record returning 1)',
        r.slot, reach, r.updatable, source, r.key_match, candidate, r.stored, r.kept)
    end,
    format('i%1$s as (insert into %2$s (%3$s) overriding system value select %4$s from (%5$s) s
      where not exists (select from %8$s t where %6$s) and (select count(*) from d%1$s) >= 0 %7$s returning 1)',
      r.slot, r.name, r.columns, r.restored, source, r.key_match,
      case when r.updatable is not null then format('and (select count(*) from u%s) >= 0', r.slot) end, reach)
  ], null);
end $$;

-- No UPDATE can set a column that is GENERATED ALWAYS AS IDENTITY.
create function rewind.updates_suffice(target oid, reach text, source text) returns boolean language plpgsql as $$
declare
  r rewind.relation;
  differing text;
  suffice boolean := true;
begin
  select * into strict r from rewind.relation where relid = target;
  select string_agg(format('s.%s <> t.%I', rewind.copied_as(attname), attname), ' or ') into differing from pg_catalog.pg_attribute
  where attrelid = target and attidentity = 'a' and attname = any (r.copied_columns) and quote_ident(attname) <> all (r.key_columns);
  if differing is not null then
    execute format('select not exists (select from %s t join (%s) s on %s where %s)', reach, source, r.key_match, differing) into suffice;
  end if;
  return suffice;
end $$;

-- Whether a foreign key's ON DELETE or ON UPDATE would act on rows that are in place: it asks who points to the old values, and
-- not whether another row has them by now. Rows that share our key are changed in place, so those values are not given up.
create function rewind.acts_on_others(target oid) returns boolean language sql stable set search_path = pg_catalog as $$
  select exists (
    select from pg_constraint k where k.contype = 'f' and k.confrelid = target and (k.confdeltype in ('c', 'n', 'd') or k.confupdtype in ('c', 'n', 'd'))
      and (select array_agg(quote_ident(a.attname) order by a.attnum) from pg_attribute a where a.attrelid = target and a.attnum = any (k.confkey))
        is distinct from (select r.key_columns from rewind.relation r where r.relid = target))
$$;

create function rewind.count_steps(name text, slot int, steps text[]) returns text language sql immutable as $$
  select format('(%L, %s, %s)', name,
    (select coalesce(string_agg(format('(select count(*) from %s%s)', x, slot), ' + '), '0') from unnest(array['d', 'u']) x
      where exists (select from unnest(steps) s where starts_with(s, x || slot || ' as '))),
    (select coalesce(string_agg(format('(select count(*) from %s%s)', x, slot), ' + '), '0') from unnest(array['i', 'u']) x
      where exists (select from unnest(steps) s where starts_with(s, x || slot || ' as '))))
$$;

-- The last resort: foreign keys of and to these tables are dropped, and made again when the rows are back.
create function rewind.bring_back_unbound(targets oid[], at_level int, fresh_from xid, own xid[]) returns jsonb language plpgsql as $$
declare
  r record;
  undo text[] := '{}';
  done jsonb;
begin
  for r in select format('%I.%I', n.nspname, c.relname) as name, k.conname, pg_get_constraintdef(k.oid) as definition
    from pg_catalog.pg_constraint k join pg_catalog.pg_class c on c.oid = k.conrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where k.contype = 'f' and k.conparentid = 0 and (
      k.conrelid in (select rewind.and_ancestors(targets)) or k.confrelid in (select rewind.and_ancestors(targets)))
    order by k.oid
  loop
    execute format('alter table %s drop constraint %I', r.name, r.conname);
    undo := undo || format('alter table %s add constraint %I %s', r.name, r.conname, r.definition);
  end loop;
  done := rewind.bring_back_freely(rewind.restorers_of(targets), at_level, fresh_from, own);
  set constraints all immediate;
  perform rewind.run(undo);
  return done;
end $$;

create function rewind.and_ancestors(targets oid[]) returns setof oid language sql stable as $$
  with recursive line (relid) as (
    select unnest(targets) union select inhparent from line join pg_catalog.pg_inherits on inhrelid = line.relid
  )
  select relid from line
$$;
`;
