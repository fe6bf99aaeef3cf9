// Pools on one database may make their connections differently: as another user, with other settings, by `afterCreate`.
// One real session of each kind of pool is looked at, once; a client connection then gets what its own pool would have
// given it. Nothing is looked at, and nothing sent, where all pools are alike.
import type { OwnConnection } from '../sql';
import type { Lender, RealSource } from './pinned';
import { cannotBecome } from './refusals';
import type { TransactionModes } from './statement';

/** Parameters' values, by name. */
export type Settings = ReadonlyMap<string, string>;

export const NONE: Settings = new Map();

/** They decide who may change the others. */
export const IDENTITY: readonly string[] = ['session_authorization', 'role'];

/** What a pool's connections are like when they are new. */
export interface Profile {
  readonly user: string;
  readonly parameters: ReadonlyMap<string, Parameter>;
}

interface Parameter {
  readonly value: string;
  /** What RESET gives. */
  readonly reset: string;
  /** Only superusers may set it. */
  readonly restricted: boolean;
}

/** How one user's connection acts as another user; `itself` where it need not. */
type Way = 'itself' | 'session' | 'role';

/** What a pool's client connections start from, beside what the pinned one is like. */
export interface Home {
  readonly settings: Settings;
  /** What RESET gives, where that is something else than on the pinned connection. */
  readonly resets: Settings;
  /** The modes of transactions that say nothing. */
  readonly modes: TransactionModes;
  readonly way: Way;
  readonly user: string;
  readonly isSuperuser: boolean;
  /** Why nothing can run on such a connection. */
  readonly refusal: Error | undefined;
}

export const NO_HOME: Home = {
  settings: NONE,
  resets: NONE,
  modes: {},
  way: 'itself',
  user: '',
  isSuperuser: false,
  refusal: undefined,
};

interface Rights {
  readonly superuser: boolean;
  /** Roles that it may SET ROLE to. */
  readonly roles: readonly string[];
}

/** Of the session in which the test runs, and no pool's affair. */
export const TIMEOUTS = ['idle_in_transaction_session_timeout', 'transaction_timeout'];

const ISOLATION = 'default_transaction_isolation';
const READ_ONLY = 'default_transaction_read_only';

/** What the pinned connection has in place of its pool's own: BEGIN is ours there, and holds the tests of all pools. */
export const NEUTRAL: ReadonlyMap<string, string> = new Map([
  [ISOLATION, 'read committed'],
  [READ_ONLY, 'off'],
]);

/** Custom parameters are in no list: $1 names those that were heard of. */
const PROFILE = `
  select session_user::text as "user",
    (select json_object_agg(lower(name), json_build_array(pg_catalog.current_setting(name), reset_val, context = 'superuser'))
       from pg_catalog.pg_settings
      where context in ('user', 'superuser') and name !~ '^transaction_' and name <> all($2))::text as listed,
    (select json_object_agg(lower(name), pg_catalog.current_setting(name, true))
       from (select unnest($1::text[])
             union
             select split_part(entry, '=', 1) from pg_catalog.pg_db_role_setting, unnest(setconfig) as entry
              where split_part(entry, '=', 1) like '%.%') as names(name)
      where pg_catalog.current_setting(name, true) is not null)::text as custom`;

const RIGHTS = `
  select a.rolname as name, a.rolsuper as superuser, array(
      select b.rolname::text from pg_catalog.pg_roles b
       where b.rolname = any($1) and pg_catalog.pg_has_role(a.oid, b.oid,
         case when pg_catalog.current_setting('server_version_num')::int >= 160000 then 'SET' else 'MEMBER' end)) as roles
    from pg_catalog.pg_roles a where a.rolname = any($1)`;

export type Ask = <Row>(sql: string, values: readonly unknown[]) => Promise<Row[]>;

export class Profiles {
  private readonly sources = new Set<RealSource>();
  private readonly known = new Map<string, Profile>();
  private readonly looks = new Map<string, Promise<void>>();
  private readonly rights = new Map<string, Rights>();
  /** The users whose rights over one another are known. */
  private among: ReadonlySet<string> = new Set();
  private readonly homes = new Map<string, Home>();

