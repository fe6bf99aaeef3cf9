// Runs the same code twice: on a plain pool with real commits, and in a sandbox.
import { randomBytes } from 'node:crypto';
import knexFactory, { type Knex } from 'knex';
import { Client, Pool, type PoolConfig } from 'pg';
import {
  caveatsOf,
  createSandbox,
  managePgPool,
  watchKnex,
  type Gate,
  type Problem,
  type Sandbox,
} from '../../lib/sandbox';
import { scopeContext, type Scope } from '../../lib/scope';
import { createDatabase, dropRoles, type TestDatabase } from '../support/database';

export interface Env {
  readonly knex: Knex;
  /** True where commits are real. For clean-up of what the sandbox rolls back by itself, and for nothing else. */
  readonly plain: boolean;
  makeKnex(options?: Partial<Knex.Config>): Knex;
  makePool(options?: PoolConfig): Pool;
  /** A new role that may log in, and the URL with which it does. */
  makeRole(attributes?: 'login' | 'nologin'): Promise<{ readonly name: string; readonly url: string }>;
  /** On a connection that nobody manages. */
  outside<Row = Record<string, unknown>>(sql: string, values?: unknown[]): Promise<Row[]>;
}

export interface Behaviour {
  readonly name: string;
  readonly run: (env: Env) => Promise<unknown>;
  /** A code that may be among the problems, or words of a caveat: what is told beside an answer that is the same. */
  readonly may?: string;
  /** Why the sandbox can't do the same, and the code of the error, or the words of the caveat, with which it says so. */
  readonly differs?: { readonly code: string; readonly because: string };
}

export const SCHEMA = `
  create table pa(id serial primary key, v text unique not null);
  create table ch(id serial primary key, pid int references pa(id) deferrable initially deferred);
  create table now_immediate(id int primary key, pid int references pa(id) deferrable initially immediate);
  create table stamped(id serial primary key, v text, at timestamptz default now());
  alter sequence pa_id_seq restart with 100;
  create function add_pa(x text) returns text language plpgsql as $$ begin insert into pa(v) values (x); return x; end $$;
  create procedure commits() language plpgsql as $$ begin insert into pa(v) values ('proc'); commit; end $$;
  create type mood as enum ('calm');
  create table tmp_guard(id int);
  create function become(t text) returns int language plpgsql as $$
    begin execute 'alter table tmp_guard alter id type ' || t || ' using null'; return 1; end $$;
  create table timed(id serial primary key, v text, made timestamptz default now(), changed timestamptz,
    utc timestamp default (current_timestamp at time zone 'utc'), day date default current_date);
  create view timed_view as select id, v from timed;
  create table touched(v text, made timestamptz default now(), changed timestamptz);
  create function touch() returns trigger language plpgsql as $$ begin new.changed = now(); return new; end $$;
  create trigger touch before insert or update on touched for each row execute function touch();
  create table logged(v text, at timestamptz);
  create function note(x text) returns void language sql as $$ insert into logged values (x, LOCALTIMESTAMP(6)) $$;
  create function log() returns trigger language plpgsql as $$
    declare r record;
    begin
      -- now() in a comment, and 'now()' in a string
      select now() into r;
      perform note(tg_op || ' now() ' || (r.now = current_timestamp)::text);
      return null;
    end $$;
  create trigger log after delete on touched for each row execute function log();
  create function tenant(x text) returns void language plpgsql as $$ begin perform set_config('app.tenant', x, true); end $$;
  create function late_path() returns text language plpgsql as $$ begin set local search_path = pg_catalog; return 'set'; end $$;
  create view adding as select add_pa('by a view') as v;
  create function same_pa(a text, b text) returns boolean language plpgsql as $$ begin insert into pa(v) values (b); return a = b; end $$;
  create table jobs(id serial primary key, name text, state text not null default 'ready', tries int not null default 0,
    run_at timestamptz not null default now(), taken_at timestamptz);
  create table items(id serial primary key, sku text unique, qty int not null default 0 check (qty >= 0),
    version int not null default 1, price numeric(10, 2), total numeric generated always as (qty * price) stored,
    updated_at timestamptz default now());
  create materialized view item_sums as select count(*)::int as n, sum(qty)::int as qty from items;
  create unique index on item_sums(n);
  create view active as select id, v from timed where changed is null or changed > now();
  create table parted(region text not null, v text, at timestamptz default now()) partition by list (region);
  create table parted_eu partition of parted for values in ('eu');
  create table parted_us partition of parted for values in ('us');
  create table notes(id serial primary key, tenant text not null, v text);
  alter table notes enable row level security;
  create policy by_tenant on notes using (tenant = current_setting('app.tenant', true));
  create function recent(t timestamptz) returns boolean language sql as $$ select t > now() - interval '1 min' $$;
  create table checked(v text, at timestamptz default now(), check (at <= now()));
  create type label as (v text);
  create function as_label(x text) returns label language plpgsql as
    $$ begin insert into pa(v) values (x); return row(x)::label; end $$;
  create cast (text as label) with function as_label(text);
  create function noted(x text) returns boolean language plpgsql as
    $$ begin insert into pa(v) values (x); return true; end $$;
  create domain noted_text as text check (noted(value));
  create function retype() returns trigger language plpgsql as
    $$ begin execute 'alter table tmp_guard alter id type ' || new.v || ' using null'; return new; end $$;
  create table retypes(v text);
  create trigger retype before insert on retypes for each row execute function retype();
  create table diary(id serial primary key, tenant text default current_user, body text);
  alter table diary enable row level security;
  create policy own on diary using (tenant = current_user);
  create function whoami() returns text language sql security definer as 'select current_user::text';
  create operator === (leftarg = text, rightarg = text, function = same_pa);
`;

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** The code of the error `p` ends in, its message where it has none, or `no error`. */
export async function err(p: PromiseLike<unknown> | (() => Promise<unknown>)): Promise<string> {
  try {
    await (typeof p === 'function' ? p() : p);
    return 'no error';
  } catch (thrown) {
    const error = thrown as { code?: string; message: string };
    return error.code ?? (error.message.split(' - ').pop() ?? '').slice(0, 120);
  }
}

