// What client connections have set (SET, set_config), each for itself, on top of what their pools give them (profiles.ts).
// Below them is one session: it gets the settings of whoever runs a statement, in the same message. Nothing is sent as long
// as nobody has set anything, and all pools are alike.
import { quoteLiteral } from '../sql';
import { IDENTITY, NONE, withoutHome, type Home, type Profile, type Settings } from './profiles';
import type { Level, Session } from './session';
import type { SavepointStack } from './stack';

type Values = ReadonlyMap<string, string | null>;

const IN_FORCE = 'settings';
/** It can't be read, and setting it is an act: see singles.ts. */
const SEED = 'seed';

/** What is or was in force, and what of it a connection has set itself. */
interface Whole {
  readonly home: Home;
  readonly settings: Settings;
}

export class SessionSettings {
  /** What parameters were before anybody set them. */
  private readonly base = new Map<string, string>();
  /** The transaction with which settings would have gone was lost: any may be in force. */
  private lost = false;
  private readonly wholes = new WeakMap<Settings, Whole>();
  private readonly owns = new WeakMap<Settings, Settings>();

  constructor(private readonly stack: SavepointStack) {}

  private get inForce(): Settings {
    return (this.stack.noted(IN_FORCE) as Settings | undefined) ?? NONE;
  }

  /** All that a connection has, its home's included. */
  of({ settings, home }: Session): Settings {
    if (home.settings.size === 0) return settings;
    if (settings.size === 0) return home.settings;
    const known = this.wholes.get(settings);
    if (known?.home === home) return known.settings;
    const whole = new Map([...home.settings, ...settings]);
    this.note(whole, settings);
    this.wholes.set(settings, { home, settings: whole });
    return whole;
  }

  private note(whole: Settings, own: Settings): void {
    if (whole !== own) this.owns.set(whole, own);
  }

  /** Queues what gives the real session the settings of a session of the app. */
  apply(session: Session): void {
    this.bring(session.home.settings === NONE ? session.settings : this.of(session));
  }

  /** Queues what takes everybody's settings back. */
  clear(): void {
    this.bring(NONE);
  }

  /** Queues what makes the real session its own user's again, and leaves the rest. */
  actAsItself(): void {
    const { inForce } = this;
    if (!IDENTITY.some((name) => inForce.has(name))) return;
    this.bring(new Map([...inForce].filter(([name]) => !IDENTITY.includes(name))));
  }

  private bring(wanted: Settings): void {
    if (this.base.size === 0 || (this.inForce === wanted && !this.lost)) return;
    const from = this.lost ? this.base : this.inForce;
    const { stack } = this;
    const sets: string[] = [];
    const set = (name: string, value: string | undefined): void =>
      void sets.push(`pg_catalog.set_config(${quoteLiteral(name)}, ${quoteLiteral(value ?? '')}, false)`);
    for (const name of new Set([...from.keys(), ...wanted.keys()])) {
      if (IDENTITY.includes(name) || (!this.lost && from.get(name) === wanted.get(name))) continue;
      set(name, wanted.get(name) ?? this.base.get(name));
    }
    const isSame = !this.lost && IDENTITY.every((name) => from.get(name) === wanted.get(name));
    if (sets.length > 0 || !isSame) {
      const others = sets.splice(0);
      for (const name of [...IDENTITY].reverse()) if (from.has(name)) set(name, this.base.get(name));
      sets.push(...others);
      for (const name of IDENTITY) if (wanted.has(name)) set(name, wanted.get(name));
      stack.queue(`SELECT ${sets.join(', ')}`);
    }
    stack.note(IN_FORCE, wanted);
    this.lost = false;
  }

  /** A statement of this session has set what was `before` to `after`; by RESET, if it `resets`. */
  changed(session: Session, level: Level, before: Values, after: Values, resets: boolean): void {
    for (const [name, value] of before) if (name !== SEED && !this.base.has(name)) this.base.set(name, value ?? '');
    if (!level.settings.has(session)) level.settings.set(session, session.settings);
    const { home } = session;
    const inForce = new Map(this.of(session));
    const settings = new Map(session.settings);
    for (const [name, value] of after) {
      if (name === SEED) continue;
      if (name === 'session_authorization') {
        inForce.set('role', 'none');
        settings.delete('role');
      }
      inForce.set(name, value ?? '');
      if (resets && IDENTITY.includes(name) && home.settings.has(name)) settings.delete(name);
      else settings.set(name, (resets ? home.resets.get(name) : undefined) ?? value ?? '');
    }
    session.settings = settings;
    this.note(inForce, settings);
    this.stack.note(IN_FORCE, inForce);
  }

  /** After ROLLBACK TO: what the session had set when the savepoint was. */
  rolledBack(session: Session): void {
    const { inForce } = this;
    session.settings = this.owns.get(inForce) ?? (inForce === session.home.settings ? NONE : inForce);
  }

  /** Another real connection has been pinned, on which nobody has set anything yet. */
  startOn(profile: Profile | undefined, homes: Iterable<Home>): void {
    for (const name of this.base.keys()) {
      if (!IDENTITY.includes(name)) this.base.set(name, profile?.parameters.get(name)?.value ?? '');
    }
    this.lost = false;
    this.expect(profile, homes);
  }

  /** Connections may come to start from these. */
  expect(profile: Profile | undefined, homes: Iterable<Home>): void {
    if (!profile) return;
    for (const home of homes) for (const [name, value] of withoutHome(home, profile)) this.base.set(name, value);
  }

  forget(): void {
    this.lost = this.base.size > 0;
  }
}
