// What runs behind a statement of the app's: triggers, functions called by functions, what a view or a policy calls. Found
// by names in the texts, which may take one too many for called, and none too few, except for what a program puts together
// at run time.
import type { BehindRow, FunctionRow } from './catalog';
import { assignmentsIn, type Assignments } from './locals';
import type { LocalName } from './calls';

/** What a statement does by what it calls. */
export interface Reach {
  /** What makes the functions among them again that ask for the time. */
  readonly clocks: readonly string[];
  /** Parameters that they set until the end of the transaction, and those they set for the session. */
  readonly locals: readonly LocalName[];
  readonly sets: readonly LocalName[];
  /** Whether one may write, although the statement looks like a read. */
  readonly writes: boolean;
  /** Whether one may change a table. */
  readonly alters: boolean;
  /** Whether one asks for the time that can't be made again, or has a text executed that does. */
  readonly frozen: boolean;
}

interface Fn {
  readonly calls: Calls | undefined;
  readonly clock: string | undefined;
  /** Whether it may get PostgreSQL's own time. */
  readonly frozen: boolean;
  readonly assignments: Assignments | undefined;
  readonly writes: boolean;
  readonly alters: boolean;
  /** Whether something in its source asks for the time in vain. */
  readonly leftAlone: boolean;
}

interface Calls {
  readonly words: ReadonlySet<string>;
  readonly called: ReadonlySet<string>;
  readonly events: number;
}

/** What a function of SQL's has in its source if it can write. */
const MAY_WRITE =
  /\b(?:insert|update|delete|merge|truncate|create|alter|drop|grant|revoke|copy|lock|execute|call|import|refresh|share|set_config|pg_notify|notify|dblink\w*|lo_\w+|pg_advisory\w+|pg_try_advisory\w+|query_to_xml)\b/i;

const INSERT = 4;
const EVENTS: readonly (readonly [RegExp, number])[] = [
  [/\b(?:insert|copy|merge|into)\b/i, INSERT],
  [/\b(?:delete|merge)\b/i, 8],
  [/\b(?:update|merge)\b/i, 16],
  [/\btruncate\b/i, 32],
];

const ASKS = /\b(?:now|transaction_timestamp|current_(?:date|time|timestamp)|local(?:time|timestamp))\b/i;

const EMPTY: Reach = { clocks: [], locals: [], sets: [], writes: false, alters: false, frozen: false };
const CACHE_LIMIT = 2000;

/** Whether the app has a clock of its own, by PostgreSQL's names: which one is meant is for the search path to say. */
export function hasClock({ functions }: BehindRow): boolean {
  return functions.some(({ name }) => name === 'now' || name === 'transaction_timestamp');
}

export class Behind {
  private readonly functions = new Map<number, Fn>();
  private readonly byName = new Map<string, Fn[]>();
  private readonly relations = new Map<string, number[]>();
  private readonly uses = new Map<number, (readonly [events: number, fn: Fn])[]>();
  private readonly links = new Map<number, BehindRow['links'][number][]>();
  private readonly operators = new Map<string, Fn[]>();
  /** Of casts to them, and of checks of domains. */
  private readonly types = new Map<string, Fn[]>();
  private readonly read = new Map<string, Reach>();

  readonly hasClock: boolean;

  /** `clockOf`: what makes a function again with our time, where that is possible. */
  constructor(row: BehindRow, clockOf: (fn: FunctionRow) => string | undefined) {
    this.hasClock = hasClock(row);
    for (const one of row.functions) {
      const clock = clockOf(one);
      const fn: Fn = {
        calls: one.source === null ? undefined : callsIn(one.source),
        clock,
        frozen: one.source === null || (clock === undefined && ASKS.test(one.source)),
        assignments: one.source === null ? undefined : assignmentsIn(one.source),
        writes: one.volatile && (one.source === null || MAY_WRITE.test(one.source)),
        leftAlone: ASKS.test(clock === undefined ? (one.source ?? '') : executedIn(clock)),
        alters: one.volatile && one.source !== null && /\b(?:alter|drop)\b/i.test(one.source),
      };
      this.functions.set(one.id, fn);
      add(this.byName, one.name, fn);
    }
    for (const [id, name] of Object.entries(row.names)) add(this.relations, name, Number(id));
    for (const [relation, events, id] of row.uses) {
      const fn = this.functions.get(id);
      if (fn) add(this.uses, relation, [events, fn] as const);
    }
    for (const link of row.links) add(this.links, link[0], link);
    for (const [name, id] of row.operators) {
      const fn = this.functions.get(id);
      if (fn) add(this.operators, name, fn);
    }
    for (const [name, id] of row.types) {
      const fn = this.functions.get(id);
      if (fn) add(this.types, name, fn);
    }
  }

