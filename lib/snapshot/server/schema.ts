/**
 * Where the snapshot lives. Everything is in one schema, so that `drop schema rewind cascade` takes away every trace:
 * the triggers on the app's tables and the event triggers depend on functions in it.
 *
 * `unlogged` is `unlogged` where sequences can be that (PostgreSQL 15, "CREATE SEQUENCE"), and empty elsewhere.
 */
export const schemaSql = (unlogged: string): string => /* sql */ `
create schema rewind;
comment on schema rewind is 'mocha-rewind: copy of the test baseline. "drop schema rewind cascade" removes every trace.';

-- One row: what this snapshot is, and in what state the last run left it.
--   taking   a baseline is being made, or was given up; what is here is worth nothing
--   running  a run may have changed the database since the checkpoint
--   kept     no run is on; what changes now belongs to the next baseline
create table rewind.state (
  only_row boolean primary key default true check (only_row),
  version text not null,
  self oid not null,                  -- this table's oid: another one in a restored dump, where no oid below holds
  status text not null check (status in ('taking', 'running', 'kept')),
  level int not null default 0,
  fingerprint text,                   -- what the caller says the baseline depends on
  ddl_seen bigint,                    -- last value of rewind.ddl that has been looked at
  catalog_seen text,                  -- the same, where event triggers can't be had
  taken_at timestamptz
) with (fillfactor = 50);

-- A server crash empties unlogged tables and resets unlogged sequences: if this row is gone, no counter can be trusted.
create unlogged table rewind.alive (one boolean);

-- The stack. A row version of an untouched table is older than "fresh_from", or was written by us ("own").
create table rewind.checkpoint (
  level int primary key,
  fresh_from xid not null,
  own xid[] not null default '{}',
  journal_position bigint not null,
  adopted boolean not null default false -- the schema had moved: "fresh_from" of those below tells nothing
) with (fillfactor = 50);

-- Counters are bumped by statement triggers. Groups of 32 keep the reading flat in the number of tables.
create table rewind.counter_group (
  slot int primary key,
  counter oid not null,
  seen bigint,
  -- Of its members, in the same order. A row each would have to be found and updated each time.
  relids oid[] not null default '{}',
  counters oid[],
  restorers int[],
  members_seen bigint[]
) with (fillfactor = 50);
create sequence rewind.slot minvalue 0;

create table rewind.relation (
  relid oid primary key,
  slot int not null unique,           -- the number in the names of what belongs to it
  kind "char" not null,               -- r: holds rows; p: partitioned
  name text not null,                 -- quoted and qualified
  group_slot int not null,
  counter oid not null,
  restorer int,                       -- the slot whose function brings its rows back: its own, or its journal's
  copy text,                          -- null until a row had to be copied
  columns text not null,              -- what can be inserted: not dropped, not generated
  types text not null,                -- of these columns
  stored text not null,               -- the same as expressions over t, as they are kept
  copied text not null,               -- the same as they are named in the copy, or journal
  kept text not null,                 -- these over s, to be compared with "stored": equal texts, and equal record images, are equal contents
  restored text not null,             -- the same as expressions over s, as they go back
  copied_columns text[] not null,     -- the names of those in the copy
  key_columns text[],                 -- what tells rows apart, null if nothing does: quoted
  key_copied text,                    -- the same as they are named in the copy, or journal
  key_match text,
  updatable text,                     -- "col = s.col, …" for restoring in place
  truncatable boolean not null,       -- nothing references it
  guarded boolean not null,           -- has triggers or rules that fire in any session
  unchecked boolean not null,         -- has constraints its own rows may violate (NOT VALID)
  forced boolean not null,            -- row security binds its owner too
  form text not null,                 -- its file, and its columns' numbers: others where DDL may have changed rows
  prepared boolean not null default false, -- the function that restores it is made
  listed boolean not null default false,   -- and may be called: see prepare.ts
  altered boolean not null default false, -- its columns are not those of the copy: restored as far as that goes
  journal_root oid,                   -- the table or partition root whose journal has this relation's changes
  journal text                        -- of a root: its journal
) with (fillfactor = 50);
create index on rewind.relation (group_slot);

-- Which level holds a copy of which relation, and how many rows it had.
create table rewind.capture (level int, relid oid, rows bigint not null, primary key (relid, level));
-- Contents of journalled relations when the baseline was taken, for verification.
create table rewind.journal_baseline (relid oid primary key, rows bigint not null, hash numeric not null);

-- Sequences as they are at the current level, and what they were below the levels that changed them.
create table rewind.sequence_now (seqid oid primary key, name text not null, last_value bigint not null, is_called boolean not null,
  logged boolean not null); -- its next move is written to the server's log
create table rewind.sequence_below (level int, seqid oid, last_value bigint not null, is_called boolean not null, primary key (level, seqid));
create table rewind.large_object (level int, loid oid, data bytea, primary key (loid, level)); -- no data: did not exist
create table rewind.matview (level int, relid oid, name text not null, seen xid not null, populated boolean not null, rows bigint, hash numeric, primary key (relid, level));

-- The schema, one row per object, at levels where it differs from the level below; level -1: as last seen.
create table rewind.object (level int, kind text, name text, id oid, parts text[], primary key (level, kind, name));

create ${unlogged} sequence rewind.ddl;
create ${unlogged} sequence rewind.journal_failed;
create sequence rewind.journal_position;
create ${unlogged} sequence rewind.outside; -- bumped with the counters by all who are not a sandbox: see leaks.ts
-- When the last restore was over, and when the transaction began that has written after it, but began before it: in
-- microseconds. Nobody who writes has to wait for it, as one would for a row.
create ${unlogged} sequence rewind.restored_at;
create ${unlogged} sequence rewind.late_since;

-- For whoever writes: the table's own counter comes first, since whoever reads a group as moved must find the table moved
-- too. Our own writes don't count; a sandbox's do (they may be committed after all), but are not from outside. Never true.
-- Their search_path may lead to another now() first: tests that freeze the time do it so.
create function rewind.count_write(own regclass, in_group regclass) returns boolean language plpgsql security definer as $$
begin
  return pg_catalog.current_setting('rewind.working', true) is distinct from 'on'
    and (pg_catalog.nextval(own) is null or pg_catalog.nextval(in_group) is null
      or (pg_catalog.current_setting('rewind.sandbox', true) is distinct from 'on'
        and (pg_catalog.nextval('rewind.outside') is null
          or (pg_catalog.date_part('epoch', pg_catalog.now()) * 1000000 < coalesce(pg_catalog.pg_sequence_last_value('rewind.restored_at'), 0)
            and pg_catalog.setval('rewind.late_since', (pg_catalog.date_part('epoch', pg_catalog.now()) * 1000000)::int8) is null))));
end $$;
grant execute on function rewind.count_write to public; -- which default privileges may have taken away

-- Who cleans all tables of all schemas would leave us without a baseline.
create function rewind.refuse() returns trigger language plpgsql as $$
begin
  raise '% of rewind.% refused: mocha-rewind keeps the baseline in schema "rewind". Leave that out of what you clean', lower(tg_op), tg_table_name;
end $$;

create function rewind.guard(target regclass) returns void language plpgsql as $$
begin
  execute format(
    $t$ create trigger guard before delete or truncate on %s for each statement
      when (current_setting('rewind.working', true) is distinct from 'on') execute function rewind.refuse() $t$, target);
  execute format('alter table %s enable always trigger guard', target);
end $$;
select rewind.guard(oid) from pg_catalog.pg_class where relnamespace = 'rewind'::regnamespace and relkind = 'r';

-- Of the counting triggers, which never call it: their condition does the counting, and is never true.
create function rewind.never() returns trigger language plpgsql as $$ begin return null; end $$;
`;
