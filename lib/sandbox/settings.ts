// What virtual connections have set (SET, set_config), each for itself. Below them is one session: it gets the settings of
// whoever runs a statement, in the same message. Nothing is sent as long as nobody has set anything.
import { quoteLiteral } from '../sql';
import type { Level, Session } from './session';
import type { SavepointStack } from './stack';

/** What a connection has set, by name. */
export type Settings = ReadonlyMap<string, string>;

type Values = ReadonlyMap<string, string | null>;

export const NONE: Settings = new Map();

const IN_FORCE = 'settings';
/** They decide who may change the others. */
export const IDENTITY: readonly string[] = ['session_authorization', 'role'];

export class SessionSettings {
  /** What parameters were before anybody set them. */
  private readonly base = new Map<string, string>();
  /** The transaction with which settings would have gone was lost: any may be in force. */
  private lost = false;

  constructor(private readonly stack: SavepointStack) {}

  private get inForce(): Settings {
    return (this.stack.noted(IN_FORCE) as Settings | undefined) ?? NONE;
  }

  /** Queues what gives the real session the settings of a virtual one. */
  apply(wanted: Settings): void {
    if (this.base.size === 0 || (this.inForce === wanted && !this.lost)) return;
    const from = this.lost ? this.base : this.inForce;
    const { stack } = this;
    const set = (name: string, value: string | undefined): void =>
      stack.queue(`SELECT pg_catalog.set_config(${quoteLiteral(name)}, ${quoteLiteral(value ?? '')}, false)`);
    for (const name of [...IDENTITY].reverse()) if (from.has(name)) set(name, this.base.get(name));
    for (const name of new Set([...from.keys(), ...wanted.keys()])) {
      if (IDENTITY.includes(name) || (!this.lost && from.get(name) === wanted.get(name))) continue;
      set(name, wanted.get(name) ?? this.base.get(name));
    }
    for (const name of IDENTITY) if (wanted.has(name)) set(name, wanted.get(name));
    stack.note(IN_FORCE, wanted);
    this.lost = false;
  }

  /** A statement of this session has set what was `before` to `after`. */
  changed(session: Session, level: Level, before: Values, after: Values): void {
    for (const [name, value] of before) if (!this.base.has(name)) this.base.set(name, value ?? '');
    if (!level.settings.has(session)) level.settings.set(session, session.settings);
    const settings = new Map(session.settings);
    for (const [name, value] of after) settings.set(name, value ?? '');
    session.settings = settings;
    this.stack.note(IN_FORCE, settings);
  }

  /** After ROLLBACK TO: what the session had set when the savepoint was. */
  rolledBack(session: Session): void {
    session.settings = this.inForce;
  }

  forget(): void {
    this.lost = this.base.size > 0;
  }
}