  add(source: RealSource): void {
    this.sources.add(source);
  }

  /** Its pool is being destroyed. */
  remove(source: RealSource, pinned: RealSource | undefined): void {
    this.sources.delete(source);
    const { likeness } = source;
    if (pinned?.likeness === likeness || [...this.sources].some((other) => other.likeness === likeness)) return;
    this.known.delete(likeness);
    this.homes.delete(likeness);
  }

  /** Whether unqualified names may mean different tables on different connections. */
  get haveSearchPaths(): boolean {
    for (const { settings } of this.homes.values()) if (settings.has('search_path')) return true;
    return false;
  }

  homeOf(source: RealSource): Home {
    return this.homes.size === 0 ? NO_HOME : (this.homes.get(source.likeness) ?? NO_HOME);
  }

  get all(): Iterable<Home> {
    return this.homes.values();
  }

  /** Whether there is nothing left to ask about connections of this pool. */
  isKnown(source: RealSource): boolean {
    return this.known.has(source.likeness) && this.hasRights;
  }

  profileOf(source: RealSource): Profile | undefined {
    return this.known.get(source.likeness);
  }

  /** Of the pinned connection, before anything is done with it. */
  async read(source: RealSource, ask: Ask): Promise<void> {
    if (!this.known.has(source.likeness)) this.known.set(source.likeness, await readProfile(source, ask));
  }

  /** Looks at a connection of a pool that is not the pinned one's. */
  async look(source: RealSource, by?: Lender): Promise<void> {
    let looking = this.looks.get(source.likeness);
    if (!looking) {
      looking = withSession(source, by, async (ask) => {
        await this.askRights(ask);
        await this.read(source, ask);
      });
      this.looks.set(source.likeness, looking);
      void looking.catch(() => {}).finally(() => this.looks.delete(source.likeness));
    }
    await looking;
  }

  private get users(): readonly string[] {
    return [...new Set([...this.sources].map(({ user }) => user))];
  }

  private get hasRights(): boolean {
    return this.users.length < 2 || this.users.every((user) => this.among.has(user));
  }

  private async askRights(ask: Ask): Promise<void> {
    if (this.hasRights) return;
    const { users } = this;
    const rows = await ask<{ name: string } & Rights>(RIGHTS, [users]);
    for (const { name, superuser, roles } of rows) this.rights.set(name, { superuser, roles });
    this.among = new Set(users);
  }

  /** The pool whose connection can stand for those of all others; `wanted` where that one is as good. */
  async choose(wanted: RealSource, by?: Lender): Promise<RealSource> {
    if (this.users.length < 2) return wanted;
    await withSession(wanted, by, (ask) => this.askRights(ask));
    return this.best(wanted);
  }

  best(wanted: RealSource): RealSource {
    const rank = ({ user }: RealSource): number =>
      this.rights.get(user)?.superuser === true
        ? Infinity
        : this.users.filter((other) => this.wayTo(user, other)).length;
    return [...this.sources].reduce((best, source) => (rank(source) > rank(best) ? source : best), wanted);
  }

  private wayTo(from: string, to: string): Way | undefined {
    if (from === to) return 'itself';
    const rights = this.rights.get(from);
    return rights?.superuser === true ? 'session' : rights?.roles.includes(to) === true ? 'role' : undefined;
  }

  /** What everybody starts from, now that this pool's connection is the pinned one. */
  settle(pinned: RealSource): void {
    this.homes.clear();
    const base = this.profileOf(pinned);
    if (!base) return;
    for (const [likeness, profile] of this.known) {
      const way = this.wayTo(base.user, profile.user);
      const home = homeOf(profile, base, way, this.rights);
      if (home) this.homes.set(likeness, home);
    }
  }
}