/** What is in `pa`. */
export async function vs(knex: Knex | Knex.Transaction): Promise<string> {
  return ((await knex('pa').orderBy('v').pluck('v')) as string[]).join();
}

export function scope(kind: Scope['kind'], title: string, parent?: Scope): Scope {
  return { kind, title, file: undefined, mode: 'rollback', parent, ended: false, timedOut: false };
}

export interface Observed {
  readonly result: unknown;
  readonly problems: readonly Problem[];
  readonly strays: readonly Problem[];
  /** What a test that fails would be told. */
  readonly caveats: readonly string[];
  readonly unhandled: readonly unknown[];
  /** Rows that another connection sees after the scope was left. */
  readonly leaked: number;
}

/** How many rows each catalog has that are not PostgreSQL's own, and who wrote one last: changes with each DDL statement. */
const CATALOGS = `select concat_ws(' ', ${Object.entries({
  oid: `class proc type enum attrdef constraint trigger rewrite policy operator opclass cast namespace extension
    event_trigger statistic_ext publication publication_rel default_acl`,
  attrelid: 'attribute',
  indexrelid: 'index',
  inhrelid: 'inherits',
  seqrelid: 'sequence',
  objoid: 'description',
  refobjid: 'depend',
})
  .flatMap(([key, names]) => names.split(/\s+/).map((name) => [key, `pg_catalog.pg_${name}`]))
  .map(([key, name]) => `(select (count(*), max(xmin::text::bigint)) from ${name} where ${key} >= 16384)`)
  .join()}) as text`;

/** Rows and sequences as the schema made them. A TRUNCATE of a table without rows would take as long as one with. */
const CLEAR = `do $$ declare t text; begin
  for t in select oid::regclass from pg_class
    where relkind = 'r' and relnamespace = 'public'::regnamespace and pg_relation_size(oid) > 0
  loop execute 'truncate ' || t || ' cascade'; end loop;
  for t in select oid::regclass from pg_class where relkind = 'S' and relnamespace = 'public'::regnamespace
  loop perform setval(t, case t when 'pa_id_seq' then 100 else 1 end, false); end loop;
end $$`;

export class Arena {
  readonly strays: Problem[] = [];
  readonly sandbox: Sandbox;
  readonly root = scope('root', '');
  private readonly unwatch: () => void;
  private readonly made: { destroy(): unknown }[] = [];
  private readonly roles: string[] = [];
  private readonly unhandled: unknown[] = [];
  private readonly onUnhandled = (reason: unknown): void => void this.unhandled.push(reason);

  private catalogsThen: string | undefined;

  private constructor(
    /** On connections that nobody manages, to each of the two. */
    private readonly plain: Client,
    private readonly witness: Client,
    readonly plainDb: TestDatabase,
    readonly boxedDb: TestDatabase,
    private readonly schema: string,
  ) {
    this.sandbox = createSandbox({ interleaveTimeout: 250, onStray: (problem) => this.strays.push(problem) });
    const gate: Gate = () => ({ to: 'sandbox', sandbox: this.sandbox });
    this.gate = gate;
    this.unwatch = watchKnex({
      onPool: (pool) => (pool.key.endsWith(`|${boxedDb.name}`) ? gate : undefined),
      onIgnored: () => {},
      onLate: (problem) => this.strays.push(problem),
    });
    this.sandbox.enter(this.root);
  }

