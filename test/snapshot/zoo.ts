/**
 * Tables to which statements write while a statement writes to them: before and after it, per row and per statement, nested,
 * deferred, by cascade and by rule.
 */
export const SELF_WRITING = `
create table stamped (id serial primary key, v text, s text);
create function stamp() returns trigger language plpgsql as $$
  begin update stamped set s = upper(new.v) where id = new.id and s is distinct from upper(new.v); return null; end $$;
create trigger stamp after insert or update of v on stamped for each row execute function stamp();
create table latest (id int primary key, v text, n int default 0);
create function replace_row() returns trigger language plpgsql as $$ begin delete from latest where id = new.id; return new; end $$;
create trigger replace_row before insert on latest for each row execute function replace_row();
create function count_others() returns trigger language plpgsql as $$
  begin
    if pg_trigger_depth() < 3 then
      update latest set n = n + 1 where id in (new.id + 1, new.id + 2) and n < 5;
      insert into latest values (new.id + 10, 'by trigger') on conflict (id) do update set n = -latest.n;
    end if;
    return null;
  end $$;
create trigger count_others after insert or update on latest for each row execute function count_others();
create table ranked (id int primary key, place int, n int default 0);
create function give_places() returns trigger language plpgsql as $$
  begin
    if pg_trigger_depth() > 1 then return null; end if;
    update ranked r set place = x.place from (select id, row_number() over (order by id) as place from ranked) x where x.id = r.id and x.place <> r.place;
    delete from ranked where place > 12;
    return null;
  end $$;
create trigger give_places after insert or update or delete on ranked for each statement execute function give_places();
create trigger give_places_before before update or delete on ranked for each statement execute function give_places();
create table nodes (id int primary key, parent int references nodes (id) on delete cascade on update cascade, total int default 0);
create function add_up() returns trigger language plpgsql as $$
  begin update nodes set total = total + 1 where id = coalesce(new.parent, old.parent); return null; end $$;
create trigger add_up after insert or delete on nodes for each row execute function add_up();
create table later (id int primary key, v int);
create function double_later() returns trigger language plpgsql as $$
  begin update later set v = v * 2 where id = new.id and v between 1 and 20; return null; end $$;
create constraint trigger double_later after insert or update on later deferrable initially deferred for each row execute function double_later();
create table ruled (id int primary key, v text, n int default 0);
create rule count_inserts as on insert to ruled do also update ruled set n = n + 1 where id = new.id or id = 1;
create rule soft_delete as on delete to ruled where old.id = 2 do instead update ruled set v = 'deleted' where id = old.id;
create table slices (id int primary key, v int) partition by range (id);
create table slices_1 partition of slices for values from (0) to (10);
create table slices_2 partition of slices for values from (10) to (1000);
create function move_on() returns trigger language plpgsql as $$
  begin update slices set id = id + 10 where id = new.id and id < 10 and new.v > 5; return null; end $$;
create trigger move_on after insert or update of v on slices for each row execute function move_on();
insert into stamped (v) select 'v' || g from generate_series(1, 10) g;
insert into latest select g, 'v' || g from generate_series(1, 5) g;
insert into ranked select g from generate_series(1, 10) g;
insert into nodes values (1, null), (2, 1), (3, 1), (4, 2), (5, 4);
insert into later values (1, 1), (2, 2), (3, 30);
insert into ruled values (1, 'a'), (2, 'b'), (3, 'c');
insert into slices select g, g % 5 from generate_series(1, 25) g where g not between 9 and 18;
`;