  /** What makes all functions again that ask for the time. */
  get clocks(): readonly string[] {
    return [...this.functions.values()].flatMap(({ clock }) => clock ?? []);
  }

  of(text: string): Reach {
    let reach = this.read.get(text);
    if (!reach) {
      if (this.read.size >= CACHE_LIMIT) this.read.clear();
      this.read.set(text, (reach = this.reach(text)));
    }
    return reach;
  }

  /** Whether an INSERT into this table may get PostgreSQL's own time by what it calls. */
  frozen(table: number): boolean {
    const found = new Set<Fn>();
    this.touch(table, INSERT, found, new Set());
    return [...found].some((fn) => fn.frozen);
  }

  private reach(text: string): Reach {
    const found = new Set<Fn>();
    // what was prepared or declared elsewhere isn't in this text
    if (/^\s*(?:execute|fetch|move)\b/i.test(text)) for (const fn of this.functions.values()) found.add(fn);
    else {
      this.follow(callsIn(text), found, new Set());
      for (const operator of text.match(/[-+*/<>=~!@#%^&|`?]+/g) ?? []) {
        for (const fn of this.operators.get(operator) ?? []) this.visit(fn, found, new Set());
      }
    }
    if (found.size === 0) return EMPTY;
    const fns = [...found];
    return {
      clocks: fns.flatMap(({ clock }) => clock ?? []),
      locals: fns.flatMap(({ assignments }) => assignments?.locals ?? []),
      sets: fns.flatMap(({ assignments }) => assignments?.sets ?? []),
      writes: fns.some(({ writes }) => writes),
      alters: fns.some(({ alters }) => alters),
      frozen: fns.some(({ leftAlone }) => leftAlone),
    };
  }

  private follow({ words, called, events }: Calls, found: Set<Fn>, seen: Set<string>): void {
    for (const word of called) for (const fn of this.byName.get(word) ?? []) this.visit(fn, found, seen);
    for (const word of words) {
      for (const fn of this.types.get(word) ?? []) this.visit(fn, found, seen);
      for (const relation of this.relations.get(word) ?? []) this.touch(relation, events, found, seen);
    }
  }

  private visit(fn: Fn, found: Set<Fn>, seen: Set<string>): void {
    if (found.has(fn)) return;
    found.add(fn);
    if (fn.calls) this.follow(fn.calls, found, seen);
  }

  private touch(relation: number, events: number, found: Set<Fn>, seen: Set<string>): void {
    const key = `${relation}:${events}`;
    if (seen.has(key)) return;
    seen.add(key);
    for (const [on, fn] of this.uses.get(relation) ?? []) if (on & events) this.visit(fn, found, seen);
    for (const [, on, other, effect] of this.links.get(relation) ?? []) {
      if (on & events) this.touch(other, effect || on & events, found, seen);
    }
  }
}

/** Whether a statement may run code that has to be known. Those who look at the catalog are the ones who change it. */
export function asksOfSchema({ ddl, text }: { readonly ddl: boolean; readonly text: string }): boolean {
  return !ddl && !/\b(?:information_schema|pg_catalog)\b/i.test(text);
}

/** The strings in a source that has some executed. */
function executedIn(source: string): string {
  return /\bexecute\b/i.test(source) ? (source.match(/'(?:[^']|'')*'/g) ?? []).join() : '';
}

function callsIn(text: string): Calls {
  const words = new Set<string>();
  const called = new Set<string>();
  // quoted names, and others folded to lower case; a call has a parenthesis behind it
  for (const [, quoted, plain, call] of text.matchAll(/(?:"((?:[^"]|"")+)"|([\p{L}_][\p{L}\p{N}_$]*))\s*(\(?)/gu)) {
    const word = quoted?.replaceAll('""', '"') ?? (plain ?? '').toLowerCase();
    words.add(word);
    if (call) called.add(word);
  }
  return { words, called, events: EVENTS.reduce((sum, [words, event]) => (words.test(text) ? sum | event : sum), 1) };
}

function add<Key, Value>(map: Map<Key, Value[]>, key: Key, value: Value): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}