  private readonly gate: Gate;

  static async open(schema = SCHEMA): Promise<Arena> {
    const [plainDb, boxedDb] = [await createDatabase(schema), await createDatabase(schema)];
    const [plain, witness] = [plainDb, boxedDb].map(({ url }) => new Client({ connectionString: url })) as [
      Client,
      Client,
    ];
    await Promise.all([plain.connect(), witness.connect()]);
    return new Arena(plain, witness, plainDb, boxedDb, schema);
  }

  env(plain: boolean): Env {
    const db = plain ? this.plainDb : this.boxedDb;
    const makeKnex = (options: Partial<Knex.Config> = {}): Knex => {
      const knex = knexFactory({
        client: 'pg',
        connection: db.url,
        acquireConnectionTimeout: 1500,
        log: { warn() {}, error() {}, deprecate() {}, debug() {} },
        ...options,
        pool: { min: 0, max: 6, ...options.pool },
      });
      this.made.push(knex);
      return knex;
    };
    return {
      plain,
      makeKnex,
      knex: makeKnex(),
      makePool: (options = {}) => {
        const pool = new Pool({ connectionString: db.url, ...options });
        pool.on('error', () => {});
        if (!plain) managePgPool(pool, () => this.gate);
        this.made.push({ destroy: async () => (pool.ending ? undefined : pool.end()) });
        return pool;
      },
      makeRole: async (attributes = 'login') => {
        const name = `rw_role_${randomBytes(5).toString('hex')}`;
        await db.query(`create role ${name} ${attributes}`);
        this.roles.push(name);
        const url = new URL(db.url);
        url.username = name;
        return { name, url: url.href };
      },
      outside: (sql, values) => db.query(sql, values),
    };
  }

  /** One run with real commits, on a schema of its own. */
  async plainly(run: Behaviour['run'], limit = 5000): Promise<unknown> {
    await this.reset();
    const result = await within(limit, run(this.env(true)));
    await this.dispose();
    return result;
  }

  /** A new schema takes the server ten times as long as rows do: only where a run has changed the old one. */
  private async reset(): Promise<void> {
    const same = (await this.catalogs()) === this.catalogsThen;
    await this.plain.query(same ? CLEAR : `drop schema public cascade; create schema public; ${this.schema}`);
    this.catalogsThen = await this.catalogs();
  }
  private async catalogs(): Promise<string | undefined> {
    const { rows } = await this.plain.query<{ text: string }>({ name: 'catalogs', text: CATALOGS });
    return rows[0]?.text;
  }

  /** One run as a test in the sandbox. `before` runs in a suite around it. */
  async boxed(run: Behaviour['run'], limit = 5000): Promise<Observed> {
    const env = this.env(false);
    const test = scope('test', 'the test', this.root);
    process.on('unhandledRejection', this.onUnhandled);
    this.sandbox.enter(test);
    const result = await scopeContext.run(test, () => within(limit, run(env)));
    test.ended = true;
    const caveats = caveatsOf(this.sandbox);
    const problems = this.sandbox.leave(test);
    await this.sandbox.flush();
    await sleep(1);
    process.off('unhandledRejection', this.onUnhandled);
    const counted = await this.witness.query<{ n: number }>(
      'select (select count(*) from pa)::int + (select count(*) from ch)::int + (select count(*) from stamped)::int + (select count(*) from diary)::int as n',
    );
    await this.dispose();
    return {
      result,
      problems,
      caveats,
      strays: this.strays.splice(0),
      unhandled: this.unhandled.splice(0),
      leaked: counted.rows[0]?.n ?? 0,
    };
  }

  async dispose(): Promise<void> {
    await Promise.all(this.made.splice(0).map(async (one) => within(3000, Promise.resolve(one.destroy()))));
  }

  async close(): Promise<void> {
    await this.dispose();
    await this.sandbox.release();
    this.unwatch();
    await Promise.all([this.plain.end(), this.witness.end()]);
    await this.plainDb.drop();
    await this.boxedDb.drop();
    await dropRoles(this.roles);
  }
}

async function within<T>(ms: number, work: Promise<T>): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<string>((resolve) => (timer = setTimeout(() => resolve('HANGS'), ms)));
  try {
    return await Promise.race([
      work.catch((e: { code?: string; message: string }) => `THROWS ${e.code ?? ''} ${e.message.split('\n')[0] ?? ''}`),
      limit,
    ]);
  } finally {
    clearTimeout(timer);
  }
}
