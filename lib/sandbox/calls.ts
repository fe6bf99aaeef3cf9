// What a statement does by the functions it calls in plain sight: session-level locks, and parameters that it sets.
import { functionName } from './functions';
import type { Node } from './parser';
import { inner, list, walk } from './tree';

/** A configuration parameter that a statement sets until the end of its transaction. */
export type LocalName = { readonly literal: string } | { readonly parameter: number } | 'computed';

export type SessionLockUse = 'take' | 'try' | 'free' | 'free all';

/** The arguments of a lock function. */
export type LockKey = readonly (number | { readonly parameter: number } | 'computed')[];

export interface SessionLock {
  readonly use: SessionLockUse;
  readonly key: LockKey;
}

/** A parameter that is set until the end of the transaction, or for the session, as the statement's `$n` says. */
export interface MaybeLocal {
  readonly name: LocalName;
  readonly parameter: number;
}

interface CallTraits {
  sessionLock?: SessionLock;
  locals?: LocalName[];
  sets?: LocalName[];
  maybeLocals?: MaybeLocal[];
}

const SESSION_LOCKS: Readonly<Record<string, SessionLockUse>> = {
  pg_advisory_lock: 'take',
  pg_advisory_lock_shared: 'take',
  pg_try_advisory_lock: 'try',
  pg_try_advisory_lock_shared: 'try',
  pg_advisory_unlock: 'free',
  pg_advisory_unlock_shared: 'free',
  pg_advisory_unlock_all: 'free all',
};

export function callTraits(body: Node): CallTraits {
  const traits: CallTraits = {};
  walk(body, (type, node) => {
    if (type !== 'FuncCall') return;
    const name = functionName(node);
    const lock = SESSION_LOCKS[name];
    // of several, nobody knows which are had
    if (lock) traits.sessionLock = { use: lock, key: traits.sessionLock ? [] : list(node.args).map(lockKey) };
    if (name === 'set_config') {
      const [parameter, , local] = list(node.args);
      const isLocal = truth(local);
      const name = isLocal === 'computed' ? isLocal : localName(parameter);
      if (typeof isLocal === 'object') (traits.maybeLocals ??= []).push({ name, ...isLocal });
      else (isLocal ? (traits.locals ??= []) : (traits.sets ??= [])).push(name);
    }
  });
  return traits;
}

/** As PostgreSQL reads a boolean (manual, 8.6), nearly. */
export function isTrue(value: unknown): boolean {
  return value === true || /^\s*(t|tr|tru|true|on|y|ye|yes|1)\s*$/i.test(String(value));
}

function truth(node: unknown): boolean | { readonly parameter: number } | 'computed' {
  const cast = inner(node, 'TypeCast');
  if (cast) return truth(cast.arg);
  const parameter = inner(node, 'ParamRef');
  if (parameter) return { parameter: Number(parameter.number) };
  const constant = inner(node, 'A_Const');
  if (!constant) return 'computed';
  const { boolval, sval } = constant as { readonly boolval?: Node; readonly sval?: Node };
  return boolval ? boolval.boolval === true : isTrue(sval?.sval);
}

function lockKey(node: unknown): LockKey[number] {
  const cast = inner(node, 'TypeCast');
  if (cast) return lockKey(cast.arg);
  const parameter = inner(node, 'ParamRef');
  if (parameter) return { parameter: Number(parameter.number) };
  const constant = inner(node, 'A_Const');
  const whole = constant?.ival as Node | undefined;
  return whole ? Number(whole.ival ?? 0) : 'computed';
}

function localName(node: unknown): LocalName {
  const cast = inner(node, 'TypeCast');
  if (cast) return localName(cast.arg);
  const parameter = inner(node, 'ParamRef');
  if (parameter) return { parameter: Number(parameter.number) };
  const text = (inner(node, 'A_Const')?.sval as Node | undefined)?.sval;
  return typeof text === 'string' ? { literal: text } : 'computed';
}