/** A schema with one of every kind of relation, column, key, constraint and trigger a restore has to cope with. */
export const ZOO = `
alter default privileges revoke execute on functions from public;
create schema app2;
create type mood as enum ('sad', 'ok', 'happy');
create type addr as (street text, zip numeric(7, 2));
create domain posint as int check (value > 0);
create table users (
  id serial primary key, email text unique not null, mood mood, moods mood[], a addr, j json, jb jsonb, f float8, n numeric,
  b bytea, ts timestamptz default now(), dropme int, p posint, at point, bits bit(3)
);
alter table users drop column dropme;
create table "Order Items" (
  id bigint generated always as identity primary key, user_id int references users (id) on delete cascade, qty int,
  price numeric, total numeric generated always as (qty * price) stored, "weird ""col" text
);
create table app2.logs (msg text, at timestamptz, j json);
create table nokey_dups (a int, b text);
create table ident_default (id int generated by default as identity (start 100 increment 5), v text);
create table cyc_a (id int primary key, b_id int);
create table cyc_b (id int primary key, a_id int not null references cyc_a (id));
alter table cyc_a add foreign key (b_id) references cyc_b (id) on delete restrict;
create table tree (id int primary key, parent int references tree (id) on delete cascade, name text);
create table setnull (id int primary key, user_id int references users (id) on delete set null);
create table metrics (id bigserial, at date not null, v int, primary key (id, at)) partition by range (at);
create table metrics_2023 partition of metrics for values from ('2023-01-01') to ('2024-01-01') partition by hash (id);
create table metrics_2023_a partition of metrics_2023 for values with (modulus 2, remainder 0);
create table metrics_2023_d partition of metrics_2023 for values with (modulus 2, remainder 1);
create table metrics_2024 partition of metrics for values from ('2024-01-01') to ('2025-01-01');
create table metric_notes (metric_id bigint, at date, note text, foreign key (metric_id, at) references metrics on delete cascade)
  partition by hash (metric_id);
create table metric_notes_0 partition of metric_notes for values with (modulus 2, remainder 0);
create table metric_notes_1 partition of metric_notes for values with (modulus 2, remainder 1);
create table animals (id int primary key, name text);
create table dogs (breed text) inherits (animals);
create table puppies (age int) inherits (dogs);
create unlogged table cache (k text primary key, v bytea);
create table docs (id uuid primary key default gen_random_uuid(), body text, owner name default current_user);
create table audit (id bigserial primary key, tbl text, op text, at timestamptz default clock_timestamp());
create function audit() returns trigger language plpgsql as $$
  begin insert into audit (tbl, op) values (tg_table_name, tg_op); return coalesce(new, old); end $$;
create trigger aud after insert or update or delete on users for each row execute function audit();
create function guard() returns trigger language plpgsql as $$ begin raise exception 'settings are protected'; end $$;
create table settings (k text primary key, v text);
create function touch_ts() returns trigger language plpgsql as $$ begin new.v := new.v || '!'; return new; end $$;
create table bookings (
  id serial primary key, room int, during int4range,
  exclude using gist (int4range(room, room, '[]') with &&, during with &&)
);
create table deferred_u (id int primary key deferrable initially deferred, pos int unique deferrable initially deferred);
create table zero_cols ();
create table toasty (id int primary key, big text);
create table empty_one (id serial primary key, v text);
create table empty_two (id bigserial primary key, one_id int references empty_one (id) on delete cascade);
create table swapped (id int primary key, code text unique not null);
create table swapped_children (code text references swapped (code) on delete cascade, n int primary key);
create table renamed (id int primary key, code text unique not null);
create table renamed_children (code text references renamed (code) on delete set null on update cascade, n int primary key);
create table keyless_parents (code text unique, v int);
create table keyless_children (code text references keyless_parents (code) on delete cascade, n int primary key);
create table terms (id int, since date, added int, removed int, primary key (id, since, added));
create table parted (id int primary key, v text) partition by range (id);
create table parted_1 partition of parted for values from (0) to (100);
create table moody (mood mood primary key, n int);
create table unchecked (id int primary key, n int);
create table with_rules (id int primary key, v text);
create table partial_key (a int not null, b int);
create unique index on partial_key (a) where b = 1;
create table expression_key (a int not null, b int);
create unique index on expression_key (a, (b + 1));
create table nullable_key (a int unique, b int);
create table generated_key (a int not null, b int not null generated always as (a % 10) stored unique);
create table including_key (a int not null, b int, unique (a) include (b));
create sequence standalone start 1000;
create sequence desc_seq increment -1 start -5;
create sequence never_called;
create view user_emails as select id, email from users;
create rule logs_rule as on insert to nokey_dups where new.a = -999 do instead nothing;
insert into users (email, mood, moods, a, j, jb, f, n, b, p, ts, at, bits)
  select 'u' || g || '@x', 'ok', '{sad,happy}', row ('s' || g, g * 1.50)::addr, '{"a": 1,  "a":2}', '{"z":1}', g / 3.0,
    (g || '.00')::numeric, decode('00ff', 'hex'), g, '2024-01-01'::timestamptz + g * interval '1 microsecond', point(g, 1), b'101'
  from generate_series(1, 50) g;
truncate audit restart identity;
insert into "Order Items" (user_id, qty, price, "weird ""col") select 1 + g % 50, g, 1.10, 'w' || g from generate_series(1, 80) g;
insert into app2.logs select 'same', '2024-01-01', '{"x":1}' from generate_series(1, 5);
insert into app2.logs select 'm' || g, '2024-01-02', null from generate_series(1, 5) g;
insert into nokey_dups values (1, 'x'), (1, 'x'), (1, 'x'), (2, null), (2, null), (null, null);
insert into ident_default (v) values ('a'), ('b');
insert into cyc_a values (1, null);
insert into cyc_b values (10, 1);
update cyc_a set b_id = 10;
insert into tree values (1, null, 'root'), (2, 1, 'c1'), (3, 2, 'c2'), (4, 3, 'c3'), (5, 1, 'd');
insert into setnull select g, g from generate_series(1, 10) g;
insert into metrics (at, v) select '2023-06-01'::date + g * 20, g % 6 from generate_series(1, 25) g;
insert into metric_notes select id, at, 'n' || id from metrics;
insert into animals values (1, 'generic');
insert into dogs values (2, 'rex', 'lab');
insert into puppies values (3, 'bit', 'lab', 1);
insert into cache values ('a', '\\x01');
insert into docs (id, body, owner) values ('00000000-0000-0000-0000-000000000001', 'secret', 'someone');
insert into docs (id, body) values ('00000000-0000-0000-0000-000000000002', 'mine');
alter table docs enable row level security;
alter table docs force row level security;
create policy p1 on docs using (owner = current_user);
insert into settings values ('a', '1'), ('b', '2');
create trigger guard before delete on settings for each row execute function guard();
alter table settings enable always trigger guard;
create trigger ts before insert on settings for each row execute function touch_ts();
alter table settings enable always trigger ts;
insert into bookings (room, during) values (1, '[1,5)'), (1, '[5,9)'), (2, '[1,9)');
insert into deferred_u values (1, 1), (2, 2), (3, 3);
insert into zero_cols default values;
insert into zero_cols default values;
insert into toasty select g, (select string_agg(md5(random()::text), '') from generate_series(1, 400)) from generate_series(1, 3) g;
insert into swapped values (1, 'a'), (2, 'b'), (3, 'c');
insert into swapped_children values ('a', 1), ('b', 2);
insert into renamed values (1, 'a'), (2, 'b'), (3, 'c');
insert into renamed_children values ('a', 1), ('b', 2);
insert into keyless_parents values ('a', 1), ('b', 2), (null, 3);
insert into keyless_children values ('a', 1), ('b', 2);
insert into terms values (1, '2024-01-01', 1, 1), (2, '2024-01-01', 1, 1);
insert into parted values (1, 'a'), (2, 'b');
create trigger ts before insert on parted for each row execute function touch_ts();
alter table parted enable always trigger ts;
create function touch_note() returns trigger language plpgsql as $$ begin new.note := new.note || '!'; return new; end $$;
create trigger ts before insert on metric_notes for each row execute function touch_note();
insert into moody values ('sad', 1), ('happy', 2);
insert into unchecked values (1, -1), (2, 2);
alter table unchecked add constraint positive check (n > 0) not valid;
insert into with_rules values (1, 'a'), (2, 'b');
create rule keep as on delete to with_rules where old.id = 1 do instead nothing;
alter table with_rules enable always rule keep;
insert into partial_key values (1, 1), (1, 2), (1, 3);
insert into expression_key values (1, 1), (1, 2), (1, null);
insert into nullable_key values (null, 1), (null, 2), (1, 3);
insert into generated_key values (1), (2), (3);
insert into including_key values (1, null), (2, 2);
select nextval('standalone');
select nextval('desc_seq');
create materialized view mv as select mood, count(*) as n from users group by mood;
create unique index on mv (mood);
select lo_from_bytea(99001, '\\xdeadbeef');
select lo_from_bytea(99002, '\\xcafe');
${SELF_WRITING}
grant usage on schema app2 to APP_ROLE;
grant all on all tables in schema public, app2 to APP_ROLE;
grant all on all sequences in schema public, app2 to APP_ROLE;
`;