/** Superusers first, then whoever may act as the owner of the most tables, then as the most of the others. */
const STRONGEST = `
  select a.rolname as name from pg_catalog.pg_roles a where a.rolname = any($1::text[])
   order by a.rolsuper desc, (
      select pg_catalog.count(*) from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
       where c.relkind in ('r', 'p') and n.nspname not in ('information_schema', 'rewind') and n.nspname !~ '^pg_'
         and pg_catalog.pg_has_role(a.oid, c.relowner, 'USAGE')) desc, (
      select pg_catalog.count(*) from pg_catalog.pg_roles b
       where b.rolname = any($1::text[]) and pg_catalog.pg_has_role(a.oid, b.oid, 'MEMBER')) desc,
    pg_catalog.array_position($1::text[], a.rolname::text)
   limit 1`;

/** Of several users of one database, the one that may do the most in it. */
export async function strongestUser(connection: OwnConnection, users: readonly string[]): Promise<string> {
  const { rows } = await connection.query<{ name: string }>(STRONGEST, [users]);
  return rows[0]?.name ?? users[0] ?? '';
}

function homeOf(
  profile: Profile,
  base: Profile,
  way: Way | undefined,
  rights: ReadonlyMap<string, Rights>,
): Home | undefined {
  const { user } = profile;
  const settings = new Map<string, string>();
  const resets = new Map<string, string>();
  const mayAll = way === 'session' || rights.get(base.user)?.superuser === true;
  for (const name of new Set([...profile.parameters.keys(), ...base.parameters.keys()])) {
    const own = profile.parameters.get(name);
    const its = base.parameters.get(name);
    if ((own ?? its)?.restricted === true && !mayAll) continue;
    // of a parameter that is hidden from one of the users, nobody can tell
    if (!name.includes('.') && !(own && its)) continue;
    const value = own?.value ?? '';
    if (value !== (NEUTRAL.get(name) ?? its?.value)) settings.set(name, value);
    if (own && own.reset !== its?.reset) resets.set(name, own.reset);
  }
  if (way === 'session') settings.set('session_authorization', user);
  if (way === 'role') settings.set('role', user);
  if (settings.size + resets.size === 0 && way !== undefined) return undefined;
  return {
    settings,
    resets,
    modes: {
      ...(settings.has(ISOLATION) && { isolation: settings.get(ISOLATION) as string }),
      ...(settings.has(READ_ONLY) && { readOnly: settings.get(READ_ONLY) === 'on' }),
    },
    way: way ?? 'itself',
    user,
    isSuperuser: rights.get(user)?.superuser === true,
    refusal: way === undefined ? cannotBecome(base.user, user) : undefined,
  };
}

/** What a home's parameters are on the pinned connection. */
export function* withoutHome(home: Home, base: Profile): Iterable<[name: string, value: string]> {
  for (const name of home.settings.keys()) {
    if (name === 'session_authorization') yield [name, base.user];
    else if (name === 'role') yield [name, 'none'];
    else yield [name, NEUTRAL.get(name) ?? base.parameters.get(name)?.value ?? ''];
  }
}

async function readProfile(source: RealSource, ask: Ask): Promise<Profile> {
  const [row] = await ask<{ user: string; listed: string; custom: string | null }>(PROFILE, [
    [...source.customs],
    TIMEOUTS,
  ]);
  if (!row) throw new Error('the server says nothing of its settings');
  const parameters = new Map<string, Parameter>();
  const listed = JSON.parse(row.listed) as Record<string, [value: string, reset: string, restricted: boolean]>;
  for (const [name, [value, reset, restricted]] of Object.entries(listed))
    parameters.set(name, { value, reset, restricted });
  const custom = JSON.parse(row.custom ?? '{}') as Record<string, string>;
  for (const [name, value] of Object.entries(custom)) parameters.set(name, { value, reset: '', restricted: false });
  return { user: row.user, parameters };
}

async function withSession(
  source: RealSource,
  by: Lender | undefined,
  work: (ask: Ask) => Promise<void>,
): Promise<void> {
  const session = await source.lend(by);
  try {
    await work((sql, values) => session.ask(sql, values));
  } finally {
    source.giveBack(session);
  }
}
