// Transaction control, and SET: what is said of a statement by its syntax tree.
import type { Node } from './parser';
import { IDENTITY } from './profiles';
import type { Common, Statement, TransactionModes } from './statement';
import { inner, list } from './tree';

export function refused(common: Common, what: string, why: string): Statement {
  return { ...common, kind: 'refused', what, why };
}

export function toControl(body: Node, common: Common): Statement {
  const kind = String(body.kind).replace('TRANS_STMT_', '');
  const name = String(body.savepoint_name);
  switch (kind) {
    case 'BEGIN':
    case 'START':
      return {
        ...common,
        writes: false,
        kind: 'begin',
        modes: toModes(body.options),
        tag: kind === 'START' ? 'START TRANSACTION' : 'BEGIN',
      };
    case 'COMMIT':
      return { ...common, writes: false, kind: 'commit', chain: body.chain === true };
    case 'ROLLBACK':
      return { ...common, writes: false, kind: 'rollback', chain: body.chain === true };
    case 'SAVEPOINT':
      return { ...common, writes: false, kind: 'savepoint', name };
    case 'RELEASE':
      return { ...common, writes: false, kind: 'release', name };
    case 'ROLLBACK_TO':
      return { ...common, writes: false, kind: 'rollback to', name };
    default:
      // PREPARE TRANSACTION would succeed, and take the whole test with it
      return refused(
        common,
        kind.replace('_', ' ') + (kind === 'PREPARE' ? ' TRANSACTION' : ''),
        'it needs a transaction of its own',
      );
  }
}

function toModes(options: unknown): TransactionModes {
  const modes: { isolation?: string; readOnly?: boolean } = {};
  for (const option of list(options)) {
    const element = inner(option, 'DefElem');
    const value = inner(element?.arg, 'A_Const');
    if (element?.defname === 'transaction_isolation') modes.isolation = String((value?.sval as Node | undefined)?.sval);
    if (element?.defname === 'transaction_read_only') modes.readOnly = (value?.ival as Node | undefined)?.ival === 1;
  }
  return modes;
}

/** `SET transaction_read_only`, which lasts as long as its transaction, `LOCAL` or not; so does the other one. */
function modeOf(name: string, value: unknown): TransactionModes | undefined {
  const constant = inner(value, 'A_Const');
  const text = (constant?.sval as Node | undefined)?.sval;
  if (name === 'transaction_isolation' && typeof text === 'string') return { isolation: text.toLowerCase() };
  if (name !== 'transaction_read_only' || !constant) return undefined;
  const number = (constant.ival as Node | undefined)?.ival;
  return { readOnly: number === 1 || /^(t|true|on|yes|y|1)$/i.test(String(text)) };
}

export function toSet(body: Node, common: Common): Statement {
  const name = typeof body.name === 'string' ? body.name : '';
  if (body.kind === 'VAR_SET_MULTI' && name === 'TRANSACTION') {
    return { ...common, kind: 'set transaction', modes: toModes(body.args), what: 'SET TRANSACTION' };
  }
  const modes = modeOf(name, list(body.args)[0]);
  if (modes)
    return { ...common, kind: 'set transaction', modes, what: body.is_local === true ? 'SET LOCAL' : undefined };
  if (name === 'SESSION CHARACTERISTICS' || name.startsWith('default_transaction_')) {
    return refused(common, `SET ${name}`, 'the transaction that holds the test has already begun');
  }
  if (body.kind === 'VAR_SET_MULTI') return { ...common, kind: 'plain', traits: {} };
  const value = (inner(list(body.args)[0], 'A_Const')?.sval as Node | undefined)?.sval;
  const becomes = IDENTITY.includes(name) && typeof value === 'string' && { becomes: value };
  if (body.is_local !== true) {
    const sets = body.kind === 'VAR_RESET_ALL' ? 'all' : [{ literal: name }];
    // which table a name means may change, as with DDL
    const isNone = name === 'role' && value === 'none';
    const resets = (isNone || body.kind !== 'VAR_SET_VALUE') && { resets: true as const };
    return {
      ...common,
      ddl: name === 'search_path' || sets === 'all',
      kind: 'plain',
      traits: { sets, ...resets, ...becomes },
    };
  }
  return {
    ...common,
    kind: 'plain',
    traits: { locals: [{ literal: name }], ...becomes, onlyInTransaction: { what: 'SET LOCAL', then: 'warning' } },
  };
}
