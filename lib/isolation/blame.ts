import type { Blocker, Restored } from '../snapshot';
import type { Scope } from '../scope';
import { realTimers } from '../timers';
import { complaintsOf, leaked, leakedSchema, leftLocked, wroteLate } from './complaints';
import type { Leak, SchemaLeak } from './leak-watch';
import type { ScopeProblems } from './problems';

/** Older transactions than those of so many scopes are nobody's any more. */
const REMEMBERED = 100;

export interface BlameOptions {
  /** Of the database. */
  readonly label: string;
  readonly problems: ScopeProblems;
  readonly note: (sentence: string) => void;
  /** Whose code ran while somebody wrote from outside, and it isn't known yet what comes of it. */
  readonly suspects: () => Iterable<Scope>;
}

/** Who is told of what was found in a database: by a restore, a checkpoint, or the watch for leaks. */
export class Blame {
  #writer: { readonly scope: Scope; readonly since: number } | undefined;
  /** What has run, oldest first. */
  readonly #entered: { readonly scope: Scope; readonly since: number }[] = [];

  constructor(private readonly options: BlameOptions) {}

  entered(scope: Scope): void {
    this.#entered.push({ scope, since: realTimers.now() });
    if (this.#entered.length > REMEMBERED) this.#entered.shift();
  }

  /** Code of this scope may commit from now on. Unmanaged tests build on each other: what one has left is no other's fault. */
  began(scope: Scope): void {
    const last = scope.mode === 'unmanaged' ? this.#writer : undefined;
    this.#writer = { scope, since: last?.scope.mode === 'unmanaged' ? last.since : realTimers.now() };
  }

  /**
   * Charges transactions that were open before the writer's code began to who ran before it. The others are its own; from
   * here on there is no writer.
   */
  restored(restored: Restored): Restored {
    const blockers = this.#ownOf(restored.blockers);
    this.#tellLate(restored);
    this.#writer = undefined;
    return { ...restored, blockers };
  }

  /** A restore where no test is departing: after hooks, and after unmanaged tests, who may do as they like. */
  async tellWriter(restore: () => Promise<Restored | undefined>): Promise<void> {
    const writer = this.#writer?.scope;
    const restored = await restore();
    const { label, note, problems } = this.options;
    if (!writer) return;
    if (writer.mode === 'unmanaged') {
      const whoLeft = ({ openSince }: Blocker): Scope => this.#presentAt(openSince) ?? writer;
      for (const { problem } of complaintsOf(writer, restored, whoLeft)) note(`${label}: ${problem}`);
    } else for (const error of complaintsOf(writer, restored)) problems.report(writer, error);
  }

  /** What a scope's hooks wrote has become a checkpoint. */
  pushed(scope: Scope, blockers: readonly Blocker[]): void {
    const { problems } = this.options;
    for (const blocker of this.#ownOf(blockers)) {
      if (blocker.ended) problems.report(scope, leftLocked([scope], blocker));
    }
  }

  /** The checkpoint of a scope has been dropped. */
  popped(scope: Scope, restored: Restored): void {
    const { label, note, problems } = this.options;
    let { schemaChange } = restored;
    // A schema that root-level hooks have made, they would make again: it stays, as it would without us.
    if (scope.kind === 'root' && schemaChange !== undefined) {
      note(`${label}: the root-level hooks changed the schema, and it stays: ${schemaChange}`);
      schemaChange = undefined;
    }
    const blockers = this.#ownOf(restored.blockers);
    for (const error of complaintsOf(scope, { ...restored, schemaChange, blockers })) problems.report(scope, error);
  }

  leaked(leak: Leak | SchemaLeak): void {
    const { label, note, problems } = this.options;
    const [suspect] = leak.suspects;
    if (!('change' in leak)) problems.report(suspect, leaked(leak, label));
    else if (leak.by === 'a test') problems.report(suspect, leakedSchema(leak, label));
    else note(`${label}: hooks changed the schema from outside, and it stays: ${leak.change}`);
  }

  /** It is charged to who ran when it began. */
  #tellLate({ lateSince }: Restored): void {
    const writer = this.#writer?.scope;
    if (lateSince === undefined || !writer) return;
    const origin = this.#presentAt(lateSince);
    this.options.problems.report(origin ?? writer, wroteLate(origin, writer));
  }

  #presentAt(time: number): Scope | undefined {
    return this.#entered.filter(({ since }) => since <= time).at(-1)?.scope;
  }

  #ownOf(blockers: readonly Blocker[]): readonly Blocker[] {
    const { scope: writer, since = Infinity } = this.#writer ?? {};
    const [suspect = writer, ...others] = [...this.options.suspects()].filter((scope) => scope !== writer);
    if (!suspect) return blockers;
    const isOwn = ({ ended, openSince }: Blocker): boolean => !ended || openSince >= since;
    for (const blocker of blockers.filter((b) => !isOwn(b))) {
      this.options.problems.report(suspect, leftLocked([suspect, ...others], blocker));
    }
    return blockers.filter(isOwn);
  }
}
