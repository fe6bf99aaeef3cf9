// What the catalog says of the code that runs behind the app's statements. Objects of the app's have numbers from 16384 on
// (PostgreSQL's transam.h, FirstNormalObjectId); the schema `rewind` is ours.

/** Words that ask for the time of the transaction. */
export const CLOCK = String.raw`\m(now|transaction_timestamp|current_(date|time|timestamp)|local(time|timestamp))\M`;

/**
 * As JSON, the names of relations that ask for the time in a view, a rule or a policy: by the numbers that now() and
 * transaction_timestamp() have in pg_proc.dat, and SQLValueFunctionOp in primnodes.h.
 */
export const ASKERS = `
  (select coalesce(json_agg(distinct c.relname), '[]')::text
     from (
       select ev_class as relation, ev_action::text as tree from pg_catalog.pg_rewrite
       union all select polrelid, concat(polqual, polwithcheck) from pg_catalog.pg_policy
     ) a
     join pg_catalog.pg_class c on c.oid = a.relation
    where a.relation >= 16384 and a.tree ~ ':funcid (1299|2647) |SQLVALUEFUNCTION :op [0-8] ')`;

/** A function's source, arguments' defaults included. */
const SOURCE = `(p.prosrc || ' ' || pg_catalog.pg_get_function_arguments(p.oid)
  || case when p.prosrc = '' then pg_catalog.pg_get_functiondef(p.oid) else '' end)`;

const READABLE = `p.oid >= 16384 and p.prokind in ('f', 'p') and n.nspname <> 'rewind'
  and p.prolang in (select oid from pg_catalog.pg_language where lanname in ('sql', 'plpgsql'))
  and not exists (select from pg_catalog.pg_depend
                   where classid = 'pg_catalog.pg_proc'::regclass and objid = p.oid and deptype = 'e')`;

/** Which function runs when a relation is read (1) or written (as in pg_trigger.h: 4 insert, 8 delete, 16 update, 32 truncate). */
const USES = `
  select tgrelid as relation, tgtype & 60 as events, tgfoid as function
    from pg_catalog.pg_trigger where not tgisinternal and tgenabled <> 'D'
  union all
  select u.relation, u.events, coalesce(o.oprcode::oid, d.refobjid)
    from pg_catalog.pg_depend d
    left join pg_catalog.pg_operator o on d.refclassid = 'pg_catalog.pg_operator'::regclass and o.oid = d.refobjid
    join (
      select 'pg_catalog.pg_attrdef'::regclass as class, oid, adrelid as relation, 20 as events from pg_catalog.pg_attrdef
      union all select 'pg_catalog.pg_constraint'::regclass, oid, conrelid, 20 from pg_catalog.pg_constraint
      union all select 'pg_catalog.pg_class'::regclass, indexrelid, indrelid, 20 from pg_catalog.pg_index
      union all select 'pg_catalog.pg_policy'::regclass, oid, polrelid, 29 from pg_catalog.pg_policy
      union all select 'pg_catalog.pg_rewrite'::regclass, oid, ev_class, 61 from pg_catalog.pg_rewrite
    ) u on u.class = d.classid and u.oid = d.objid
   where d.refobjid >= 16384
     and d.refclassid in ('pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_operator'::regclass)`;

/** Which function runs when a value becomes one of this type: a cast's, or those of a domain's checks. */
const TYPES = `
  select t.typname as type, k.castfunc as function
    from pg_catalog.pg_cast k join pg_catalog.pg_type t on t.oid = k.casttarget where k.castfunc >= 16384
  union
  select t.typname, d.refobjid
    from pg_catalog.pg_constraint o
    join pg_catalog.pg_type t on t.oid = o.contypid
    join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_constraint'::regclass and d.objid = o.oid
   where d.refclassid = 'pg_catalog.pg_proc'::regclass and d.refobjid >= 16384`;

const VOLATILE = `p.provolatile = 'v' and p.oid >= 16384`;

