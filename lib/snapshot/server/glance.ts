/** Noticing cheaply that the schema may have changed. */
export const glanceSql = /* sql */ `
-- Also of DDL that is rolled back later. Whether it was from outside is for the leak watch: see leaks.ts.
create function rewind.count_ddl() returns void language plpgsql as $$
begin
  perform nextval('rewind.ddl');
  if current_setting('rewind.sandbox', true) is distinct from 'on' then perform nextval('rewind.outside'); end if;
end $$;

create function rewind.on_ddl() returns event_trigger language plpgsql security definer set search_path = pg_catalog as $$
begin
  if current_setting('rewind.working', true) = 'on' then return; end if;
  if tg_event = 'sql_drop' then
    if exists (select from pg_event_trigger_dropped_objects() where not is_temporary and coalesce(schema_name, '') not in ('rewind', 'pg_temp')) then
      perform rewind.count_ddl();
    end if;
  elsif exists (
    select from pg_event_trigger_ddl_commands()
    where coalesce(schema_name, '') not in ('rewind', 'pg_temp') and schema_name !~ '^pg_temp' is not false
      and command_tag not in ('REFRESH MATERIALIZED VIEW', 'COMMENT')
  ) then
    perform rewind.count_ddl();
  end if;
end $$;

-- Where event triggers can't be had: numbers that change when a catalog does. TRUNCATE and REFRESH give pg_class new
-- row versions too, so of it the contents are looked at; REFRESH makes a new TOAST table, so those are left out.
create function rewind.glance_at_catalogs() returns text language sql stable set search_path = pg_catalog as $$
  with toast as (select oid from pg_class where relnamespace = 'pg_toast'::regnamespace)
  select concat_ws(' ',
    (select concat(count(*), ':', sum(hashtextextended(concat(relname, relnamespace, relkind, relowner, relacl, relrowsecurity, relforcerowsecurity, reloptions), oid::int8)::numeric))
     from pg_class where oid >= 16384 and relpersistence <> 't' and relnamespace not in ('rewind'::regnamespace, 'pg_toast'::regnamespace)),
    (select concat(count(*), ':', sum(xmin::text::int8)) from pg_attribute where attrelid >= 16384 and attrelid not in (select oid from toast)),
    (select concat(count(*), ':', sum(xmin::text::int8)) from pg_attrdef where oid >= 16384),
    (select concat(count(*), ':', sum(xmin::text::int8)) from pg_constraint where oid >= 16384),
    (select concat(count(*), ':', sum(xmin::text::int8)) from pg_index where indexrelid >= 16384 and indrelid not in (select oid from toast)),
    (select concat(count(*), ':', sum(xmin::text::int8)) from pg_trigger where oid >= 16384),
    (select concat(count(*), ':', sum(xmin::text::int8)) from pg_proc where oid >= 16384),
    (select concat(count(*), ':', sum(xmin::text::int8)) from pg_type where oid >= 16384),
    (select concat(count(*), ':', sum(xmin::text::int8)) from pg_enum),
    (select concat(count(*), ':', sum(xmin::text::int8)) from pg_policy),
    (select concat(count(*), ':', sum(xmin::text::int8)) from pg_rewrite where oid >= 16384),
    (select concat(count(*), ':', sum(xmin::text::int8)) from pg_inherits),
    (select concat(count(*), ':', sum(xmin::text::int8)) from pg_sequence),
    (select concat(count(*), ':', sum(xmin::text::int8)) from pg_extension),
    (select concat(count(*), ':', sum(xmin::text::int8)) from pg_namespace where nspname !~ '^pg_'))
$$;

-- What every restore asks is plpgsql: PostgreSQL keeps its plans, and before 18 it plans functions in SQL at each call.
create view rewind.ddl_watch as
select count(*) = 2 and coalesce(current_setting('event_triggers', true), 'on') = 'on' as sees from pg_catalog.pg_event_trigger where evtname in ('rewind_ddl', 'rewind_drop') and evtenabled = 'A';

create function rewind.sees_ddl() returns boolean language plpgsql as $$
begin
  return (select sees from rewind.ddl_watch);
end $$;

-- A glance takes milliseconds. It needs no repeating while nothing at all was written to the server's log, catalogs
-- included. A transaction that was about to commit during the glance might have written its last already: none may run.
create function rewind.schema_moved() returns boolean language plpgsql as $$
declare
  written_to text;
  settled boolean;
begin
  if rewind.sees_ddl() then return pg_sequence_last_value('rewind.ddl') is distinct from (select ddl_seen from rewind.state); end if;
  written_to := pg_current_wal_insert_lsn();
  if written_to = current_setting('rewind.glanced_at', true) then return false; end if;
  settled := not rewind.may_commit();
  if rewind.glance_at_catalogs() is distinct from (select catalog_seen from rewind.state) then return true; end if;
  if settled then perform set_config('rewind.glanced_at', written_to, false); end if;
  return false;
end $$;

-- Whether anybody else in this database has a transaction id, and is not over: who has one holds a lock on it for as long.
-- A snapshot may leave the newest one out, and pg_stat_activity is read once per transaction, without other roles' ids.
create function rewind.may_commit() returns boolean language plpgsql as $$
begin
  return exists (
      select from pg_catalog.pg_locks l left join pg_catalog.pg_stat_activity a using (pid)
      where l.locktype = 'transactionid' and l.mode = 'ExclusiveLock' and l.pid <> pg_backend_pid()
        and coalesce(a.datname = current_database(), true))
    or exists (select from pg_catalog.pg_prepared_xacts where database = current_database());
end $$;

-- The counter, for noting what is looked at afterwards. DDL counts when it is run, and is seen when it is committed: where
-- anybody might be about to commit, the counter stays as it was noted last.
create function rewind.ddl_reading() returns bigint language plpgsql as $$
declare reading bigint := pg_sequence_last_value('rewind.ddl');
begin
  return case when rewind.may_commit() then (select ddl_seen from rewind.state) else reading end;
end $$;

create function rewind.note_glance(reading bigint) returns void language plpgsql as $$
begin
  if rewind.sees_ddl() then update rewind.state set ddl_seen = reading;
  else update rewind.state set catalog_seen = rewind.glance_at_catalogs(); end if;
end $$;
`;

/** Only a superuser can have these (PostgreSQL manual, CREATE EVENT TRIGGER). */
export const eventTriggersSql = /* sql */ `
create event trigger rewind_ddl on ddl_command_end execute function rewind.on_ddl();
create event trigger rewind_drop on sql_drop execute function rewind.on_ddl();
alter event trigger rewind_ddl enable always;
alter event trigger rewind_drop enable always;
`;
