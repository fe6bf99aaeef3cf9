// Hooks of the user's that empty tables around tests whose writes are undone anyway.
import type { CleaningFacts } from '../facts';
import { type CleaningEffect, cleaningEffectOf, mayClean, tapQueries } from '../sandbox';
import type { Scope } from '../scope';
import { type OwnConnection, quoteIdent } from '../sql';
import { realTimers } from '../timers';

/** What the Mocha room says of a hook. */
export interface WatchedHook {
  readonly kind: CleaningFacts['hook'];
  readonly title: string;
  readonly place: string | undefined;
}

interface Sent {
  readonly sql: string;
  readonly at: number;
}

/** One run of a hook that may have cleaned. */
interface Suspicion extends WatchedHook {
  readonly began: number;
  readonly ended: number;
  readonly sent: readonly Sent[];
}

export class CleaningWatch {
  #suspicions: Suspicion[] = [];
  readonly #effects = new Map<string, CleaningEffect>();
  /** Of the hook that runs now, or that has failed. */
  #stopListening: (() => void) | undefined;
  /** Tables that were emptied before tests. */
  readonly emptiedBefore = new Set<string>();

  /** A hook is about to run. The result is called when it has passed. */
  hookBegan(scope: Scope, hook: WatchedHook): (() => void) | undefined {
    this.#stopListening?.();
    // What root-level `before` hooks do is done once, and for all tests.
    if (scope.kind === 'root' || (scope.mode !== 'rollback' && scope.mode !== 'truncate')) return undefined;
    const began = realTimers.now();
    const sent: Sent[] = [];
    const stop = tapQueries(({ sql }) => sent.push({ sql, at: realTimers.now() }));
    this.#stopListening = stop;
    return () => {
      stop();
      if (!sent.some(({ sql }) => mayClean(sql))) return;
      const { kind, title, place } = hook;
      this.#suspicions.push({ kind, title, place, began, sent, ended: realTimers.now() });
    };
  }

  /** What has been found since the last call. */
  async take(): Promise<readonly CleaningFacts[]> {
    const found: CleaningFacts[] = [];
    for (const suspicion of this.#suspicions.splice(0)) {
      const effects = await Promise.all(suspicion.sent.map(({ sql }) => this.#effectOf(sql)));
      if (effects.some((effect) => effect.cleans)) found.push(factsOf(suspicion, effects));
    }
    for (const { hook, leftEmpty } of found) {
      if (hook.startsWith('before')) for (const table of leftEmpty) this.emptiedBefore.add(table);
    }
    return found;
  }

  async #effectOf(sql: string): Promise<CleaningEffect> {
    let effect = this.#effects.get(sql);
    if (!effect) {
      effect = await cleaningEffectOf(sql);
      if (this.#effects.size >= 500) this.#effects.clear();
      this.#effects.set(sql, effect);
    }
    return effect;
  }
}

function factsOf(
  { kind, title, place, began, ended, sent }: Suspicion,
  effects: readonly CleaningEffect[],
): CleaningFacts {
  const alsoWrites = effects.some((effect) => effect.writes);
  let cleaningMs = 0;
  for (const [i, { at }] of sent.entries()) {
    // A statement lasts until the next one is sent: hooks await what they do.
    if (effects[i]?.cleans) cleaningMs += (sent[i + 1]?.at ?? ended) - at;
  }
  const tables = [...new Set(effects.flatMap((effect) => effect.cleaned))];
  const filled = effects.flatMap((effect) => effect.filled);
  return {
    hook: kind,
    title,
    ...(place !== undefined && { place }),
    ms: alsoWrites ? cleaningMs : ended - began,
    tables,
    leftEmpty: tables.filter((table) => !filled.includes(table)),
    alsoWrites,
  };
}

/** Notes which of the tables hold rows. Nobody is waited for: what can't be told is left out. */
export async function lookForRows(
  tables: Iterable<string>,
  connect: () => Promise<OwnConnection>,
  hasRows: Record<string, boolean>,
): Promise<void> {
  let connection: OwnConnection | undefined;
  try {
    connection = await connect();
    await connection.query(`set lock_timeout = '500ms'`);
    for (const table of tables) {
      const name = table.split('.').map(quoteIdent).join('.');
      const { rows } = await connection.query<{ oid: number | null }>('select to_regclass($1)::oid as oid', [name]);
      if (!rows[0]?.oid) continue;
      const found = await connection.query(`select from ${name} limit 1`);
      hasRows[table] = hasRows[table] === true || found.rows.length > 0;
    }
  } catch {
    // A report is not worth a failed run.
  } finally {
    await connection?.end();
  }
}
