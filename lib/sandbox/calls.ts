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
  readonly shared: boolean;
  /** It ends with its transaction. */
  readonly ofTransaction: boolean;
  /** The name of its column, where the statement asks for nothing else. */
  readonly column: string | undefined;
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

const LOCKS = /^pg_(try_)?advisory_(xact_)?(lock|unlock|unlock_all)(_shared)?$/;

export function callTraits(body: Node): CallTraits {
  const traits: CallTraits = {};
  walk(body, (type, node) => {
    if (type !== 'FuncCall') return;
    const name = functionName(node);
    const lock = LOCKS.exec(name);
    if (lock) traits.sessionLock = lockIn(body, node, lock, traits.sessionLock);
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

/** What a function does to a lock; of several in one statement, the last, with a key that is not known. */
function lockIn(
  body: Node,
  node: Node,
  [name, tries, ofTransaction, kind, shared]: string[],
  other?: SessionLock,
): SessionLock {
  const [target, ...more] = list(body.targetList);
  const result = inner(target, 'ResTarget');
  const isAlone = more.length === 0 && !body.fromClause && !body.whereClause && inner(result?.val, 'FuncCall') === node;
  return {
    use: kind === 'unlock_all' ? 'free all' : kind === 'unlock' ? 'free' : tries ? 'try' : 'take',
    key: other ? [] : list(node.args).map(lockKey),
    shared: shared !== undefined && other?.shared !== false,
    ofTransaction: ofTransaction !== undefined && other?.ofTransaction !== false,
    column: other || !isAlone ? undefined : typeof result?.name === 'string' ? result.name : name,
  };
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