/** Whether there is anything that {@link BEHIND} is needed for. */
export const ANYTHING_BEHIND = `(
  exists (select from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
           where ${READABLE} and ${SOURCE} ~* '${CLOCK}|set_config|\\mset\\s+(local|session|role|time)\\M|\\mset\\s+[a-z_.]+\\s+to\\M|\\malter\\s+table\\M')
  or exists (select from (${USES}) u join pg_catalog.pg_proc p on p.oid = u.function
              where u.events & 1 = 1 and ${VOLATILE})
  or exists (select from (${TYPES}) t join pg_catalog.pg_proc p on p.oid = t.function where ${VOLATILE})
  or exists (select from pg_catalog.pg_operator o join pg_catalog.pg_proc p on p.oid = o.oprcode where ${VOLATILE})
  or exists (select from pg_catalog.pg_proc p where p.oid >= 16384 and p.proname in ('now', 'transaction_timestamp')))`;

export interface FunctionRow {
  readonly id: number;
  readonly name: string;
  readonly volatile: boolean;
  /** Null where it can't be read: it isn't SQL, or an extension's. */
  readonly source: string | null;
  /** To make it again, where we may and it asks for the time. */
  readonly definition: string | null;
  /** The part of the definition between its quotes. */
  readonly body: string;
}

/** What {@link BEHIND} gives. */
export interface BehindRow {
  readonly functions: readonly FunctionRow[];
  readonly uses: readonly (readonly [relation: number, events: number, functionId: number])[];
  /** What happens to the first relation does `effect` to the other, the same where that is 0: cascades, views, partitions. */
  readonly links: readonly (readonly [relation: number, events: number, other: number, effect: number])[];
  readonly names: Readonly<Record<string, string>>;
  readonly operators: readonly (readonly [name: string, functionId: number])[];
  readonly types: readonly (readonly [name: string, functionId: number])[];
}

/**
 * Asked with an empty `search_path`, so that all names in definitions are full ones. Nobody may notice that a function is
 * made again: where event triggers of the app's watch, none is.
 */
export const BEHIND = `
  with uses as materialized (${USES}),
  links as materialized (
    select confrelid as relation, 8 as events, conrelid as other, 24 as effect
      from pg_catalog.pg_constraint where contype = 'f' and confdeltype in ('c', 'n', 'd')
    union all
    select confrelid, 16, conrelid, 16 from pg_catalog.pg_constraint where contype = 'f' and confupdtype in ('c', 'n', 'd')
    union all
    select inhparent, 61, inhrelid, 0 from pg_catalog.pg_inherits
    union all
    select distinct r.ev_class, 61, d.refobjid, 0
      from pg_catalog.pg_rewrite r
      join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = r.oid
     where d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid <> r.ev_class and r.ev_class >= 16384)
  select json_build_object(
    'functions', (
      select coalesce(json_agg(json_build_object('id', p.oid::int8, 'name', p.proname, 'volatile', p.provolatile = 'v',
               'source', s.source, 'body', p.prosrc, 'definition',
               case when s.source ~* '${CLOCK}|rewind\\.begun' and not p.proleakproof
                     and pg_catalog.pg_has_role(p.proowner, 'USAGE')
                     and pg_catalog.has_schema_privilege(p.pronamespace, 'CREATE')
                     and not exists (select from pg_catalog.pg_event_trigger
                                      where evtenabled <> 'D' and evtname not in ('rewind_ddl', 'rewind_drop'))
                    then pg_catalog.pg_get_functiondef(p.oid) end)), '[]')
        from pg_catalog.pg_proc p
        join pg_catalog.pg_namespace n on n.oid = p.pronamespace
        cross join lateral (select case when ${READABLE} then ${SOURCE} end as source) s
       where p.oid >= 16384 and n.nspname <> 'rewind'),
    'uses', (select coalesce(json_agg(json_build_array(relation::int8, events, function::int8)), '[]')
               from uses where function >= 16384),
    'links', (select coalesce(json_agg(json_build_array(relation::int8, events, other::int8, effect)), '[]') from links),
    'names', (select coalesce(json_object_agg(c.oid::text, c.relname), '{}') from pg_catalog.pg_class c
               where c.oid in (select relation from uses union select relation from links union select other from links)),
    'types', (select coalesce(json_agg(json_build_array(type, function::int8)), '[]') from (${TYPES}) t),
    'operators', (select coalesce(json_agg(json_build_array(oprname, oprcode::oid::int8)), '[]')
                    from pg_catalog.pg_operator where oprcode::oid >= 16384))::text as behind`;
